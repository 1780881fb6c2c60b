/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on Redis: sagas and their steps' elements. A saga that starts is numbered by its
 * event's position, which the script of the commit gives: so its records are rows of that event,
 * with the number put in there. It stands in their ids alone.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/keyvalue/redis_ledger.h"
#include "store/keyvalue/redis_record.h"

#define SAGAS "saga"
#define STEPS "saga_step"
#define ADOPTED_MAX 1000

static enum fh_code saga_id(char id[static REDIS_ID_SIZE], const char *birth, int64_t number,
                            struct fh_error *error)
{
    return redis_id(id, error, "%s" REDIS_SEPARATOR REDIS_NUMBER, birth, number);
}

int64_t redis_saga_number(const json_t *record)
{
    const char *digits = strrchr(redis_text(record, "id"), *REDIS_SEPARATOR);
    return digits ? strtoll(digits + 1, NULL, 10) : 0;
}

/* ---- Starting -------------------------------------------------------------------------------- */

static json_t *step_json(const struct ledger_step *step)
{
    return redis_pack("{s:s, s:i, s:i, s:I, s:s, s:s, s:s, s:s?, s:s?, s:I}", "birth", step->birth,
                      "step", step->step, "element", step->element, "attempt",
                      (json_int_t)step->attempt, "target", step->target, "request", step->request,
                      "state", step->state, "answer", step->answer, "receiver", step->receiver,
                      "receiver_position", (json_int_t)step->receiver_position);
}

static void step_place(char place[static 48], int step, int element)
{
    snprintf(place, 48, REDIS_SEPARATOR "%09d" REDIS_SEPARATOR "%09d", step, element);
}

struct rows {
    struct redis_work *own;
    struct redis_words words;
    int count;
};

/* A record whose id is `prefix`, the number, and `suffix`; `record` is taken. */
static void row_put(struct rows *rows, const char *table, const char *prefix, const char *suffix,
                    json_t *record)
{
    char *key = redis_name(rows->own->redis, "fh", table), *text = json_text(record);
    redis_needs(rows->own, key, "hash");
    redis_word_number(&rows->words, 4);
    redis_row_word(&rows->words, "HSET", false, "");
    redis_row_word(&rows->words, key, false, "");
    redis_row_word(&rows->words, prefix, true, suffix);
    redis_row_word(&rows->words, text, false, "");
    rows->count++;
    json_text_free(text);
    json_decref(record);
    free(key);
}

static void row_order(struct rows *rows, const char *order, const char *prefix, const char *suffix)
{
    char *key = redis_name(rows->own->redis, "fh", order);
    redis_needs(rows->own, key, "zset");
    redis_word_number(&rows->words, 4);
    redis_row_word(&rows->words, "ZADD", false, "");
    redis_row_word(&rows->words, key, false, "");
    redis_row_word(&rows->words, "0", false, "");
    redis_row_word(&rows->words, prefix, true, suffix);
    rows->count++;
    free(key);
}

static void rows_of_saga(struct rows *rows, const struct ledger_saga *saga, const char *start_id)
{
    struct store *store = rows->own->work.store;
    char birth[REDIS_ID_SIZE], start[REDIS_ID_SIZE], order[64];
    snprintf(birth, sizeof birth, "%s" REDIS_SEPARATOR, saga->birth);
    snprintf(start, sizeof start, "%s" REDIS_SEPARATOR "%s\x1e%s" REDIS_SEPARATOR, saga->birth,
             start_id, saga->birth);
    snprintf(order, sizeof order, SAGAS ":%s", saga->status);
    row_put(rows, SAGAS, birth, "",
            redis_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:s, s:s}", "birth",
                       saga->birth, "name", saga->name, "input", saga->input, "state", saga->state,
                       "status", saga->status, "epoch", (json_int_t)saga->epoch, "deadline_ms",
                       (json_int_t)saga->deadline_ms, "updated_ms", (json_int_t)saga->updated_ms,
                       "closed", 0, "start_id", start_id, "owner", store->instance));
    row_order(rows, order, birth, "");
    row_order(rows, SAGAS ":start", start, "");
    if (redis_saga_is_over(saga->status))
        row_order(rows, SAGAS ":unclosed", birth, "");
}

enum fh_code redis_ledger_saga_start(struct store_work *work, struct ledger_event *event,
                                     struct ledger_saga *saga, const struct ledger_step *steps,
                                     int count, struct fh_error *error)
{
    struct rows rows = {.own = redis_work_of(work)};
    struct arena *arena = json_arena_set(NULL);
    char birth[REDIS_ID_SIZE], place[48];
    (void)error;
    redis_words_init(&rows.words);
    rows_of_saga(&rows, saga, event->id);
    snprintf(birth, sizeof birth, "%s" REDIS_SEPARATOR, saga->birth);
    for (int i = 0; i < count; i++) {
        step_place(place, steps[i].step, steps[i].element);
        row_put(&rows, STEPS, birth, place, step_json(&steps[i]));
        row_order(&rows, STEPS ":ids", birth, place);
    }
    json_arena_set(arena);
    redis_publish(rows.own, event, &rows.words, rows.count);
    redis_words_release(&rows.words);
    saga->number = event->position = event->previous = 0;
    saga->start_id = event->id;
    return FH_OK;
}

