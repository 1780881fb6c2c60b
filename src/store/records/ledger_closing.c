/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger as records: which sagas are still to be closed, and which may be forgotten. */

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "store/records/records.h"

#define SAGAS "saga"
#define STEPS "saga_step"

static enum fh_code last_over(struct store_work *work, const char *birth, int64_t *ret,
                              struct fh_error *error)
{
    json_t *list;
    struct record_range last = {.table = SAGAS,
                                .list = RECORDS_OVER,
                                .fields = {{"birth", birth}},
                                .limit = 1,
                                .last_first = true};
    enum fh_code code = records_gather(work, &last, &list, error);
    const json_t *saga = json_array_get(list, 0);
    *ret = saga ? record_number(saga) : 0;
    json_decref(list);
    return code;
}

static bool add_closable_number(void *context, json_t *saga)
{
    struct text *text = context;
    text_printf(text, "%s%" PRId64, text->length > 1 ? "," : "", record_number(saga));
    return true;
}

/* The highest ended number is read before the open ones: a saga that ends in between is just
 * reported as open once more. None with a lower number can appear later: they come in the order of
 * their numbers. */
enum fh_code records_sagas_closable(struct store_work *work, struct arena *arena, const char *birth,
                                    struct ledger_caller *ret, struct fh_error *error)
{
    struct text open;
    *ret = (struct ledger_caller){.still_open = "[]"};
    enum fh_code code = last_over(work, birth, &ret->closed_through, error);
    if (code || ret->closed_through == 0)
        return code;
    text_init(&open, TEXT_LENGTH_MAX);
    text_add(&open, "[");
    struct record_range before = {.table = SAGAS,
                                  .list = RECORDS_OPEN,
                                  .fields = {{"birth", birth}},
                                  .below = ret->closed_through};
    code = records_each(work, &before, add_closable_number, &open, error);
    text_add(&open, "]");
    if (!code && open.overflow)
        code = error_set(error, FH_NO_MEMORY, "Too many sagas are open.");
    if (!code)
        ret->still_open = arena_copy(arena, open.data, open.length);
    text_release(&open);
    return code;
}

/* A saga that has ended changes only by this mark, so nothing depends on how it is found. */
enum fh_code records_sagas_closed(struct store_work *work, const char *birth,
                                  const struct ledger_caller *closed, int64_t *ret_marked,
                                  struct fh_error *error)
{
    json_t *open = NULL, *list = NULL, *saga;
    size_t index;
    struct arena *arena = json_arena_set(NULL);
    *ret_marked = 0;
    enum fh_code code = json_parse(closed->still_open, strlen(closed->still_open), &open, error);
    struct record_range range = {.table = SAGAS,
                                 .list = RECORDS_UNCLOSED,
                                 .fields = {{"birth", birth}},
                                 .below = record_behind(closed->closed_through),
                                 .limit = RECORDS_CHANGED_MAX,
                                 .looks = true};
    if (!code)
        code = records_gather(work, &range, &list, error);
    json_array_foreach (list, index, saga) {
        if (code || record_names(open, record_number(saga)))
            continue;
        code = records_set(work, SAGAS, record_text(saga, "id"), saga,
                           record_pack("{s:i}", "closed", 1), error);
        *ret_marked += !code;
    }
    json_decref(list);
    json_decref(open);
    json_arena_set(arena);
    return code;
}

/* ---- Whom to tell ---- */

/* Goes through the steps of sagas, one saga after another. */
struct looking {
    struct store_work *work;
    bool (*look)(struct looking *looking, const json_t *step);
    const json_t *saga;
    enum fh_code code;
    struct fh_error *error;
    bool over; /* look has stopped it */
};

static bool look_at_step(void *context, json_t *step)
{
    struct looking *looking = context;
    looking->over = !looking->look(looking, step);
    return !looking->over;
}

static bool look_at_saga(void *context, json_t *saga)
{
    struct looking *looking = context;
    struct record_range steps = {.table = STEPS, .within = record_text(saga, "id")};
    looking->saga = saga;
    looking->code = records_each(looking->work, &steps, look_at_step, looking, looking->error);
    return !looking->code && !looking->over;
}

static enum fh_code look_at_steps(struct looking *looking, enum record_list list)
{
    struct record_range sagas = {.table = SAGAS, .list = list};
    enum fh_code code = records_each(looking->work, &sagas, look_at_saga, looking, looking->error);
    return code ? code : looking->code;
}

