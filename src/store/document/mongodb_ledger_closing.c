/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger on MongoDB: what is yet to be closed of sagas, and how many there are. */

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "store/document/mongodb_ledger.h"

static bool add_number(void *context, const json_t *document)
{
    struct text *text = context;
    text_printf(text, "%s%" PRId64, text->length > 1 ? "," : "",
                mongodb_integer(document, "number"));
    return true;
}

/* The end is read before what is open: a saga that ends in between is told as open once more. One
 * with a lower number that is not there yet can't be: they come in the order of their numbers. */
enum fh_code mongodb_ledger_sagas_closable(struct store_work *work, struct arena *arena,
                                           const char *birth, struct ledger_caller *ret,
                                           struct fh_error *error)
{
    json_t *last;
    struct text open;
    *ret = (struct ledger_caller){.still_open = "[]"};
    json_t *filter = mongodb_also(mongodb_sagas_which(MONGODB_ENDED_SAGAS),
                                  mongodb_pack("{s:s}", "birth", birth));
    enum fh_code code = mongodb_some(work, MONGODB_SAGAS, filter, 1, true, false, &last, error);
    if (code)
        return code;
    ret->closed_through = mongodb_integer(json_array_get(last, 0), "number");
    json_decref(last);
    text_init(&open, TEXT_LENGTH_MAX);
    text_add(&open, "[");
    filter = mongodb_also(mongodb_sagas_which(MONGODB_OPEN_SAGAS),
                          mongodb_pack("{s:s, s:{s:I}}", "birth", birth, "number", "$lt",
                                       (json_int_t)ret->closed_through));
    code = mongodb_each(work, MONGODB_SAGAS, filter, add_number, &open, error);
    text_add(&open, "]");
    if (!code && open.overflow)
        code = error_set(error, FH_NO_MEMORY, "Too many sagas are open.");
    if (!code)
        ret->still_open = arena_copy(arena, open.data, open.length);
    text_release(&open);
    return code;
}

static bool names(const json_t *numbers, int64_t number)
{
    size_t index;
    json_t *one;
    json_array_foreach (numbers, index, one) {
        if (json_integer_value(one) == number)
            return true;
    }
    return false;
}

/* As many as one work writes; the rest at the next closing. What has ended does not change but for
 * this mark, so nothing depends on how it is found. */
enum fh_code mongodb_ledger_sagas_closed(struct store_work *work, const char *birth,
                                         const struct ledger_caller *closed, int64_t *ret_marked,
                                         struct fh_error *error)
{
    json_t *open = NULL, *list = NULL, *saga;
    size_t index;
    struct arena *arena = json_arena_set(NULL);
    *ret_marked = 0;
    enum fh_code code = json_parse(closed->still_open, strlen(closed->still_open), &open, error);
    json_t *filter =
        mongodb_also(mongodb_sagas_which(MONGODB_ENDED_SAGAS),
                     mongodb_pack("{s:s, s:i, s:{s:I}}", "birth", birth, "closed", 0, "number",
                                  "$lte", (json_int_t)closed->closed_through));
    if (!code)
        code = mongodb_some(work, MONGODB_SAGAS, filter, DOCUMENTS_MAX, false, true, &list, error);
    else
        json_decref(filter);
    json_array_foreach (list, index, saga) {
        if (code || names(open, mongodb_integer(saga, "number")))
            continue;
        code = mongodb_set(work, MONGODB_SAGAS, mongodb_text(saga, "id"), saga,
                           mongodb_pack("{s:i}", "closed", 1), error);
        *ret_marked += !code;
    }
    json_decref(list);
    json_decref(open);
    json_arena_set(arena);
    return code;
}

struct unclosed {
    struct store_work *work;
    json_t *pairs; /* {birth: {target: true}} */
    enum fh_code code;
    struct fh_error *error;
};

static bool gather_target(void *context, const json_t *step)
{
    struct unclosed *unclosed = context;
    const char *birth = mongodb_text(step, "birth"), *target = mongodb_text(step, "target");
    struct arena *arena = json_arena_set(NULL);
    if (!json_object_get(unclosed->pairs, birth))
        json_object_set_new(unclosed->pairs, birth, json_object());
    if (*target)
        json_object_set_new(json_object_get(unclosed->pairs, birth), target, json_true());
    json_arena_set(arena);
    return true;
}

