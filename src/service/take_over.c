/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A boundary moves: from now on one service keeps what another kept, and the records of the
 * commands on it. docs/guide/boundaries.md says what developers do; this is what the services do.
 *
 * The giver's new program no longer serves the moved routes, so nothing changes there: its data can
 * be read in pages, again and again. Before the taker applies or answers anything for the first
 * time, and only then, it reads
 *
 *     1. each item of the giver's list, for its own handler, in a transaction each
 *     2. each command's record, in a transaction each, unless it has one under that key
 *     3. for each caller what is closed, and its newest incarnation
 *     4. and marks that it has all of it: from then on it never asks again
 *
 * It asks for pages of at most PAGE_ROWS rows: of fewer if the giver can't send that many, or this
 * side can't read them, down to one (base/portion.h).
 *
 * Each transaction of 1 to 3 does nothing if it was done before, and 2 and 3 first look for 4: so
 * after a crash all is simply done again, and a slower process overwrites nothing with the past.
 */

#include "service/take_over.h"

#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/doing.h"
#include "base/json.h"
#include "base/log.h"
#include "base/portion.h"
#include "http/path.h"
#include "service/exchange.h"
#include "work/command.h"
#include "work/command_key.h"

#define PAGE_ROWS 100
#define PAGE_SIZE_MAX ((size_t)4 << 20)     /* approximately; one more record */
#define ANSWER_SIZE_MAX ((size_t)128 << 20) /* a recorded answer is text within text */
#define ASK_MS 5000
#define PAUSE_MS_MIN 20
#define PAUSE_MS_MAX 2000
#define TAKE_OVER_MAX 4
#define DONE_SIZE 8
#define TEMPLATE_SIZE 1024
#define MARK_SIZE 65 /* a name in the store's meta: the service, and the step */
#define AS_MARK "taken_over %s %.20s"

/* ---- The giver ---- */

struct page {
    const char *step;
    json_t *commands, *callers;
    char caller[COMMAND_CALLER_SIZE], key[COMMAND_KEY_LENGTH_MAX + 1]; /* the last one read */
    int looked_at;
    size_t size;
    bool pending;
};

/* Keys are CALLER/BIRTH.NUMBER/STEP/ELEMENT. */
static bool is_of_step(const char *key, const char *step)
{
    const char *end = strrchr(key, '/');
    size_t length = strlen(step);
    return end && (size_t)(end - key) > length && end[-(ptrdiff_t)length - 1] == '/' &&
           strncmp(end - length, step, length) == 0;
}

static bool take_page_command(void *context, const struct ledger_command *command)
{
    struct page *page = context;
    snprintf(page->caller, sizeof page->caller, "%s", command->caller);
    snprintf(page->key, sizeof page->key, "%s", command->key);
    page->looked_at++;
    if (!is_of_step(command->key, page->step))
        return true;
    page->pending |= command->outcome == LEDGER_PENDING;
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s?, s:s?, s:s?, s:s?}", "caller", command->caller,
        "key", command->key, "birth", command->birth, "number", (json_int_t)command->number,
        "attempt", (json_int_t)command->attempt, "created_ms", (json_int_t)command->created_ms,
        "outcome", ledger_outcome_name(command->outcome), "digest", command->digest, "request",
        command->request, "answer", command->answer, "undo_answer", command->undo_answer);
    FH_ASSERT(object != NULL && json_array_append_new(page->commands, object) == 0);
    page->size += (command->request ? strlen(command->request) : 0) +
                  (command->answer ? strlen(command->answer) : 0);
    return page->size < PAGE_SIZE_MAX;
}

static bool take_page_caller(void *context, const char *caller, const char *birth,
                             const struct ledger_caller *closed)
{
    struct page *page = context;
    json_t *object =
        json_pack("{s:s, s:s, s:I, s:s}", "caller", caller, "birth", birth, "closed_through",
                  (json_int_t)closed->closed_through, "still_open", closed->still_open);
    FH_ASSERT(object != NULL && json_array_append_new(page->callers, object) == 0);
    return true;
}

