/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fh_get, fh_try_get and fh_get_each: what a handler asks other services before it uses its own
 * store.
 *
 * Answers are recorded in the unit of work, so that a rerun of the handler sees the same answers
 * and no service is asked twice. Each record contains its question: a rerun that peeked at newer
 * rows may have another question, which is then asked.
 *
 * How an answer becomes a handler's result:
 *
 *   2xx with JSON                        the value
 *   404, or a value that no path can
 *   have, such as ".."                   fh_get: a refusal, 422; fh_try_get: NULL, problem 404
 *   unreachable, out of time, 429, 502,
 *   503 or 504 after all attempts        503 with Retry-After
 *   anything else                        502
 */

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "call/asked.h"
#include "http/path.h"
#include "shape/problem.h"

/* The public names are macros that append the NULL. */
#undef fh_get
#undef fh_try_get

/* ---- what may be asked ---- */

static void must_declare_ask(fh_work *w, const char *what, const char *service, const char *path)
{
    const struct fh_service *self = w->context->service;
    work_must_be_asking(w, what);
    for (size_t i = 0; i < sizeof self->asks / sizeof *self->asks; i++) {
        const struct fh_asked *asked = &self->asks[i];
        if (asked->service && strcmp(asked->service, service) == 0 &&
            strcmp(asked->path, path) == 0)
            return;
    }
    work_fault(w, "%s asked %s for %s, which is not among its declared `asks`.", self->name,
               service, path);
}

bool asked_fill(fh_work *w, struct asked *asked, const char *pattern, json_t *const *objects,
                int count)
{
    struct fh_error error;
    enum fh_code code = path_fill(&w->arena, pattern, objects, count, &asked->path, &error);
    if (code == FH_NOT_FOUND) /* by what somebody has sent, or stored: no fault of the handler's */
        asked_failed(asked, 404,
                     work_printf(w, "%s has nothing at %.*s. %s", asked->service,
                                 (int)strcspn(pattern, "?"), pattern, error.message));
    else if (code != FH_OK)
        work_fault(w, "The path to ask %s for can't be filled: %s", asked->service, error.message);
    return code == FH_OK;
}

static struct call_for asks_for(const fh_work *w)
{
    return (struct call_for){.trace = w->trace, .user = w->user ? w->user->statement : NULL};
}

/* ---- recorded answers: {"asked", "status", "body" | "detail", "retry_after_s"} ---- */

bool asked_before(fh_work *w, struct asked *asked, const char *question)
{
    const json_t *record = work_asked_again(w);
    const char *recorded = json_string_at(record, "asked");
    if (!recorded || strcmp(recorded, question) != 0)
        return false;
    asked->status = (int)json_integer_value(json_object_get(record, "status"));
    asked->retry_after_s = (int)json_integer_value(json_object_get(record, "retry_after_s"));
    asked->detail = json_string_at(record, "detail");
    asked->body = json_deep_copy(json_object_get(record, "body"));
    if (asked->status == 200 && !asked->body)
        work_fault(w, "This unit of work has no memory left for the answer of %s.", asked->service);
    return true;
}

void asked_record(fh_work *w, const struct asked *asked, const char *question)
{
    json_t *record = json_pack("{s:s, s:i, s:i, s:O?, s:s?}", "asked", question, "status",
                               asked->status, "retry_after_s", asked->retry_after_s, "body",
                               asked->body, "detail", asked->detail);
    if (!record)
        work_fault(w, "This unit of work has no memory left for the answer of %s.", asked->service);
    work_asked_record(w, record);
}

/* ---- from an answer to a result ---- */

void asked_failed(struct asked *asked, int status, const char *detail)
{
    asked->status = status;
    asked->detail = detail;
    asked->body = NULL;
}

static int answer_retry_after(const struct call_answer *answer)
{
    if (answer->retry_after_s < 1)
        return 1;
    return answer->retry_after_s < CALL_RETRY_AFTER_S_MAX ? answer->retry_after_s
                                                          : CALL_RETRY_AFTER_S_MAX;
}