struct unclosed {
    struct looking looking; /* must be first */
    json_t *pairs;          /* {birth: {target: true}} */
};

static bool gather_target(struct looking *looking, const json_t *step)
{
    json_t *pairs = ((struct unclosed *)looking)->pairs;
    const char *birth = record_text(step, "birth"), *target = record_text(step, "target");
    struct arena *arena = json_arena_set(NULL);
    if (!json_object_get(pairs, birth))
        json_object_set_new(pairs, birth, json_object());
    if (*target)
        json_object_set_new(json_object_get(pairs, birth), target, json_true());
    json_arena_set(arena);
    return true;
}

enum fh_code records_sagas_unclosed(struct store_work *work,
                                    bool (*visit)(void *context, const char *birth,
                                                  const char *target),
                                    void *context, struct fh_error *error)
{
    struct unclosed unclosed = {{.work = work, .look = gather_target, .error = error},
                                record_pack("{}")};
    json_t *targets, *ignored;
    const char *birth, *target;
    bool goes_on = true;
    enum fh_code code = look_at_steps(&unclosed.looking, RECORDS_UNCLOSED);
    if (!code) {
        json_object_foreach (unclosed.pairs, birth, targets) {
            json_object_foreach (targets, target, ignored)
                goes_on = goes_on && visit(context, birth, target);
        }
    }
    json_decref(unclosed.pairs);
    return code;
}

/* ---- What restored receivers may have lost ---- */

struct answered {
    struct looking looking; /* must be first */
    const char *target, *present;
    bool (*visit)(void *context, const struct ledger_saga *saga, const struct ledger_step *step);
    void *context;
};

static bool see_answered_record(struct looking *looking, const json_t *record)
{
    const struct answered *to = (struct answered *)looking;
    const char *receiver = record_optional(record, "receiver");
    if (!receiver || strcmp(receiver, to->present) == 0 ||
        strcmp(record_text(record, "target"), to->target) != 0)
        return true;
    struct ledger_saga saga = {.birth = record_text(looking->saga, "birth"),
                               .number = record_number(looking->saga),
                               .start_id = "",
                               .name = record_text(looking->saga, "name"),
                               .input = "",
                               .state = "",
                               .status = record_text(looking->saga, "status")};
    struct ledger_step step = {.birth = saga.birth,
                               .number = saga.number,
                               .step = (int)record_integer(record, "step"),
                               .element = (int)record_integer(record, "element"),
                               .attempt = record_integer(record, "attempt"),
                               .target = to->target,
                               .request = "",
                               .state = record_text(record, "state"),
                               .receiver = receiver,
                               .receiver_position = record_integer(record, "receiver_position")};
    return to->visit(to->context, &saga, &step);
}

enum fh_code records_steps_answered(struct store_work *work, const char *target,
                                    const char *present,
                                    bool (*visit)(void *context, const struct ledger_saga *saga,
                                                  const struct ledger_step *step),
                                    void *context, struct fh_error *error)
{
    struct answered to = {{.work = work, .look = see_answered_record, .error = error},
                          target,
                          present,
                          visit,
                          context};
    return look_at_steps(&to.looking, RECORDS_AT_REST);
}

/* ---- Forgetting ---- */

static enum fh_code forget_saga(struct store_work *work, const char *saga, struct fh_error *error)
{
    enum fh_code code = records_of(work)->clear(work, STEPS, saga, error);
    return code ? code : records_put(work, SAGAS, saga, NULL, error);
}

/* A saga that has ended and is closed never changes again. */
enum fh_code records_sagas_forget(struct store_work *work, int64_t number_max, int64_t before_ms,
                                  int limit, struct ledger_counts *ret_removed,
                                  struct fh_error *error)
{
    json_t *list, *saga;
    size_t index;
    *ret_removed = (struct ledger_counts){0};
    struct record_range oldest = {.table = SAGAS,
                                  .list = RECORDS_CLOSED,
                                  .below = record_behind(number_max),
                                  .before_ms = before_ms,
                                  .limit = limit,
                                  .looks = true};
    enum fh_code code = records_gather(work, &oldest, &list, error);
    json_array_foreach (list, index, saga) {
        if (!code)
            code = forget_saga(work, record_text(saga, "id"), error);
        if (strcmp(record_text(saga, "status"), "ended") == 0)
            ret_removed->ended++;
        else if (strcmp(record_text(saga, "status"), "undone") == 0)
            ret_removed->undone++;
        else
            ret_removed->abandoned++;
    }
    json_decref(list);
    return code;
}
