/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fh_fetch and fh_try_fetch: what a handler asks of servers outside the system before it uses its
 * own store. Answers are recorded, and become results, as in ask.c.
 *
 * Three walls, each of which holds by itself: the URL's host is one of those that the service
 * declares, judged by the filled URL, as libcurl will read it; the system file allows it
 * (outside_rules); and the client connects to no address that is not on the public Internet
 * (http/client_socket.c), whatever a name resolved to a moment ago. Names are filled in only after
 * the host. The headers that are declared for a host go to that host, over TLS, and nowhere else:
 * redirects are not followed.
 */

#include <string.h>

#include "base/json.h"
#include "call/asked.h"
#include "http/bytes.h"
#include "http/outside.h"
#include "world/world.h"

/* The public names are macros that append the NULL. */
#undef fh_fetch
#undef fh_try_fetch

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static void must_declare_fetch(fh_work *w, const char *host)
{
    const struct fh_service *self = w->context->service;
    for (size_t i = 0; i < COUNT(self->fetches) && self->fetches[i]; i++) {
        if (strcmp(self->fetches[i], host) == 0)
            return;
    }
    work_fault(w, "%s fetched from %.100s, which is not among its declared `fetches`.", self->name,
               host);
}

/* The URL's length up to the end of host and port. */
static size_t fetch_origin_length(fh_work *w, const char *pattern)
{
    const char *host = strstr(pattern, "://");
    if (!host)
        work_fault(w, "fh_fetch expects a URL such as https://api.example.org/rates/{day}.");
    host += 3;
    size_t length = strcspn(host, "/?#");
    if (memchr(host, '{', length))
        work_fault(w, "The host of what is fetched can't be filled in: write it in the URL.");
    return (size_t)(host - pattern) + length;
}

/* What is before an '@' may be a secret. */
static const char *origin_without_user(const char *origin)
{
    const char *user_end = strrchr(origin, '@');
    return user_end ? user_end + 1 : origin;
}

static bool is_short_enough(fh_work *w, struct asked *asked)
{
    if (strlen(asked->service) + strlen(asked->path) <= OUTSIDE_URL_LENGTH_MAX)
        return true;
    asked_failed(asked, 404,
                 work_printf(w, "%s has nothing at %.*s: the URL is longer than %d bytes.",
                             asked->service, (int)strcspn(asked->shown, "?"), asked->shown,
                             OUTSIDE_URL_LENGTH_MAX));
    return false;
}

/* Fills in asked->service, path, shown and host. What is filled in may be a key of the service's,
 * so messages have the template. Returns the URL; NULL: there is none such, which is the result. */
static const char *fetch_url(fh_work *w, const char *pattern, json_t *const *objects, int count,
                             struct asked *asked, bool *ret_plain)
{
    char host[OUTSIDE_HOST_SIZE];
    size_t origin = fetch_origin_length(w, pattern);
    const char *rest = pattern + origin;
    asked->service = work_printf(w, "%.*s", (int)origin, pattern);
    asked->shown = *rest == '/' ? rest : work_printf(w, "/%s", rest);
    bool filled = asked_fill(w, asked, asked->shown, objects, count) && is_short_enough(w, asked);
    const char *url = work_printf(w, "%s%s", asked->service, filled ? asked->path : "/");
    if (!outside_is_url(url) || !outside_host_of(url, host, ret_plain))
        work_fault(w,
                   "What is fetched must be an http or https URL, percent-encoded, of at most %d "
                   "bytes, with neither a user nor a fragment: %.60s",
                   OUTSIDE_URL_LENGTH_MAX, origin_without_user(asked->service));
    must_declare_fetch(w, host);
    asked->host = work_printf(w, "%s", host);
    return filled ? url : NULL;
}

static void add_fetch_header(fh_work *w, const struct fh_fetch_header *declared, bool plain,
                             struct world_header *ret)
{
    const json_t *setting = json_object_get(w->context->settings, declared->setting);
    const char *value = json_string_value(setting);
    size_t length = json_string_length(setting);
    if (byte_span(value, length, BYTE_VALUE) < length)
        work_fault(w, "The setting %s can't be sent as the header %s: it is not one line of text.",
                   declared->setting, declared->name);
    if (plain)
        work_fault(w, "The header %s is sent to %s by https alone, and this is http.",
                   declared->name, declared->host);
    *ret = (struct world_header){declared->name, value};
}

/* Of the host, with a NULL name behind the last. */
static const struct world_header *fetch_headers(fh_work *w, const char *host, bool plain)
{
    const struct fh_service *self = w->context->service;
    struct world_header *headers = work_alloc(w, (CALL_HEADERS_MAX + 1) * sizeof *headers);
    size_t count = 0;
    for (size_t i = 0; i < COUNT(self->fetch_headers) && self->fetch_headers[i].host; i++) {
        const struct fh_fetch_header *declared = &self->fetch_headers[i];
        if (strcmp(declared->host, host) == 0 &&
            json_string_length(json_object_get(w->context->settings, declared->setting)) > 0)
            add_fetch_header(w, declared, plain, &headers[count++]);
    }
    headers[count] = (struct world_header){0};
    return headers;
}

static void release_fetched(void *answer)
{
    call_answer_release(answer);
}

static void fetch_answer(fh_work *w, const char *url, bool plain, struct asked *asked)
{
    const struct world_header *headers = fetch_headers(w, asked->host, plain);
    struct call_answer *answer = work_alloc(w, sizeof *answer);
    *answer = (struct call_answer){0};
    fh_defer(w, release_fetched, answer); /* even if the handler ends before its release below */
    struct call_outside outside = {.target = work_printf(w, "https://%s", asked->host),
                                   .url = url,
                                   .shown = asked->shown,
                                   .headers = headers};
    work_parks(w);
    call_fetch(w->context->calls, &outside, (struct call_for){.trace = w->trace}, w->deadline_ns,
               answer);
    asked_take(w, answer, asked);
    call_answer_release(answer);
}

static void fetch_outside(fh_work *w, const char *pattern, json_t *const *objects, int count,
                          struct asked *asked)
{
    bool plain;
    const char *url = fetch_url(w, pattern, objects, count, asked, &plain);
    if (!url)
        return;
    const char *question = work_printf(w, "fetch %s", url);
    const struct outside_rules *rules = w->context->outside;
    if (asked_before(w, asked, question))
        return;
    const char *refusal = rules ? outside_refusal(rules, url) : NULL;
    if (refusal)
        asked_failed(asked, 502, work_printf(w, "%s %s.", asked->service, refusal));
    else
        fetch_answer(w, url, plain, asked);
    asked_record(w, asked, question);
}

json_t *fh_fetch(fh_work *w, const char *url, ...)
{
    json_t *objects[CALL_OBJECTS_MAX];
    struct asked asked = {0};
    work_must_be_asking(w, "fh_fetch");
    va_list args;
    va_start(args, url);
    int count = asked_objects(w, args, objects);
    va_end(args);
    fetch_outside(w, url, objects, count, &asked);
    return asked_value(w, &asked, url);
}

json_t *fh_try_fetch(fh_work *w, json_t **problem, const char *url, ...)
{
    json_t *objects[CALL_OBJECTS_MAX];
    struct asked asked = {0};
    work_must_be_asking(w, "fh_try_fetch");
    va_list args;
    va_start(args, url);
    int count = asked_objects(w, args, objects);
    va_end(args);
    fetch_outside(w, url, objects, count, &asked);
    return asked_try(&asked, problem);
}