/* Messages come to logs and traces, which have paths without their queries. */
static const char *shown_path(fh_work *w, const struct asked *asked)
{
    const char *path = asked->shown ? asked->shown : asked->path;
    return work_printf(w, "%.*s", (int)strcspn(path, "?"), path);
}

/* Some of the bytes of text outside could not be in a JSON string, or would cut it short. */
static void asked_from_text(fh_work *w, const struct call_answer *answer, struct asked *asked)
{
    if (!memchr(answer->text, '\0', answer->length))
        asked->body = json_stringn(answer->text, answer->length);
    if (!asked->body)
        asked_failed(asked, 502,
                     work_printf(w, "%s answered GET %s with neither JSON nor text in UTF-8.",
                                 asked->service, shown_path(w, asked)));
}

static void asked_from_json(fh_work *w, const struct call_answer *answer, struct asked *asked)
{
    struct fh_error error;
    if (answer->length == 0 && (answer->status == 204 || answer->status == 205))
        asked->body = json_null();
    else if (asked->host && !answer->json)
        asked_from_text(w, answer, asked);
    else if (json_parse(answer->text, answer->length, &asked->body, &error) != FH_OK)
        asked_failed(asked, 502,
                     work_printf(w, "%s answered GET %s with what is not JSON: %s", asked->service,
                                 shown_path(w, asked), error.message));
}

void asked_take(fh_work *w, const struct call_answer *answer, struct asked *asked)
{
    const char *service = asked->service, *path = shown_path(w, asked);
    asked->status = 200;
    if (answer->status >= 200 && answer->status < 300) {
        asked_from_json(w, answer, asked);
    } else if (answer->status == 404) {
        asked_failed(asked, 404, work_printf(w, "%s has nothing at %s.", service, path));
    } else if (answer->oversized) {
        asked_failed(asked, 502,
                     work_printf(w, "%s gave GET %s no answer that can be used: %s.", service, path,
                                 answer->failure));
    } else if (answer->status == 0) {
        asked->retry_after_s = answer_retry_after(answer);
        asked_failed(
            asked, 503,
            work_printf(w, "%s can't be reached for GET %s: %s.", service, path, answer->failure));
    } else if (answer->status == 429 || (answer->status >= 502 && answer->status <= 504)) {
        asked->retry_after_s = answer_retry_after(answer);
        asked_failed(asked, 503,
                     work_printf(w,
                                 "%s is not available now: it answered GET %s with "
                                 "%d.",
                                 service, path, answer->status));
    } else {
        asked_failed(asked, 502,
                     work_printf(w, "%s answered GET %s with %d, %s.", service, path,
                                 answer->status,
                                 answer->status < 400 ? "and redirects are not followed"
                                                      : "which no one expects"));
    }
}

static void release_answer(void *answer)
{
    call_answer_release(answer);
}

static void ask_other(fh_work *w, const char *pattern, json_t *const *objects, int count,
                      struct asked *asked)
{
    if (!asked_fill(w, asked, pattern, objects, count))
        return;
    const char *question = work_printf(w, "%s %s", asked->service, asked->path);
    if (asked_before(w, asked, question))
        return;
    struct call_answer *answer = work_alloc(w, sizeof *answer);
    *answer = (struct call_answer){0};
    fh_defer(w, release_answer, answer); /* even if the handler ends before its release below */
    work_parks(w);
    call_get(w->context->calls, asked->service, asked->path, asks_for(w), w->deadline_ns, answer);
    asked_take(w, answer, asked);
    call_answer_release(answer);
    asked_record(w, asked, question);
}

/* The place in the request that names the missing resource: the last {name} of the path that is a
 * field of the body, as a JSON Pointer, or NULL. */
static const char *named_in_body(fh_work *w, const char *pattern)
{
    const char *pointer = NULL;
    for (const char *at = strchr(pattern, '{'); at; at = strchr(at, '{')) {
        size_t length = strcspn(++at, "}");
        const char *name = work_printf(w, "%.*s", (int)length, at);
        if (json_object_get(w->body, name) && !strpbrk(name, "~/"))
            pointer = work_printf(w, "/%s", name);
    }
    return pointer;
}