static bool gather_targets(void *context, const json_t *saga)
{
    struct unclosed *unclosed = context;
    unclosed->code = mongodb_each(
        unclosed->work, MONGODB_STEPS,
        mongodb_steps_filter(mongodb_text(saga, "birth"), mongodb_integer(saga, "number")),
        gather_target, unclosed, unclosed->error);
    return unclosed->code == FH_OK;
}

enum fh_code mongodb_ledger_sagas_unclosed(struct store_work *work,
                                           bool (*visit)(void *context, const char *birth,
                                                         const char *target),
                                           void *context, struct fh_error *error)
{
    struct unclosed unclosed = {.work = work, .pairs = mongodb_pack("{}"), .error = error};
    json_t *filter = mongodb_also(mongodb_sagas_which(MONGODB_ENDED_SAGAS),
                                  mongodb_pack("{s:i}", "closed", 0)),
           *targets, *ignored;
    const char *birth, *target;
    bool goes_on = true;
    enum fh_code code = mongodb_each(work, MONGODB_SAGAS, filter, gather_targets, &unclosed, error);
    if (!code)
        code = unclosed.code;
    if (!code) {
        json_object_foreach (unclosed.pairs, birth, targets) {
            json_object_foreach (targets, target, ignored)
                goes_on = goes_on && visit(context, birth, target);
        }
    }
    json_decref(unclosed.pairs);
    return code;
}

/* ---- What restored receivers may have lost ---------------------------------------------------
 */

struct answered {
    struct store_work *work;
    const char *target, *present;
    bool (*visit)(void *context, const struct ledger_saga *saga, const struct ledger_step *step);
    void *context;
    const json_t *saga; /* whose steps are looked at */
    enum fh_code code;
    struct fh_error *error;
};

static bool visit_answered(void *context, const json_t *document)
{
    const struct answered *to = context;
    const char *receiver = mongodb_text(document, "receiver");
    if (!receiver || strcmp(receiver, to->present) == 0 ||
        strcmp(mongodb_text(document, "target"), to->target) != 0)
        return true;
    struct ledger_saga saga = {.birth = mongodb_text(to->saga, "birth"),
                               .number = mongodb_integer(to->saga, "number"),
                               .start_id = "",
                               .name = mongodb_text(to->saga, "name"),
                               .input = "",
                               .state = "",
                               .status = mongodb_text(to->saga, "status")};
    struct ledger_step step = {.birth = saga.birth,
                               .number = saga.number,
                               .step = (int)mongodb_integer(document, "step"),
                               .element = (int)mongodb_integer(document, "element"),
                               .attempt = mongodb_integer(document, "attempt"),
                               .target = to->target,
                               .request = "",
                               .state = mongodb_text(document, "state"),
                               .receiver = receiver,
                               .receiver_position = mongodb_integer(document, "receiver_position")};
    return to->visit(to->context, &saga, &step);
}

static bool look_at_answered(void *context, const json_t *saga)
{
    struct answered *to = context;
    to->saga = saga;
    to->code = mongodb_each(
        to->work, MONGODB_STEPS,
        mongodb_steps_filter(mongodb_text(saga, "birth"), mongodb_integer(saga, "number")),
        visit_answered, to, to->error);
    return to->code == FH_OK;
}

enum fh_code mongodb_ledger_steps_answered(
    struct store_work *work, const char *target, const char *present,
    bool (*visit)(void *context, const struct ledger_saga *saga, const struct ledger_step *step),
    void *context, struct fh_error *error)
{
    static const char *const statuses_over[] = {"ended", "undone", "parked", "abandoned", NULL};
    struct answered to = {.work = work,
                          .target = target,
                          .present = present,
                          .visit = visit,
                          .context = context,
                          .error = error};
    enum fh_code code = mongodb_each(work, MONGODB_SAGAS, mongodb_sagas_which(statuses_over),
                                     look_at_answered, &to, error);
    return code ? code : to.code;
}

/* ---- Forgetting ------------------------------------------------------------------------------ */