/* All in one snapshot of the store. */
static enum fh_code read_command_page(struct store *store, struct page *page, const char *caller,
                                      const char *key, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_commands_read(work, caller, key, PAGE_ROWS, take_page_command, page, error);
    if (code == FH_OK)
        code = ledger_callers_read(work, take_page_caller, page, error);
    size_t index;
    json_t *one;
    json_array_foreach (page->callers, index, one) {
        char newest[ID_SIZE] = "";
        if (code == FH_OK)
            code = ledger_caller_newest(work, json_string_at(one, "caller"), newest, error);
        json_object_set_new(one, "newest", json_string(newest));
    }
    store_rollback(work);
    return code;
}

static void answer_command_page(struct exchange *exchange, const struct page *page)
{
    bool more = page->looked_at == PAGE_ROWS || page->size >= PAGE_SIZE_MAX;
    json_t *object = json_pack("{s:O, s:O}", "commands", page->commands, "callers", page->callers);
    if (more)
        json_object_set_new(object, "next",
                            json_pack("{s:s, s:s}", "caller", page->caller, "key", page->key));
    char *text = json_text(object);
    exchange_answer(exchange, 200, NULL, text, strlen(text), NULL, 0);
    json_text_free(text);
    json_decref(object);
}

void take_over_answer(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *query;
    if (path_query(exchange_request(exchange)->query, &query, &error) != FH_OK) {
        exchange_problem(exchange, PROBLEM_REQUEST_MALFORMED, error.message);
        return;
    }
    const char *caller = json_string_at(query, "caller"), *key = json_string_at(query, "key");
    struct page page = {
        .step = json_string_at(query, "step"), .commands = json_array(), .callers = json_array()};
    if (!page.step || !*page.step)
        exchange_problem(exchange, PROBLEM_PARAMETERS_INVALID,
                         "The parameter `step` is missing: whose commands?");
    else if (read_command_page(runtime->context.store, &page, caller ? caller : "", key ? key : "",
                               &error) != FH_OK)
        exchange_problem(exchange,
                         error.code == FH_UNSUPPORTED ? PROBLEM_OPERATION_UNSUPPORTED
                                                      : PROBLEM_DEPENDENCY_UNAVAILABLE,
                         error.message);
    else if (page.pending)
        exchange_problem(exchange, PROBLEM_COMMAND_PENDING,
                         "A command of that step is still being carried out.");
    else
        answer_command_page(exchange, &page);
    json_decref(page.commands);
    json_decref(page.callers);
    json_decref(query);
}

/* ---- The taker ---- */

struct taking {
    struct runtime *runtime;
    const struct fh_taken_over *what;
    struct portion portion;
    bool too_much; /* the last request may have asked for too many rows */
    char mark[MARK_SIZE];
    int64_t rows, commands;
};

/* A GET to the giver, its target filled from `values` (stolen). *ret is new. */
static enum fh_code ask_giver(struct taking *taking, const char *pattern, json_t *values,
                              json_t **ret, struct fh_error *error)
{
    const struct work_context *context = &taking->runtime->context;
    char from[ID_SIZE + COMMAND_CALLER_SIZE];
    const char *target;
    struct arena arena;
    *ret = NULL;
    FH_ASSERT(values != NULL);
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = path_fill(&arena, pattern, &values, 1, &target, error);
    json_decref(values);
    if (code != FH_OK) {
        arena_release(&arena);
        return code;
    }
    snprintf(from, sizeof from, "%s/%s", context->service->name, context->store->incarnation);
    struct world_request request = {.service = taking->what->service,
                                    .method = "GET",
                                    .path = target,
                                    .headers = {{"Freehold-From", from}},
                                    .answer_size_max = ANSWER_SIZE_MAX,
                                    .deadline_ns = world_in_ms(context->world, ASK_MS)};
    world_request_wait(context->world, &request);
    taking->too_much = request.status >= 500 || (request.status == 0 && !request.unsent);
    if (request.status == 0)
        code = error_set(error, FH_UNAVAILABLE, "%s gives no answer: %s.", taking->what->service,
                         request.failure);
    else if (request.status != 200)
        code = error_set(error, FH_UNAVAILABLE, "%s answers GET %.80s with %d.",
                         taking->what->service, target, request.status);
    else
        code = json_parse(request.answer, request.answer_length, ret, error);
    taking->too_much |= code == FH_NO_MEMORY;
    world_request_release(&request);
    arena_release(&arena);
    return code;
}