/* ---- One saga -------------------------------------------------------------------------------- */

static enum fh_code saga_read(struct store_work *work, const char *birth, int64_t number,
                              char id[static REDIS_ID_SIZE], json_t **ret, struct fh_error *error)
{
    *ret = NULL;
    enum fh_code code = saga_id(id, birth, number, error);
    return code ? code : redis_get(work, SAGAS, id, ret, error);
}

enum fh_code redis_ledger_saga_update(struct store_work *work, const struct ledger_saga *saga,
                                      struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *before;
    enum fh_code code = saga_read(work, saga->birth, saga->number, id, &before, error);
    if (!code && (!before || redis_integer(before, "epoch") != saga->epoch))
        code = error_set(error, FH_CONFLICT, "The saga is run by another instance now.");
    if (!code)
        code = redis_set(work, SAGAS, id, before,
                         redis_pack("{s:s, s:s, s:I, s:I}", "state", saga->state, "status",
                                    saga->status, "deadline_ms", (json_int_t)saga->deadline_ms,
                                    "updated_ms", (json_int_t)saga->updated_ms),
                         error);
    json_decref(before);
    return code;
}

static struct ledger_saga saga_of(const json_t *record, int64_t number)
{
    return (struct ledger_saga){.birth = redis_text(record, "birth"),
                                .number = number,
                                .start_id = redis_text(record, "start_id"),
                                .name = redis_text(record, "name"),
                                .input = redis_text(record, "input"),
                                .state = redis_text(record, "state"),
                                .status = redis_text(record, "status"),
                                .epoch = redis_integer(record, "epoch"),
                                .deadline_ms = redis_integer(record, "deadline_ms"),
                                .updated_ms = redis_integer(record, "updated_ms")};
}

static void saga_copy(struct arena *arena, const json_t *record, int64_t number,
                      struct ledger_saga *ret)
{
    *ret = saga_of(record, number);
    ret->birth = arena_text(arena, ret->birth);
    ret->start_id = arena_text(arena, ret->start_id);
    ret->name = arena_text(arena, ret->name);
    ret->input = arena_text(arena, ret->input);
    ret->state = arena_text(arena, ret->state);
    ret->status = arena_text(arena, ret->status);
}

enum fh_code redis_ledger_saga_get(struct store_work *work, struct arena *arena, const char *birth,
                                   int64_t number, struct ledger_saga *ret, struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *record;
    enum fh_code code = saga_read(work, birth, number, id, &record, error);
    if (!code && record)
        saga_copy(arena, record, number, ret);
    else if (!code)
        code = error_set(error, FH_NOT_FOUND, "There is no such saga.");
    json_decref(record);
    return code;
}

enum fh_code redis_ledger_saga_find(struct store_work *work, struct arena *arena, const char *birth,
                                    const char *start_id, struct ledger_saga *ret,
                                    struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE];
    json_t *list = NULL;
    enum fh_code code = redis_id(prefix, error, "%s" REDIS_SEPARATOR "%s\x1e", birth, start_id);
    struct redis_range one = {.order = SAGAS ":start", .prefix = prefix, .limit = 1};
    if (!code)
        code = redis_range(work, SAGAS, &one, &list, error);
    const json_t *record = json_array_get(list, 0);
    if (!code && record)
        saga_copy(arena, record, redis_saga_number(record), ret);
    else if (!code)
        code = error_set(error, FH_NOT_FOUND, "There is no such saga.");
    json_decref(list);
    return code;
}

enum fh_code redis_ledger_step_put(struct store_work *work, const struct ledger_step *step,
                                   struct fh_error *error)
{
    char id[REDIS_ID_SIZE], place[48];
    step_place(place, step->step, step->element);
    enum fh_code code = redis_id(id, error, "%s" REDIS_SEPARATOR REDIS_NUMBER "%s", step->birth,
                                 step->number, place);
    return code ? code : redis_put(work, STEPS, id, step_json(step), error);
}

struct steps {
    bool (*visit)(void *context, const struct ledger_step *step);
    void *context;
    struct arena *arena;
    int64_t number;
};

static bool visit_step(void *context, const json_t *record)
{
    const struct steps *to = context;
    struct ledger_step step = {.birth = redis_copy(to->arena, redis_text(record, "birth")),
                               .number = to->number,
                               .step = (int)redis_integer(record, "step"),
                               .element = (int)redis_integer(record, "element"),
                               .attempt = redis_integer(record, "attempt"),
                               .target = redis_copy(to->arena, redis_text(record, "target")),
                               .request = redis_copy(to->arena, redis_text(record, "request")),
                               .state = redis_copy(to->arena, redis_text(record, "state")),
                               .answer = redis_copy(to->arena, redis_text(record, "answer")),
                               .receiver = redis_copy(to->arena, redis_text(record, "receiver")),
                               .receiver_position = redis_integer(record, "receiver_position")};
    return to->visit(to->context, &step);
}

