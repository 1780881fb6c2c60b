/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger on Redis: what is yet to be closed of sagas, and how many there are. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/keyvalue/redis_ledger.h"

#define SAGAS "saga"
#define CLOSED_MAX 1000 /* sagas that one work marks; the rest at the next closing */

bool redis_names(const json_t *numbers, int64_t number)
{
    size_t index;
    json_t *one;
    json_array_foreach (numbers, index, one) {
        if (json_integer_value(one) == number)
            return true;
    }
    return false;
}

/* The highest number of an ended saga of `birth`, 0: none. */
static enum fh_code last_ended(struct store_work *work, const char *birth, int64_t *ret,
                               struct fh_error *error)
{
    static const char *const orders[] = {SAGAS ":ended", SAGAS ":undone", SAGAS ":abandoned"};
    char prefix[REDIS_ID_SIZE];
    *ret = 0;
    enum fh_code code = redis_id(prefix, error, "%s" REDIS_SEPARATOR, birth);
    for (int i = 0; i < 3 && !code; i++) {
        struct redis_range last = {
            .order = orders[i], .prefix = prefix, .limit = 1, .last_first = true};
        json_t *list;
        code = redis_range(work, SAGAS, &last, &list, error);
        const json_t *record = code ? NULL : json_array_get(list, 0);
        if (record && redis_saga_number(record) > *ret)
            *ret = redis_saga_number(record);
        json_decref(list);
    }
    return code;
}

/* The end is read before what is open: a saga that ends in between is told as open once more. One
 * with a lower number that is not there yet can't be: they come in the order of their numbers. */
enum fh_code redis_ledger_sagas_closable(struct store_work *work, struct arena *arena,
                                         const char *birth, struct ledger_caller *ret,
                                         struct fh_error *error)
{
    json_t *list = NULL, *record;
    size_t index;
    struct text open;
    *ret = (struct ledger_caller){.still_open = "[]"};
    enum fh_code code = last_ended(work, birth, &ret->closed_through, error);
    if (!code)
        code = redis_sagas_open(work, birth, &list, error);
    if (code) {
        json_decref(list);
        return code;
    }
    text_init(&open, TEXT_LENGTH_MAX);
    text_add(&open, "[");
    json_array_foreach (list, index, record) {
        if (redis_saga_number(record) < ret->closed_through)
            text_printf(&open, "%s%" PRId64, open.length > 1 ? "," : "", redis_saga_number(record));
    }
    text_add(&open, "]");
    json_decref(list);
    if (open.overflow)
        code = error_set(error, FH_NO_MEMORY, "Too many sagas are open.");
    else
        ret->still_open = arena_copy(arena, open.data, open.length);
    text_release(&open);
    return code;
}

/* What has ended does not change but for this mark, so nothing depends on how it is found. */
enum fh_code redis_ledger_sagas_closed(struct store_work *work, const char *birth,
                                       const struct ledger_caller *closed, int64_t *ret_marked,
                                       struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE], below[24];
    json_t *open = NULL, *list = NULL, *saga;
    size_t index;
    struct arena *arena = json_arena_set(NULL);
    *ret_marked = 0;
    snprintf(below, sizeof below, REDIS_NUMBER, closed->closed_through + 1);
    enum fh_code code = json_parse(closed->still_open, strlen(closed->still_open), &open, error);
    if (!code)
        code = redis_id(prefix, error, "%s" REDIS_SEPARATOR, birth);
    struct redis_range range = {.order = SAGAS ":unclosed",
                                .prefix = prefix,
                                .below = below,
                                .limit = CLOSED_MAX,
                                .looks = true};
    if (!code)
        code = redis_range(work, SAGAS, &range, &list, error);
    json_array_foreach (list, index, saga) {
        if (code || redis_names(open, redis_saga_number(saga)))
            continue;
        code = redis_set(work, SAGAS, redis_text(saga, "id"), saga,
                         redis_pack("{s:i}", "closed", 1), error);
        *ret_marked += !code;
    }
    json_decref(list);
    json_decref(open);
    json_arena_set(arena);
    return code;
}

/* ---- Whom to tell ------------------------------------------------------------------------------
 */

static bool gather_target(void *context, const json_t *step)
{
    json_t *pairs = context;
    const char *birth = redis_text(step, "birth"), *target = redis_text(step, "target");
    struct arena *arena = json_arena_set(NULL);
    if (!json_object_get(pairs, birth))
        json_object_set_new(pairs, birth, json_object());
    if (*target)
        json_object_set_new(json_object_get(pairs, birth), target, json_true());
    json_arena_set(arena);
    return true;
}

static enum fh_code gather_targets(struct store_work *work, const char *saga, json_t *pairs,
                                   struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE];
    enum fh_code code = redis_id(prefix, error, "%s" REDIS_SEPARATOR, saga);
    struct redis_range steps = {.order = "saga_step:ids", .prefix = prefix};
    return code ? code : redis_each(work, "saga_step", &steps, gather_target, pairs, error);
}

enum fh_code redis_ledger_sagas_unclosed(struct store_work *work,
                                         bool (*visit)(void *context, const char *birth,
                                                       const char *target),
                                         void *context, struct fh_error *error)
{
    json_t *pairs = redis_pack("{}"), *list = NULL, *saga, *targets, *ignored;
    size_t index;
    const char *birth, *target;
    bool goes_on = true;
    struct redis_range unclosed = {.order = SAGAS ":unclosed", .prefix = ""};
    enum fh_code code = redis_range(work, SAGAS, &unclosed, &list, error);
    json_array_foreach (list, index, saga) {
        if (!code)
            code = gather_targets(work, redis_text(saga, "id"), pairs, error);
    }
    json_decref(list);
    if (!code) {
        json_object_foreach (pairs, birth, targets) {
            json_object_foreach (targets, target, ignored)
                goes_on = goes_on && visit(context, birth, target);
        }
    }
    json_decref(pairs);
    return code;
}