/* Ends the handler with the problem. */
static _Noreturn void fail_asked(fh_work *w, const struct asked *asked, const char *pattern)
{
    if (asked->status == 404)
        work_fail_as(w, PROBLEM_REFERENCE_MISSING, named_in_body(w, pattern), asked->detail);
    if (asked->status == 503) {
        struct fh_error error;
        error_retry(&error, FH_UNAVAILABLE, "%s", asked->detail);
        w->retry_after_s = asked->retry_after_s;
        work_fail(w, &error);
    }
    work_fail_as(w, PROBLEM_CALL_FAILED, NULL, asked->detail);
}

int asked_objects(fh_work *w, va_list args, json_t *objects[CALL_OBJECTS_MAX])
{
    int count = 0;
    json_t *object;
    while ((object = va_arg(args, json_t *))) {
        if (count == CALL_OBJECTS_MAX)
            work_fault(w, "A path is filled from at most %d objects.", CALL_OBJECTS_MAX);
        objects[count++] = object;
    }
    return count;
}

json_t *asked_value(fh_work *w, const struct asked *asked, const char *pattern)
{
    if (asked->status != 200)
        fail_asked(w, asked, pattern);
    return asked->body;
}

json_t *asked_try(const struct asked *asked, json_t **problem)
{
    enum problem_type type = asked->status == 404   ? PROBLEM_CALL_NOT_FOUND
                             : asked->status == 503 ? PROBLEM_DEPENDENCY_UNAVAILABLE
                                                    : PROBLEM_CALL_FAILED;
    if (problem)
        *problem = NULL;
    if (asked->status == 200)
        return asked->body;
    if (problem) {
        *problem = problem_new(type, asked->detail, NULL);
        json_object_set_new(*problem, asked->host ? "host" : "service",
                            json_string(asked->host ? asked->host : asked->service));
    }
    return NULL;
}

json_t *fh_get(fh_work *w, const char *service, const char *path, ...)
{
    json_t *objects[CALL_OBJECTS_MAX];
    struct asked asked = {.service = service};
    must_declare_ask(w, "fh_get", service, path);
    va_list args;
    va_start(args, path);
    int count = asked_objects(w, args, objects);
    va_end(args);
    ask_other(w, path, objects, count, &asked);
    return asked_value(w, &asked, path);
}

json_t *fh_try_get(fh_work *w, json_t **problem, const char *service, const char *path, ...)
{
    json_t *objects[CALL_OBJECTS_MAX];
    struct asked asked = {.service = service};
    must_declare_ask(w, "fh_try_get", service, path);
    va_list args;
    va_start(args, path);
    int count = asked_objects(w, args, objects);
    va_end(args);
    ask_other(w, path, objects, count, &asked);
    return asked_try(&asked, problem);
}

/* ---- one call for many ---- */

struct chunk {
    const char *path;
    struct call_answer answer;
};

struct chunks {
    fh_work *w;
    const char *service;
    int count, next, running;
    struct fiber_queue finished;
    struct chunk *chunks;
};

/* A fiber that fetches chunks until none is left. */
static void fetch_chunks(void *argument)
{
    struct chunks *all = argument;
    fh_work *w = all->w;
    while (all->next < all->count) {
        struct chunk *chunk = &all->chunks[all->next++];
        call_get(w->context->calls, all->service, chunk->path, asks_for(w), w->deadline_ns,
                 &chunk->answer);
    }
    all->running--;
    fiber_wake_all(&all->finished);
}

/* This fiber takes part; others help if fibers are available. */
static void fetch_all_chunks(struct chunks *all)
{
    int helpers = (all->count < CALL_CHUNKS_BESIDE ? all->count : CALL_CHUNKS_BESIDE) - 1;
    work_parks(all->w);
    all->running = 1;
    for (int i = 0; i < helpers; i++) {
        if (fiber_start(all->w->context->world->fibers, fetch_chunks, all))
            all->running++;
    }
    fetch_chunks(all);
    while (all->running > 0)
        fiber_wait(&all->finished);
}

