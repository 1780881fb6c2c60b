/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetches the parts of a composition. The request's own fiber starts every part that lacks nothing,
 * waits until one has finished, and starts those that this made possible. Each call is a fiber of
 * its own; a part takes several calls only if it has more than COMPOSE_IDS_PER_CALL ids.
 *
 *     part:  waiting -> started -> finished, as one of
 *                there     a value, or null: it refers to nothing, or that is gone (404, 410)
 *                missing   it failed, was late, or refers to a part that is missing
 *
 * If a required part fails, the request is answered at once with that part's status. Calls still in
 * flight then end on their own, by their own deadlines. So the run counts its users, and everything
 * that calls need is copied into it: it may outlive the request.
 */

#include "gateway/compose_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "call/user.h"
#include "gateway/exchange.h"
#include "http/path.h"

#define TARGET_LENGTH_MAX ((size_t)64 << 10)
/* What all answers have together, and what is made of them. */
#define COMPOSED_MIB_MAX 32
#define COMPOSED_LENGTH_MAX ((size_t)COMPOSED_MIB_MAX << 20)
/* Reserved from the deadline to assemble the answer if parts use all their time. */
#define ASSEMBLE_MS 50

struct run {
    unsigned users;
    struct world *world;
    const struct compose *compose;
    struct place *place; /* held while there are calls, also those that end after the answer */
    struct arena arena;
    json_t *values; /* the names in the path, and the parts that are there */
    uint32_t started, finished, missing;
    unsigned pending[COMPOSE_PARTS_MAX]; /* calls in flight */
    struct call *calls[COMPOSE_PARTS_MAX];
    unsigned call_count[COMPOSE_PARTS_MAX];
    json_t *ids[COMPOSE_PARTS_MAX];
    struct fiber_queue changed; /* wakes the request's fiber */
    const char *client, *query, *trace, *authorization, *user, *cache_control;
    int64_t deadline_ns;
    size_t received;                     /* of all answers so far */
    struct call *failed;                 /* of a required part: its answer becomes the answer */
    const struct compose_part *unusable; /* a required part whose answer makes no sense */
};

/* Allocated in the run's arena. */
struct call {
    struct run *run;
    int part;
    enum upstream_outcome outcome;
    struct world_request request;
    json_t *answer; /* NULL: the call failed */
};

static void run_unuse(struct run *run)
{
    if (--run->users)
        return;
    for (int part = 0; part < run->compose->part_count; part++) {
        for (unsigned i = 0; i < run->call_count[part]; i++) {
            world_request_release(&run->calls[part][i].request);
            json_decref(run->calls[part][i].answer);
        }
        json_decref(run->ids[part]);
    }
    json_decref(run->values);
    arena_release(&run->arena);
    place_let_go(run->place);
    free(run);
}

static void finish_part(struct run *run, int part, json_t *value)
{
    uint32_t bit = UINT32_C(1) << part;
    run->finished |= bit;
    if (value)
        json_object_set_new(run->values, run->compose->parts[part].name, value);
    else
        run->missing |= bit;
    fiber_wake_one(&run->changed);
}

/* The part makes no sense: its answer is not JSON, or an id is an object. */
static void spoil_part(struct run *run, int part, const struct fh_error *error)
{
    const struct compose_part *declared = &run->compose->parts[part];
    log_warning("composition-part-failed", "Composition %s, part %s: %s", run->compose->pattern,
                declared->name, error->message);
    if (declared->required && !run->unusable)
        run->unusable = declared;
    finish_part(run, part, NULL);
}

static bool part_is_gone(const struct call *call)
{
    return call->outcome == UPSTREAM_ANSWERED &&
           (call->request.status == 404 || call->request.status == 410);
}

static void merge_part(struct run *run, int part)
{
    json_t *answers[COMPOSE_CALLS_MAX], *merged;
    struct fh_error error;
    for (unsigned i = 0; i < run->call_count[part]; i++)
        answers[i] = run->calls[part][i].answer;
    if (compose_merge(run->ids[part], answers, (int)run->call_count[part], &merged, &error) ==
        FH_OK)
        finish_part(run, part, merged);
    else
        spoil_part(run, part, &error);
}