static enum fh_code take_given_row(struct taking *taking, json_t *row, struct fh_error *error)
{
    /* The giver's marks are not known here: all but the id may be personal. */
    static const fh_field row_shape[] = {
        {"id", FH_ANY}, {"*", FH_ANY, .optional = true, .personal = true}, {0}};
    fh_work w;
    work_init(&w, &taking->runtime->context, taking->what->handler);
    w.event = &(struct work_event){.tree = json_pack("{s:O}", "data", row)};
    w.given = (struct work_given){.shape = row_shape};
    w.doing = doing_of((doing_function *)w.handler, "an item of %s", taking->what->service);
    w.deadline_ns = world_in_ms(taking->runtime->world, RUNTIME_DEADLINE_MS);
    enum fh_code code = work_run(&w);
    if (code != FH_OK)
        *error = w.failure;
    work_release(&w); /* which may tell of a fault, without what is marked in the event */
    json_decref(w.event->tree);
    CRASH_POINT("boundary.row");
    taking->rows++;
    return code;
}

static enum fh_code take_list(struct taking *taking, const json_t *list, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    size_t index;
    json_t *row;
    if (!json_is_array(list))
        return error_set(error, FH_INVALID, "%s answers GET %.80s with no list.",
                         taking->what->service, taking->what->path);
    json_array_foreach (list, index, row) {
        if (code == FH_OK)
            code = take_given_row(taking, row, error);
    }
    return code;
}

/* The rows after `after` (NULL: the first): as many as come through. */
static enum fh_code ask_list(struct taking *taking, const char *pattern, json_t *after,
                             int *ret_limit, json_t **ret, struct fh_error *error)
{
    for (;;) {
        int limit = *ret_limit = portion_size(&taking->portion, PAGE_ROWS);
        enum fh_code code = ask_giver(
            taking, pattern, json_pack("{s:i, s:O*}", "limit", limit, "after", after), ret, error);
        if (code == FH_OK)
            portion_passed(&taking->portion, limit);
        else if (taking->too_much && limit > 1)
            portion_failed(&taking->portion, limit / 2);
        if (code == FH_OK || !taking->too_much || limit == 1 ||
            taking->runtime->phase == RUNTIME_DRAINING)
            return code;
    }
}

static enum fh_code take_given_rows(struct taking *taking, struct fh_error *error)
{
    char first[TEMPLATE_SIZE], next[TEMPLATE_SIZE];
    json_t *list, *after = NULL;
    int limit;
    snprintf(first, sizeof first, "%.900s?limit={limit}", taking->what->path);
    snprintf(next, sizeof next, "%.900s?limit={limit}&after={after.id}", taking->what->path);
    enum fh_code code;
    size_t count;
    do {
        code = ask_list(taking, after ? next : first, after, &limit, &list, error);
        if (code == FH_OK)
            code = take_list(taking, list, error);
        count = json_array_size(list);
        json_decref(after);
        after = count ? json_incref(json_array_get(list, count - 1)) : NULL;
        json_decref(list);
    } while (code == FH_OK && count == (size_t)limit);
    json_decref(after);
    return code;
}