/* ---- What restored receivers may have lost ---------------------------------------------------
 */

struct answered {
    const char *target, *present;
    bool (*visit)(void *context, const struct ledger_saga *saga, const struct ledger_step *step);
    void *context;
    const json_t *saga; /* whose steps are looked at */
    bool over;          /* the visit has ended it */
};

static bool visit_answered(void *context, const json_t *record)
{
    struct answered *to = context;
    const char *receiver = redis_text(record, "receiver");
    if (!receiver || strcmp(receiver, to->present) == 0 ||
        strcmp(redis_text(record, "target"), to->target) != 0)
        return true;
    struct ledger_saga saga = {.birth = redis_text(to->saga, "birth"),
                               .number = redis_saga_number(to->saga),
                               .start_id = "",
                               .name = redis_text(to->saga, "name"),
                               .input = "",
                               .state = "",
                               .status = redis_text(to->saga, "status")};
    struct ledger_step step = {.birth = saga.birth,
                               .number = saga.number,
                               .step = (int)redis_integer(record, "step"),
                               .element = (int)redis_integer(record, "element"),
                               .attempt = redis_integer(record, "attempt"),
                               .target = to->target,
                               .request = "",
                               .state = redis_text(record, "state"),
                               .receiver = receiver,
                               .receiver_position = redis_integer(record, "receiver_position")};
    to->over = !to->visit(to->context, &saga, &step);
    return !to->over;
}

static enum fh_code look_at_answered(struct store_work *work, struct answered *to,
                                     struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE];
    enum fh_code code = redis_id(prefix, error, "%s" REDIS_SEPARATOR, redis_text(to->saga, "id"));
    struct redis_range steps = {.order = "saga_step:ids", .prefix = prefix};
    return code ? code : redis_each(work, "saga_step", &steps, visit_answered, to, error);
}

enum fh_code redis_ledger_steps_answered(
    struct store_work *work, const char *target, const char *present,
    bool (*visit)(void *context, const struct ledger_saga *saga, const struct ledger_step *step),
    void *context, struct fh_error *error)
{
    static const char *const orders[] = {SAGAS ":ended", SAGAS ":undone", SAGAS ":parked",
                                         SAGAS ":abandoned"};
    struct answered to = {.target = target, .present = present, .visit = visit, .context = context};
    enum fh_code code = FH_OK;
    for (int i = 0; i < 4 && !code && !to.over; i++) {
        json_t *list = NULL, *saga;
        size_t index;
        struct redis_range range = {.order = orders[i], .prefix = ""};
        code = redis_range(work, SAGAS, &range, &list, error);
        json_array_foreach (list, index, saga) {
            to.saga = saga;
            if (!code && !to.over)
                code = look_at_answered(work, &to, error);
        }
        json_decref(list);
    }
    return code;
}

/* ---- Forgetting --------------------------------------------------------------------------------
 */

static enum fh_code forget(struct store_work *work, const char *saga, struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE];
    json_t *list = NULL, *step;
    size_t index;
    enum fh_code code = redis_id(prefix, error, "%s" REDIS_SEPARATOR, saga);
    struct redis_range steps = {.order = "saga_step:ids", .prefix = prefix, .looks = true};
    if (!code)
        code = redis_range(work, "saga_step", &steps, &list, error);
    json_array_foreach (list, index, step) {
        if (!code)
            code = redis_put(work, "saga_step", redis_text(step, "id"), NULL, error);
    }
    json_decref(list);
    return code ? code : redis_put(work, SAGAS, saga, NULL, error);
}

/* What has ended and is closed does not change any more. */
enum fh_code redis_ledger_sagas_forget(struct store_work *work, int64_t number_max,
                                       int64_t before_ms, int limit,
                                       struct ledger_counts *ret_removed, struct fh_error *error)
{
    char below[24];
    json_t *list, *saga;
    size_t index;
    *ret_removed = (struct ledger_counts){0};
    snprintf(below, sizeof below, REDIS_NUMBER,
             number_max < INT64_MAX ? number_max + 1 : number_max);
    struct redis_range oldest = {
        .order = SAGAS ":closed", .prefix = "", .below = below, .limit = limit, .looks = true};
    enum fh_code code = redis_range(work, SAGAS, &oldest, &list, error);
    json_array_foreach (list, index, saga) {
        if (code || redis_integer(saga, "updated_ms") >= before_ms)
            continue;
        code = forget(work, redis_text(saga, "id"), error);
        if (strcmp(redis_text(saga, "status"), "ended") == 0)
            ret_removed->ended++;
        else if (strcmp(redis_text(saga, "status"), "undone") == 0)
            ret_removed->undone++;
        else
            ret_removed->abandoned++;
    }
    json_decref(list);
    return code;
}

/* ---- Counts ------------------------------------------------------------------------------------
 */

enum fh_code redis_ledger_saga_counts(struct store_work *work, struct ledger_counts *ret,
                                      struct fh_error *error)
{
    *ret = (struct ledger_counts){0};
    struct {
        const char *order;
        int64_t *count;
    } counts[] = {{SAGAS ":running", &ret->running}, {SAGAS ":compensating", &ret->compensating},
                  {SAGAS ":ended", &ret->ended},     {SAGAS ":undone", &ret->undone},
                  {SAGAS ":parked", &ret->parked},   {SAGAS ":abandoned", &ret->abandoned}};
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0] && !code; i++)
        code = redis_count(work, counts[i].order, counts[i].count, error);
    return code;
}