/* All calls of the part have ended. */
static void conclude_part(struct run *run, int part)
{
    const struct compose_part *declared = &run->compose->parts[part];
    struct call *failed = NULL;
    for (unsigned i = 0; i < run->call_count[part] && !failed; i++)
        if (!run->calls[part][i].answer)
            failed = &run->calls[part][i];
    if (!failed && declared->ids) {
        merge_part(run, part);
    } else if (!failed) {
        finish_part(run, part, json_incref(run->calls[part]->answer));
    } else if (declared->required) {
        if (!run->failed)
            run->failed = failed;
        finish_part(run, part, NULL);
    } else {
        finish_part(run, part, !declared->ids && part_is_gone(failed) ? json_null() : NULL);
    }
}

static enum fh_code read_part_answer(struct call *call, struct fh_error *error)
{
    struct run *run = call->run;
    if (call->outcome == UPSTREAM_OVERSIZED)
        return error_set(error, FH_INVALID, "the service %s.",
                         upstream_outcome_text(call->outcome));
    if (run->received > COMPOSED_LENGTH_MAX)
        return error_set(error, FH_INVALID,
                         "with this one the answers of all parts are larger than %d MiB.",
                         COMPOSED_MIB_MAX);
    if (call->request.answer_length)
        return json_parse(call->request.answer, call->request.answer_length, &call->answer, error);
    call->answer = json_null();
    return FH_OK;
}

/* Of an answer that was read, or is of no use, nothing is kept but its status. What is of no use
 * takes no room from others. */
static void understand_part(struct call *call)
{
    const struct compose_part *part = &call->run->compose->parts[call->part];
    struct fh_error error;
    bool told = call->outcome == UPSTREAM_ANSWERED && call->request.status >= 200 &&
                call->request.status <= 299;
    if (!told && call->outcome != UPSTREAM_OVERSIZED)
        return;
    call->run->received += call->request.answer_length;
    if (read_part_answer(call, &error) != FH_OK) {
        call->run->received -= call->request.answer_length;
        log_warning("composition-part-failed", "Composition %s, part %s: %s",
                    call->run->compose->pattern, part->name, error.message);
        if (part->required && !call->run->unusable)
            call->run->unusable = part;
    }
    world_request_release(&call->request);
}

static void call_run(void *argument)
{
    struct call *call = argument;
    struct run *run = call->run;
    call->outcome = upstream_call(run->compose->parts[call->part].upstream, run->world, run->client,
                                  &call->request, true);
    understand_part(call);
    if (--run->pending[call->part] == 0)
        conclude_part(run, call->part);
    run_unuse(run);
}

static void prepare_call(struct call *call, const char *target)
{
    struct run *run = call->run;
    const struct compose_part *part = &run->compose->parts[call->part];
    int64_t deadline_ns = run->deadline_ns, late_ns = world_in_ms(run->world, part->timeout_ms);
    if (!part->required && late_ns < deadline_ns)
        deadline_ns = late_ns;
    call->request = (struct world_request){
        .service = part->service, .method = "GET", .path = target, .deadline_ns = deadline_ns};
    struct world_header *header = call->request.headers;
    *header++ = (struct world_header){"traceparent", run->trace};
    *header++ = (struct world_header){"Accept", "application/json"};
    if (run->authorization)
        *header++ = (struct world_header){"Authorization", run->authorization};
    if (run->user)
        *header++ = (struct world_header){USER_HEADER, run->user};
    if (run->cache_control)
        *header++ = (struct world_header){"Cache-Control", run->cache_control};
}