static const char *asked_id_text(fh_work *w, const json_t *id)
{
    if (json_is_integer(id))
        return work_printf(w, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
    return json_string_length(id) > 0 ? json_string_value(id) : NULL;
}

/* The ids as an array of strings, in order, without duplicates. */
static json_t *unique_ids(fh_work *w, const json_t *ids)
{
    json_t *seen = json_object(), *unique = json_array();
    size_t index;
    json_t *id;
    if (!json_is_array(ids))
        work_fault(w, "The ids of fh_get_each must be an array.");
    json_array_foreach (ids, index, id) {
        const char *text = asked_id_text(w, id);
        if (!text)
            work_fault(w, "The ids of fh_get_each must be integers or texts; number %zu is not.",
                       index + 1);
        if (json_object_get(seen, text))
            continue;
        json_object_set_new(seen, text, json_true());
        json_array_append_new(unique, json_string(text));
    }
    if (json_array_size(unique) > CALL_IDS_MAX)
        work_fault(w, "fh_get_each takes at most %d ids.", CALL_IDS_MAX);
    return unique;
}

/* False: with these ids there is no such path, which `asked` says. */
static bool split_ids(fh_work *w, const char *pattern, const json_t *ids, struct chunks *all,
                      struct asked *asked)
{
    size_t size = json_array_size(ids);
    all->count = (int)((size + CALL_IDS_A_CALL - 1) / CALL_IDS_A_CALL);
    all->chunks = work_alloc(w, (size_t)all->count * sizeof *all->chunks);
    for (int i = 0; i < all->count; i++) {
        json_t *some = json_array();
        for (size_t at = (size_t)i * CALL_IDS_A_CALL;
             at < size && at < (size_t)(i + 1) * CALL_IDS_A_CALL; at++)
            json_array_append(some, json_array_get(ids, at));
        json_t *object = json_pack("{s:o}", "ids", some);
        if (!asked_fill(w, asked, pattern, &object, 1))
            return false;
        all->chunks[i] = (struct chunk){.path = asked->path};
    }
    return true;
}

/* Adds one chunk's objects to the body, by id. */
static void gather_chunk(fh_work *w, struct asked *asked, const json_t *array)
{
    size_t index;
    json_t *object;
    bool fits = json_is_array(array);
    json_array_foreach (array, index, object) {
        const char *id = asked_id_text(w, json_object_get(object, "id"));
        fits = fits && id && json_object_set(asked->body, id, object) == 0;
    }
    if (!fits)
        asked_failed(asked, 502,
                     work_printf(w,
                                 "%s answered GET %s with what is not an array of "
                                 "objects with an `id`.",
                                 asked->service, shown_path(w, asked)));
}

static void gather_all(fh_work *w, struct chunks *all, struct asked *asked)
{
    asked->status = 200;
    asked->body = json_object();
    for (int i = 0; i < all->count; i++) {
        struct asked one = {.service = all->service, .path = all->chunks[i].path};
        if (asked->status == 200) {
            asked_take(w, &all->chunks[i].answer, &one);
            asked->path = one.path;
            if (one.status == 200)
                gather_chunk(w, asked, one.body);
            else
                asked_failed(asked, one.status, one.detail);
            asked->retry_after_s = one.retry_after_s;
        }
    }
}

static void release_chunks(void *argument)
{
    struct chunks *all = argument;
    for (int i = 0; i < all->count; i++)
        call_answer_release(&all->chunks[i].answer);
}

json_t *fh_get_each(fh_work *w, const char *service, const char *path, json_t *ids)
{
    struct asked asked = {.service = service, .path = path};
    must_declare_ask(w, "fh_get_each", service, path);
    json_t *unique = unique_ids(w, ids);
    if (json_array_size(unique) == 0)
        return json_object();
    const char *question = work_printf(w, "%s %s %s", service, path, json_text(unique));
    if (!asked_before(w, &asked, question)) {
        struct chunks *all = work_alloc(w, sizeof *all);
        *all = (struct chunks){.w = w, .service = service};
        if (!split_ids(w, path, unique, all, &asked))
            return asked_value(w, &asked, path);
        fh_defer(w, release_chunks, all);
        fetch_all_chunks(all);
        gather_all(w, all, &asked);
        release_chunks(all);
        asked_record(w, &asked, question);
    }
    return asked_value(w, &asked, path);
}