/* FH_CONFLICT: all of it has been taken already. */
static enum fh_code begin_taking(const struct taking *taking, struct store_work **ret,
                                 struct fh_error *error)
{
    char done[DONE_SIZE];
    enum fh_code code = store_begin(taking->runtime->context.store, STORE_WRITE, ret, error);
    if (code != FH_OK)
        return code;
    code = ledger_meta_get(*ret, taking->mark, done, sizeof done, error);
    if (code == FH_OK && *done)
        code = error_set(error, FH_CONFLICT, "It was all taken over meanwhile.");
    if (code != FH_OK)
        store_rollback(*ret);
    return code;
}

static enum fh_code end_taking(struct store_work *work, enum fh_code code, struct fh_error *error)
{
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static enum fh_code take_one_command(struct taking *taking, const json_t *told,
                                     struct fh_error *error)
{
    struct arena arena;
    struct store_work *work;
    json_int_t number, attempt, created_ms;
    const char *outcome = json_string_at(told, "outcome");
    struct ledger_command known, command = {.caller = json_string_at(told, "caller"),
                                            .key = json_string_at(told, "key"),
                                            .birth = json_string_at(told, "birth"),
                                            .digest = json_string_at(told, "digest"),
                                            .request = json_string_at(told, "request"),
                                            .answer = json_string_at(told, "answer"),
                                            .undo_answer = json_string_at(told, "undo_answer")};
    if (!command.caller || !command.key || !command.birth || !outcome ||
        !json_integer_at(told, "number", &number) || !json_integer_at(told, "attempt", &attempt) ||
        !json_integer_at(told, "created_ms", &created_ms))
        return error_set(error, FH_INVALID, "%s reports a command that is none.",
                         taking->what->service);
    command.number = number;
    command.attempt = attempt;
    command.created_ms = created_ms;
    command.outcome = ledger_outcome_of(outcome);
    enum fh_code code = begin_taking(taking, &work, error);
    if (code != FH_OK)
        return code;
    arena_init(&arena, ARENA_SIZE_MAX);
    code = ledger_command_get(work, &arena, command.caller, command.key, &known, error);
    if (code == FH_NOT_FOUND)
        code = ledger_command_put(work, &command, error);
    arena_release(&arena);
    code = end_taking(work, code, error);
    CRASH_POINT("boundary.command");
    taking->commands += code == FH_OK;
    return code;
}

static enum fh_code take_one_caller(struct taking *taking, const json_t *told,
                                    struct fh_error *error)
{
    struct arena arena;
    struct store_work *work;
    const char *caller = json_string_at(told, "caller"), *birth = json_string_at(told, "birth"),
               *newest = json_string_at(told, "newest");
    struct ledger_caller before, after, closed = {.still_open = json_string_at(told, "still_open")};
    json_int_t through = 0;
    char known[ID_SIZE] = "";
    if (!caller || !birth || !newest || !closed.still_open ||
        !json_integer_at(told, "closed_through", &through))
        return error_set(error, FH_INVALID, "%s reports a caller that is none.",
                         taking->what->service);
    closed.closed_through = through;
    enum fh_code code = begin_taking(taking, &work, error);
    if (code != FH_OK)
        return code;
    arena_init(&arena, ARENA_SIZE_MAX);
    code = ledger_caller_newest(work, caller, known, error);
    if (code == FH_OK && strcmp(newest, known) > 0)
        code = ledger_caller_set_newest(work, caller, newest, error);
    if (code == FH_OK)
        code = ledger_caller_get(work, &arena, caller, birth, &before, error);
    if (code == FH_OK)
        code = command_closed_merge(&before, &closed, &arena, &after, error);
    if (code == FH_OK)
        code = ledger_caller_close(work, caller, birth, &after, error);
    arena_release(&arena);
    code = end_taking(work, code, error);
    CRASH_POINT("boundary.caller");
    return code;
}

static enum fh_code take_command_page(struct taking *taking, const json_t *page,
                                      struct fh_error *error)
{
    enum fh_code code = FH_OK;
    size_t index;
    json_t *one;
    json_array_foreach (json_object_get(page, "commands"), index, one) {
        if (code == FH_OK)
            code = take_one_command(taking, one, error);
    }
    json_array_foreach (json_object_get(page, "callers"), index, one) {
        if (code == FH_OK)
            code = take_one_caller(taking, one, error);
    }
    return code;
}

static enum fh_code take_commands(struct taking *taking, struct fh_error *error)
{
    static const char first[] = TAKE_OVER_PATH "?step={step}",
                      next[] = TAKE_OVER_PATH "?step={step}&caller={after.caller}&key={after.key}";
    json_t *page, *after = NULL;
    enum fh_code code;
    do {
        code = ask_giver(taking, after ? next : first,
                         json_pack("{s:s, s:o*}", "step", taking->what->step, "after", after),
                         &page, error);
        if (code == FH_OK)
            code = take_command_page(taking, page, error);
        after = json_incref(json_object_get(page, "next"));
        json_decref(page);
    } while (code == FH_OK && after);
    json_decref(after);
    return code;
}

static enum fh_code put_mark(struct taking *taking, struct fh_error *error)
{
    struct store_work *work;
    CRASH_POINT("boundary.taken");
    enum fh_code code = begin_taking(taking, &work, error);
    if (code != FH_OK)
        return code;
    code = end_taking(work, ledger_meta_put(work, taking->mark, "done", error), error);
    CRASH_POINT("boundary.marked");
    return code;
}

static enum fh_code taking_is_marked(const struct taking *taking, bool *ret, struct fh_error *error)
{
    struct store_work *work;
    char done[DONE_SIZE] = "";
    enum fh_code code = store_begin(taking->runtime->context.store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_meta_get(work, taking->mark, done, sizeof done, error);
    store_rollback(work);
    *ret = *done;
    return code;
}

static enum fh_code take_all_of(struct taking *taking, bool *ret_done, struct fh_error *error)
{
    taking->rows = taking->commands = 0;
    *ret_done = false;
    enum fh_code code = taking_is_marked(taking, ret_done, error);
    if (code != FH_OK || *ret_done)
        return code;
    code = take_given_rows(taking, error);
    if (code == FH_OK)
        code = take_commands(taking, error);
    if (code == FH_OK)
        code = put_mark(taking, error);
    if (code == FH_OK) {
        *ret_done = true;
        log_info("data-taken-over", "taken over from %s: %lld rows, %lld commands",
                 taking->what->service, (long long)taking->rows, (long long)taking->commands);
    }
    return code;
}

/* Repeats until it is done: the giver may be starting too. */
static enum fh_code take_patiently(struct taking *taking, struct fh_error *error)
{
    struct runtime *runtime = taking->runtime;
    int64_t pause_ms = PAUSE_MS_MIN;
    bool done = false;
    while (!done) {
        if (runtime->phase == RUNTIME_DRAINING)
            return error_set(error, FH_UNAVAILABLE, "It was asked to end before it began.");
        if (take_all_of(taking, &done, error) == FH_OK)
            continue;
        if (pause_ms == PAUSE_MS_MAX)
            log_warning("takeover-awaited", "waiting to take over from %s: %s",
                        taking->what->service, error->message);
        fiber_sleep_until(runtime->world, world_in_ms(runtime->world, pause_ms));
        pause_ms = pause_ms * 2 < PAUSE_MS_MAX ? pause_ms * 2 : PAUSE_MS_MAX;
    }
    return FH_OK;
}

enum fh_code take_over(struct runtime *runtime, struct fh_error *error)
{
    const struct fh_taken_over *all = runtime->service->takes_over;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < TAKE_OVER_MAX && all[i].service && code == FH_OK; i++) {
        struct taking taking = {.runtime = runtime, .what = &all[i]};
        snprintf(taking.mark, sizeof taking.mark, AS_MARK, all[i].service, all[i].step);
        code = take_patiently(&taking, error);
    }
    return code;
}
