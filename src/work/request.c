/* SPDX-License-Identifier: Apache-2.0 */
/* How a handler sees its request, and how it answers. */

#include <ctype.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include "http/media.h"
#include "http/path.h"
#include "shape/problem.h"
#include "shape/shape.h"
#include "work/batch.h"

#define REPLY_BYTES_MAX ((size_t)8 << 20)

static json_t *or_empty(fh_work *w, json_t **value)
{
    if (!*value) {
        struct arena *before = json_arena_set(&w->kept);
        *value = json_object();
        json_arena_set(before);
    }
    return *value;
}

json_t *fh_body(fh_work *w)
{
    return or_empty(w, &w->body);
}

const void *fh_body_bytes(fh_work *w, size_t *ret_length)
{
    if (!w->body_bytes)
        work_fault(w, "fh_body_bytes is for requests to routes that declare a `body_type`.");
    *ret_length = w->body_bytes_length;
    return w->body_bytes;
}

json_t *fh_path(fh_work *w)
{
    return or_empty(w, &w->path);
}

json_t *fh_query(fh_work *w)
{
    return or_empty(w, &w->query);
}

json_t *fh_undone_request(fh_work *w)
{
    return or_empty(w, &w->undone_request);
}

json_t *fh_undone_answer(fh_work *w)
{
    return w->undone_answer ? w->undone_answer : json_null();
}

int64_t fh_now_ms(fh_work *w)
{
    work_is_no_cast(w, "fh_now_ms");
    return w->now_ms;
}

const char *fh_now(fh_work *w)
{
    work_is_no_cast(w, "fh_now");
    char *text = work_alloc(w, 32);
    time_t seconds = (time_t)(w->now_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t used = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + used, 32 - used, ".%03dZ", (int)(w->now_ms % 1000));
    return text;
}

/* Of the work's random numbers, the two from `first` on. */
static void format_drawn_id(const fh_work *w, uint64_t first, char ret[static ID_SIZE])
{
    unsigned char random[16];
    uint64_t parts[2] = {work_random_at(w, first), work_random_at(w, first + 1)};
    memcpy(random, parts, sizeof random);
    id_format(ret, w->now_ms, random);
}

const char *fh_id_new(fh_work *w)
{
    work_is_no_cast(w, "fh_id_new");
    char *id = work_alloc(w, ID_SIZE);
    uint64_t first = w->random_count;
    w->random_count += 2;
    format_drawn_id(w, first, id);
    return id;
}

void work_refuse_drawn(fh_work *w, const char *what, const json_t *data)
{
    char id[ID_SIZE];
    if (!w->context->holds_back)
        return;
    const char *text = json_text(data); /* on the run's arena */
    for (uint64_t first = 0; first + 2 <= w->random_count; first++) {
        format_drawn_id(w, first, id);
        if (strstr(text, id))
            work_fault(w,
                       "%s holds an id that its handler has drawn (fh_id_new): in a store that is "
                       "filled anew it is another one than others know. Take it from the event.",
                       what);
    }
}

const char *fh_service_name(fh_work *w)
{
    return w->context->service->name;
}

/* A copy for the handler: changing it affects nobody else. */
json_t *fh_settings(fh_work *w)
{
    work_is_no_cast(w, "fh_settings");
    json_t *settings = json_copy_all(w->context->settings);
    return settings ? settings : json_object();
}

/* `element`: the value's index in an array; -1: it is no element. */
static void must_fit(fh_work *w, const fh_field *shape, const json_t *value, int element)
{
    char before[16] = "";
    json_t *faults = shape_check(shape, value);
    if (!faults)
        return;
    if (element >= 0)
        snprintf(before, sizeof before, "/%d", element);
    json_t *fault_found = json_array_get(faults, 0);
    const char *detail = json_string_at(fault_found, "detail");
    work_fault(w, "The answer is not what its route declares, at \"%s%s\": %s", before,
               json_string_at(fault_found, "pointer"), detail ? detail : "it is wrong.");
}

/* Checks a route's answer against its declaration. Undo, saga and event handlers are not
 * checked. */
static void keep_declared(fh_work *w, int status, const json_t *body)
{
    const struct fh_answer *declared = w->route ? &w->route->answer : NULL;
    size_t i;
    json_t *element;
    if (!declared || !declared->status || w->handler != w->route->handler)
        return;
    if (status != declared->status)
        work_fault(w, "The route %s %.100s declares an answer of %d, and this one is %d.",
                   w->route->method, w->route->path, declared->status, status);
    if ((declared->shape || declared->each) && !body)
        work_fault(w, "The route declares what it answers, and this answer has no body.");
    if (declared->shape)
        must_fit(w, declared->shape, body, -1);
    if (!declared->each)
        return;
    if (!json_is_array(body))
        work_fault(w, "The route declares an array as its answer, and this is not one.");
    json_array_foreach (body, i, element)
        must_fit(w, declared->each, element, (int)i);
}

static struct work_reply_header *find_location(fh_work *w)
{
    for (int i = 0; i < w->reply_header_count; i++) {
        if (strcasecmp(w->reply_headers[i].name, "Location") == 0)
            return &w->reply_headers[i];
    }
    return NULL;
}

/* Location, as the route declares it. */
static void locate_answer(fh_work *w, int status, json_t *body)
{
    const char *pattern = w->route ? w->route->location : NULL, *location;
    struct fh_error error;
    if (!pattern || w->handler != w->route->handler || status != w->route->answer.status ||
        find_location(w))
        return;
    if (path_fill(&w->kept, pattern, (json_t *const[]){body}, 1, &location, &error) != FH_OK)
        work_fault(w, "The answer has no location %.64s: %s", pattern, error.message);
    fh_reply_header(w, "Location", location);
}