/* The target of one call; `ids` is NULL for a plain one. */
static enum fh_code fill_target(struct run *run, const struct compose_part *part, json_t *ids,
                                const char **ret, struct fh_error *error)
{
    json_t *objects[2] = {run->values, NULL};
    int count = 1;
    if (ids) {
        objects[0] = json_pack("{sO}", "ids", ids);
        objects[count++] = run->values;
    }
    enum fh_code code = path_fill(&run->arena, part->target, objects, count, ret, error);
    if (ids)
        json_decref(objects[0]);
    if (code == FH_OK && part->query && *run->query)
        *ret = arena_printf(&run->arena, "%s%c%s", *ret, strchr(*ret, '?') ? '&' : '?', run->query);
    if (code == FH_OK && strlen(*ret) > TARGET_LENGTH_MAX)
        code = error_set(error, FH_INVALID, "What is to be asked is longer than %zu bytes.",
                         TARGET_LENGTH_MAX);
    return code;
}

static json_t *ids_from(const json_t *ids, size_t first)
{
    json_t *chunk = json_array();
    for (size_t i = first; i < json_array_size(ids) && i < first + COMPOSE_IDS_PER_CALL; i++)
        json_array_append(chunk, json_array_get(ids, i));
    return chunk;
}

static void start_calls(struct run *run, int part, struct call *calls, unsigned count)
{
    run->calls[part] = calls;
    run->call_count[part] = count;
    run->pending[part] = count;
    for (unsigned i = 0; i < count; i++) {
        run->users++;
        if (fiber_start(run->world->fibers, call_run, &calls[i]))
            continue;
        calls[i].outcome = UPSTREAM_FULL;
        run->users--;
        run->pending[part]--;
    }
    if (run->pending[part] == 0)
        conclude_part(run, part);
}

/* Makes the part's calls; *ret_count 0: none, because its value is null or empty. */
static enum fh_code plan_calls(struct run *run, int part, struct call **ret, unsigned *ret_count,
                               struct fh_error *error)
{
    const struct compose_part *declared = &run->compose->parts[part];
    enum fh_code code = FH_OK;
    unsigned count = 1;
    if (declared->ids) {
        code = compose_ids(run->values, declared->ids, &run->ids[part], error);
        count = (unsigned)((json_array_size(run->ids[part]) + COMPOSE_IDS_PER_CALL - 1) /
                           COMPOSE_IDS_PER_CALL);
    }
    *ret_count = count;
    *ret = count ? arena_alloc(&run->arena, count * sizeof **ret) : NULL;
    for (unsigned i = 0; i < count && code == FH_OK; i++) {
        struct call *call = &(*ret)[i];
        const char *target;
        json_t *chunk =
            declared->ids ? ids_from(run->ids[part], (size_t)i * COMPOSE_IDS_PER_CALL) : NULL;
        *call = (struct call){.run = run, .part = part};
        code = fill_target(run, declared, chunk, &target, error);
        json_decref(chunk);
        if (code == FH_OK)
            prepare_call(call, target);
    }
    return code;
}

static void start_part(struct run *run, int part)
{
    const struct compose_part *declared = &run->compose->parts[part];
    struct fh_error error;
    struct call *calls;
    unsigned count;
    if (declared->depends & run->missing) {
        finish_part(run, part, NULL);
    } else if (compose_refers_to_nothing(declared, run->values)) {
        finish_part(run, part, json_null());
    } else if (plan_calls(run, part, &calls, &count, &error) != FH_OK) {
        spoil_part(run, part, &error);
    } else if (count == 0) {
        finish_part(run, part, run->ids[part] ? json_array() : json_null());
    } else {
        start_calls(run, part, calls, count);
    }
}

static void start_parts(struct run *run)
{
    uint32_t next;
    while ((next = compose_startable(run->compose, run->started, run->finished)) != 0) {
        for (int part = 0; part < run->compose->part_count; part++) {
            if (!(next >> part & 1))
                continue;
            run->started |= UINT32_C(1) << part;
            start_part(run, part);
        }
    }
}