enum fh_code redis_ledger_steps_get(struct store_work *work, struct arena *arena, const char *birth,
                                    int64_t number,
                                    bool (*visit)(void *context, const struct ledger_step *step),
                                    void *context, struct fh_error *error)
{
    struct steps to = {visit, context, arena, number};
    char prefix[REDIS_ID_SIZE];
    enum fh_code code =
        redis_id(prefix, error, "%s" REDIS_SEPARATOR REDIS_NUMBER REDIS_SEPARATOR, birth, number);
    struct redis_range all = {.order = STEPS ":ids", .prefix = prefix};
    return code ? code : redis_each(work, STEPS, &all, visit_step, &to, error);
}

/* ---- Many ------------------------------------------------------------------------------------ */

static int by_id(const void *left, const void *right)
{
    const json_t *const *a = left, *const *b = right;
    return strcmp(redis_text(*a, "id"), redis_text(*b, "id"));
}

enum fh_code redis_sagas_open(struct store_work *work, const char *birth, json_t **ret,
                              struct fh_error *error)
{
    static const char *const orders[] = {SAGAS ":running", SAGAS ":compensating", SAGAS ":parked"};
    char prefix[REDIS_ID_SIZE] = "";
    json_t *all = redis_pack("[]"), *some;
    enum fh_code code = birth ? redis_id(prefix, error, "%s" REDIS_SEPARATOR, birth) : FH_OK;
    for (int i = 0; i < 3 && !code; i++) {
        struct redis_range range = {.order = orders[i], .prefix = prefix};
        code = redis_range(work, SAGAS, &range, &some, error);
        if (!code) {
            struct arena *arena = json_arena_set(NULL);
            json_array_extend(all, some);
            json_arena_set(arena);
            json_decref(some);
        }
    }
    size_t count = json_array_size(all);
    const json_t **list = calloc(count + 1, sizeof(const json_t *));
    FH_ASSERT(list != NULL);
    for (size_t i = 0; i < count; i++)
        list[i] = json_array_get(all, i);
    qsort((void *)list, count, sizeof *list, by_id);
    *ret = redis_pack("[]");
    struct arena *arena = json_arena_set(NULL);
    for (size_t i = 0; i < count && !code; i++)
        json_array_append(*ret, (json_t *)(uintptr_t)list[i]);
    json_arena_set(arena);
    free((void *)list);
    json_decref(all);
    return code;
}

enum fh_code redis_ledger_sagas_open(struct store_work *work, const char *owner,
                                     bool (*visit)(void *context, const struct ledger_saga *saga),
                                     void *context, struct fh_error *error)
{
    json_t *list, *record;
    size_t index;
    bool goes_on = true;
    enum fh_code code = redis_sagas_open(work, NULL, &list, error);
    json_array_foreach (list, index, record) {
        struct ledger_saga saga = saga_of(record, redis_saga_number(record));
        if (!owner || strcmp(redis_text(record, "owner"), owner) == 0)
            goes_on = goes_on && visit(context, &saga);
    }
    json_decref(list);
    return code;
}

static enum fh_code saga_give(struct store_work *work, const char *id, const json_t *saga,
                              const char *owner, struct fh_error *error)
{
    return redis_set(work, SAGAS, id, saga,
                     redis_pack("{s:s, s:I}", "owner", owner, "epoch",
                                (json_int_t)redis_integer(saga, "epoch") + 1),
                     error);
}

struct lives {
    json_t *owners; /* {"0.3f9a0c12": true} */
};

static bool note_life(void *context, const struct ledger_lease *lease)
{
    struct lives *lives = context;
    struct arena *arena = json_arena_set(NULL);
    if (strncmp(lease->name, LEDGER_INSTANCE, sizeof LEDGER_INSTANCE - 1) == 0)
        json_object_set_new(lives->owners, lease->owner, json_true());
    json_arena_set(arena);
    return true;
}

enum fh_code redis_ledger_sagas_adopt(struct store_work *work, const char *owner,
                                      int64_t *ret_adopted, struct fh_error *error)
{
    struct lives lives = {.owners = redis_pack("{}")};
    json_t *list = NULL, *saga;
    size_t index;
    *ret_adopted = 0;
    enum fh_code code = redis_ledger_leases_get(work, note_life, &lives, error);
    if (!code)
        code = redis_sagas_open(work, NULL, &list, error);
    json_array_foreach (list, index, saga) {
        if (code || *ret_adopted == ADOPTED_MAX ||
            json_object_get(lives.owners, redis_text(saga, "owner")))
            continue;
        code = saga_give(work, redis_text(saga, "id"), saga, owner, error);
        *ret_adopted += !code;
    }
    json_decref(list);
    json_decref(lives.owners);
    return code;
}

enum fh_code redis_ledger_saga_take(struct store_work *work, const char *birth, int64_t number,
                                    const char *owner, struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *saga;
    enum fh_code code = saga_read(work, birth, number, id, &saga, error);
    if (!code && saga)
        code = saga_give(work, id, saga, owner, error);
    json_decref(saga);
    return code;
}