static void take_reply(fh_work *w, int status, json_t *body)
{
    if (w->replied)
        work_fault(w, "A handler replies once.");
    if (status < 200 || status > 399)
        work_fault(w, "fh_reply takes a status from 200 to 399; fh_fail refuses.");
    keep_declared(w, status, body);
    locate_answer(w, status, body);
    w->replied = true;
    w->reply_status = status;
    w->reply_body = body;
}

/* Of this request, not of a saga's step or an event. */
static const char *declared_answer_type(const fh_work *w)
{
    return w->route && w->handler == w->route->handler ? w->route->answer_type : NULL;
}

void fh_reply(fh_work *w, int status, json_t *body)
{
    work_is_no_cast(w, "fh_reply");
    if (body && declared_answer_type(w))
        work_fault(w, "The route %s %.100s answers with %.60s: use fh_reply_bytes.",
                   w->route->method, w->route->path, w->route->answer_type);
    take_reply(w, status, body);
}

/* As a JSON string in base64, which is recorded as every other answer is: work_reply_bytes. */
void fh_reply_bytes(fh_work *w, int status, const void *data, size_t length)
{
    const char *type = declared_answer_type(w);
    if (!type)
        work_fault(w, "fh_reply_bytes is for requests to routes that declare an `answer_type`.");
    if (length > REPLY_BYTES_MAX)
        work_fault(w, "fh_reply_bytes takes at most %zu bytes, and got %zu.", REPLY_BYTES_MAX,
                   length);
    if (media_is_text(type) && !media_is_utf8(data, length))
        work_fault(w, "The route %s %.100s answers with %.60s, and this is not UTF-8.",
                   w->route->method, w->route->path, type);
    size_t size = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    char *text = work_alloc(w, size);
    sodium_bin2base64(text, size, data, length, sodium_base64_VARIANT_ORIGINAL);
    json_t *body = json_string_nocheck(text);
    if (!body)
        work_fail_with(w, FH_NO_MEMORY, WORK_MEMORY_FAULT);
    take_reply(w, status, body);
}

unsigned char *work_reply_bytes(const fh_work *w, size_t *ret_length)
{
    const char *text = json_string_value(w->reply_body);
    if (!text || w->reply_status >= 400 || !declared_answer_type(w))
        return NULL;
    size_t size = strlen(text) / 4 * 3;
    unsigned char *bytes = malloc(size + 1);
    FH_ASSERT(bytes != NULL);
    if (sodium_base642bin(bytes, size, text, strlen(text), NULL, ret_length, NULL,
                          sodium_base64_VARIANT_ORIGINAL) == 0)
        return bytes;
    free(bytes); /* recorded by an earlier version of the route, which answered with JSON */
    return NULL;
}

/* Names that HTTP allows (RFC 9110, 5.1 and 5.5) and that the server does not set itself: a unit of
 * work must not be committed if its answer can't be sent. */
static bool header_name_fits(const char *name)
{
    static const char *const own[] = {"Connection", "Content-Length", "Content-Type",
                                      "Date",       "Retry-After",    "Transfer-Encoding"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcasecmp(name, own[i]) == 0)
            return false;
    }
    for (const char *at = name; *at; at++) {
        if (!isalnum((unsigned char)*at) && !strchr("!#$%&'*+-.^_`|~", *at))
            return false;
    }
    return *name && strncasecmp(name, "Freehold-", strlen("Freehold-")) != 0;
}

static bool header_value_fits(const char *value)
{
    for (const char *at = value; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return false;
    }
    return *value;
}

void fh_reply_header(fh_work *w, const char *name, const char *value)
{
    struct work_reply_header *location =
        strcasecmp(name, "Location") == 0 ? find_location(w) : NULL;
    if (location && header_value_fits(value)) { /* the handler knows better than its route */
        location->value = work_printf(w, "%s", value);
        return;
    }
    if (w->reply_header_count == WORK_REPLY_HEADERS_MAX)
        work_fault(w, "A reply takes at most 8 headers.");
    if (!header_name_fits(name))
        work_fault(w, "A handler can't set the header \"%.64s\".", name);
    if (!header_value_fits(value))
        work_fault(w, "The header %.64s needs a value, of one line.", name);
    w->reply_headers[w->reply_header_count++] =
        (struct work_reply_header){work_printf(w, "%s", name), work_printf(w, "%s", value)};
}

const char *fh_pointer(fh_work *w, const char *name)
{
    struct text pointer;
    text_init(&pointer, TEXT_LENGTH_MAX);
    text_add(&pointer, "/");
    for (const char *c = name; *c; c++)
        text_append(&pointer,
                    *c == '~'   ? "~0"
                    : *c == '/' ? "~1"
                                : c,
                    *c == '~' || *c == '/' ? 2 : 1);
    const char *text = work_printf(w, "%s", pointer.data);
    text_release(&pointer);
    return text;
}

static json_t *errors_at(const char *pointer, const char *detail)
{
    return pointer ? json_pack("[{s:s, s:s}]", "pointer", pointer, "detail", detail) : NULL;
}

static _Noreturn void fail_text(fh_work *w, int status, const char *pointer, const char *detail)
{
    if (status < 400 || status > 599)
        work_fault(w, "fh_fail takes a status from 400 to 599, and got %d: %s", status, detail);
    struct arena *before = json_arena_set(&w->kept);
    json_t *problem = problem_of_service(status, detail, errors_at(pointer, detail));
    json_arena_set(before);
    work_fail_problem(w, status, problem);
}

void fh_fail(fh_work *w, int status, const char *format, ...)
{
    char detail[512];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    fail_text(w, status, NULL, detail);
}

void fh_fail_at(fh_work *w, int status, const char *pointer, const char *format, ...)
{
    char detail[512];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    fail_text(w, status, pointer, detail);
}