static void reply_whole(struct gateway_exchange *exchange, struct run *run)
{
    json_t *whole = json_object(), *missing = json_array();
    for (int i = 0; i < run->compose->part_count; i++) {
        const char *name = run->compose->parts[i].name;
        if (run->finished & ~run->missing & UINT32_C(1) << i)
            json_object_set(whole, name, json_object_get(run->values, name));
        else
            json_array_append_new(missing, json_string(name));
    }
    if (json_array_size(missing))
        json_object_set(whole, "missing", missing);
    struct text body;
    text_init(&body, COMPOSED_LENGTH_MAX);
    bool fits = json_write_fits(&body, whole);
    json_decref(missing);
    json_decref(whole);
    if (fits)
        gateway_reply(exchange, &(struct http_answer){
                                    .status = 200, .body = body.data, .body_length = body.length});
    else
        gateway_problem(exchange, PROBLEM_ANSWER_UNUSABLE, NULL, NULL,
                        "The services' answers together are larger than %d MiB.", COMPOSED_MIB_MAX);
    text_release(&body);
}

static void reply_composed(struct gateway_exchange *exchange, struct run *run, bool late)
{
    const struct compose_part *required = NULL;
    for (int i = 0; i < run->compose->part_count && !required; i++)
        if (run->compose->parts[i].required && !(run->finished >> i & 1))
            required = &run->compose->parts[i];
    if (run->unusable)
        gateway_problem(exchange, PROBLEM_ANSWER_UNUSABLE, NULL, NULL,
                        "The service %s gave an answer for \"%s\" that cannot be used.",
                        run->unusable->service, run->unusable->name);
    else if (run->failed && run->failed->outcome == UPSTREAM_ANSWERED &&
             run->failed->request.status < 400)
        gateway_problem(exchange, PROBLEM_ANSWER_UNUSABLE, NULL, NULL,
                        "The service %s answered with status %d.", run->failed->request.service,
                        run->failed->request.status);
    else if (run->failed && run->failed->outcome == UPSTREAM_ANSWERED)
        gateway_pass_on(exchange, &run->failed->request);
    else if (run->failed && run->failed->outcome == UPSTREAM_SHED)
        gateway_shed(exchange);
    else if (run->failed || (late && required))
        gateway_problem(exchange, PROBLEM_SERVICE_UNAVAILABLE, NULL,
                        run->failed ? run->failed->request.service : required->service,
                        "The service %s %s.",
                        run->failed ? run->failed->request.service : required->service,
                        upstream_outcome_text(run->failed ? run->failed->outcome : UPSTREAM_LATE));
    else
        reply_whole(exchange, run);
}

static const char *keep_value(struct run *run, const char *value)
{
    return value ? arena_text(&run->arena, value) : NULL;
}

static struct run *run_new(const struct gateway_exchange *exchange)
{
    struct run *run = calloc(1, sizeof *run);
    FH_ASSERT(run != NULL);
    run->users = 1;
    run->world = exchange->world;
    run->compose = exchange->route->compose;
    run->place = exchange->place;
    place_hold(run->place);
    run->deadline_ns = exchange->deadline_ns - (int64_t)ASSEMBLE_MS * 1000000;
    arena_init(&run->arena, ARENA_SIZE_MAX);
    run->client = arena_text(&run->arena, limits_client(&exchange->address, exchange->user));
    run->query = arena_text(&run->arena, exchange->incoming.query);
    run->trace = arena_text(&run->arena, exchange->trace);
    run->authorization = keep_value(run, gateway_authorization(exchange));
    run->user = keep_value(run, exchange->user ? exchange->user->statement : NULL);
    run->cache_control =
        keep_value(run, http_request_header(exchange->incoming.request, "Cache-Control"));
    FH_ASSERT(path_match(run->compose->pattern, exchange->incoming.path, &run->values));
    return run;
}

void compose_run(void *argument)
{
    struct gateway_exchange *exchange = argument;
    struct run *run = run_new(exchange);
    uint32_t all = (uint32_t)((UINT64_C(1) << run->compose->part_count) - 1);
    bool late = false;
    start_parts(run);
    while (run->finished != all && !run->failed && !run->unusable && !late) {
        late = !fiber_wait_until(&run->changed, run->world, exchange->deadline_ns);
        if (!run->failed && !run->unusable && !late)
            start_parts(run);
    }
    reply_composed(exchange, run, late);
    run_unuse(run);
}