static enum fh_code forget(struct store_work *work, const json_t *saga, struct fh_error *error)
{
    json_t *steps =
        mongodb_steps_filter(mongodb_text(saga, "birth"), mongodb_integer(saga, "number"));
    json_t *range = mongodb_pack("{s:O}", "_id", json_object_get(steps, "id"));
    json_decref(steps);
    enum fh_code code = mongodb_remove_range(work, MONGODB_STEPS, range, error);
    return code ? code : mongodb_put(work, MONGODB_SAGAS, mongodb_text(saga, "id"), NULL, error);
}

/* What has ended and is closed does not change any more. */
enum fh_code mongodb_ledger_sagas_forget(struct store_work *work, int64_t number_max,
                                         int64_t before_ms, int limit,
                                         struct ledger_counts *ret_removed, struct fh_error *error)
{
    json_t *list, *saga;
    size_t index;
    *ret_removed = (struct ledger_counts){0};
    json_t *filter = mongodb_also(mongodb_sagas_which(MONGODB_ENDED_SAGAS),
                                  mongodb_pack("{s:i, s:{s:I}, s:{s:I}}", "closed", 1, "number",
                                               "$lte", (json_int_t)number_max, "updated_ms", "$lt",
                                               (json_int_t)before_ms));
    enum fh_code code = mongodb_some(work, MONGODB_SAGAS, filter, limit, false, true, &list, error);
    json_array_foreach (list, index, saga) {
        if (!code)
            code = forget(work, saga, error);
        if (strcmp(mongodb_text(saga, "status"), "ended") == 0)
            ret_removed->ended++;
        else if (strcmp(mongodb_text(saga, "status"), "undone") == 0)
            ret_removed->undone++;
        else
            ret_removed->abandoned++;
    }
    json_decref(list);
    return code;
}

/* ---- Counts ---------------------------------------------------------------------------------- */

#define STATUSES 6
static const char *const statuses[STATUSES] = {"running", "compensating", "ended",
                                               "undone",  "parked",       "abandoned"};

struct counting {
    struct mongodb_call call; /* first */
    int64_t counts[STATUSES];
};

static enum fh_code count_run(struct mongodb_call *call, struct fh_error *error)
{
    struct counting *counting = (struct counting *)call;
    mongoc_collection_t *sagas = mongodb_collection(call, MONGODB_SAGAS);
    bson_error_t why;
    enum fh_code code = FH_OK;
    for (int i = 0; i < STATUSES && !code; i++) {
        bson_t filter;
        mongoc.bson_init(&filter);
        mongoc.bson_append_utf8(&filter, "status", -1, statuses[i], -1);
        counting->counts[i] =
            mongoc.mongoc_collection_count_documents(sagas, &filter, NULL, NULL, NULL, &why);
        if (counting->counts[i] < 0)
            code = mongodb_failed(&why, error);
        mongoc.bson_destroy(&filter);
    }
    mongoc.mongoc_collection_destroy(sagas);
    return code;
}

/* The work's own sagas, as it has left them so far. */
static void count_own(const struct mongodb_work *own, int64_t counts[static STATUSES])
{
    for (const struct mongodb_change *change = own->changes; change; change = change->next) {
        for (int i = 0; i < STATUSES && strcmp(change->collection, MONGODB_SAGAS) == 0; i++) {
            const char *old = mongodb_text(change->old, "status");
            const char *now = mongodb_text(change->new, "status");
            counts[i] -= old && strcmp(old, statuses[i]) == 0;
            counts[i] += now && strcmp(now, statuses[i]) == 0;
        }
    }
}

enum fh_code mongodb_ledger_saga_counts(struct store_work *work, struct ledger_counts *ret,
                                        struct fh_error *error)
{
    struct counting counting = {.call.run = count_run};
    enum fh_code code = mongodb_call(mongodb_of(work->store), &counting.call, error);
    if (code)
        return code;
    count_own(mongodb_work_of(work), counting.counts);
    *ret = (struct ledger_counts){.running = counting.counts[0],
                                  .compensating = counting.counts[1],
                                  .ended = counting.counts[2],
                                  .undone = counting.counts[3],
                                  .parked = counting.counts[4],
                                  .abandoned = counting.counts[5]};
    return FH_OK;
}
