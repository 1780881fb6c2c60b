/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on MongoDB: sagas and their steps' elements. A saga that starts is part of its event:
 * it becomes documents when the event is given its position, which is the saga's number
 * (mongodb_number.c).
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/document/mongodb_ledger.h"

#define NUMBER "%019" PRId64

static enum fh_code saga_id(char id[static MONGODB_ID_SIZE], const char *birth, int64_t number,
                            struct fh_error *error)
{
    return mongodb_id(id, error, "%s" MONGODB_SEPARATOR NUMBER, birth, number);
}

/* ---- Starting -------------------------------------------------------------------------------- */

static json_t *step_json(const struct ledger_step *step)
{
    return mongodb_pack("{s:s, s:i, s:i, s:I, s:s, s:s, s:s, s:s?, s:s?, s:I}", "birth",
                        step->birth, "step", step->step, "element", step->element, "attempt",
                        (json_int_t)step->attempt, "target", step->target, "request", step->request,
                        "state", step->state, "answer", step->answer, "receiver", step->receiver,
                        "receiver_position", (json_int_t)step->receiver_position);
}

static void step_place(char place[static 48], int step, int element)
{
    snprintf(place, 48, MONGODB_SEPARATOR "%09d" MONGODB_SEPARATOR "%09d", step, element);
}

static json_t *steps_json(const struct ledger_step *steps, int count)
{
    json_t *list = mongodb_pack("[]");
    struct arena *arena = json_arena_set(NULL);
    for (int i = 0; i < count; i++) {
        char place[48];
        json_t *step = step_json(&steps[i]);
        step_place(place, steps[i].step, steps[i].element);
        json_object_set_new(step, "place", json_string(place));
        json_array_append_new(list, step);
    }
    json_arena_set(arena);
    return list;
}

enum fh_code mongodb_ledger_saga_start(struct store_work *work, struct ledger_event *event,
                                       struct ledger_saga *saga, const struct ledger_step *steps,
                                       int count, struct fh_error *error)
{
    json_t *document =
        mongodb_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:s, s:s}", "birth",
                     saga->birth, "name", saga->name, "input", saga->input, "state", saga->state,
                     "status", saga->status, "epoch", (json_int_t)saga->epoch, "deadline_ms",
                     (json_int_t)saga->deadline_ms, "updated_ms", (json_int_t)saga->updated_ms,
                     "closed", 0, "start_id", event->id, "owner", work->store->instance);
    json_t *told = mongodb_pack("{s:s, s:s, s:i, s:s, s:I, s:s, s:s?, s:o, s:o}", "id", event->id,
                                "type", event->type, "version", event->version, "key", event->key,
                                "time_ms", (json_int_t)event->time_ms, "data", event->data, "trace",
                                event->trace, "saga", document, "steps", steps_json(steps, count));
    saga->number = event->position = event->previous = 0;
    saga->start_id = event->id;
    return mongodb_add_event(work, told, error);
}

/* ---- One saga -------------------------------------------------------------------------------- */

static enum fh_code saga_read(struct store_work *work, const char *birth, int64_t number,
                              char id[static MONGODB_ID_SIZE], json_t **ret, struct fh_error *error)
{
    *ret = NULL;
    enum fh_code code = saga_id(id, birth, number, error);
    return code ? code : mongodb_get(work, MONGODB_SAGAS, id, ret, error);
}

enum fh_code mongodb_ledger_saga_update(struct store_work *work, const struct ledger_saga *saga,
                                        struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *before;
    enum fh_code code = saga_read(work, saga->birth, saga->number, id, &before, error);
    if (!code && (!before || mongodb_integer(before, "epoch") != saga->epoch))
        code = error_set(error, FH_CONFLICT, "The saga is run by another instance now.");
    if (!code)
        code = mongodb_set(work, MONGODB_SAGAS, id, before,
                           mongodb_pack("{s:s, s:s, s:I, s:I}", "state", saga->state, "status",
                                        saga->status, "deadline_ms", (json_int_t)saga->deadline_ms,
                                        "updated_ms", (json_int_t)saga->updated_ms),
                           error);
    json_decref(before);
    return code;
}

static struct ledger_saga saga_of(const json_t *document)
{
    return (struct ledger_saga){.birth = mongodb_text(document, "birth"),
                                .number = mongodb_integer(document, "number"),
                                .start_id = mongodb_text(document, "start_id"),
                                .name = mongodb_text(document, "name"),
                                .input = mongodb_text(document, "input"),
                                .state = mongodb_text(document, "state"),
                                .status = mongodb_text(document, "status"),
                                .epoch = mongodb_integer(document, "epoch"),
                                .deadline_ms = mongodb_integer(document, "deadline_ms"),
                                .updated_ms = mongodb_integer(document, "updated_ms")};
}

static void saga_copy(struct arena *arena, const json_t *document, struct ledger_saga *ret)
{
    *ret = saga_of(document);
    ret->birth = arena_text(arena, ret->birth);
    ret->start_id = arena_text(arena, ret->start_id);
    ret->name = arena_text(arena, ret->name);
    ret->input = arena_text(arena, ret->input);
    ret->state = arena_text(arena, ret->state);
    ret->status = arena_text(arena, ret->status);
}

enum fh_code mongodb_ledger_saga_get(struct store_work *work, struct arena *arena,
                                     const char *birth, int64_t number, struct ledger_saga *ret,
                                     struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *document;
    enum fh_code code = saga_read(work, birth, number, id, &document, error);
    if (!code && document)
        saga_copy(arena, document, ret);
    else if (!code)
        code = error_set(error, FH_NOT_FOUND, "There is no such saga.");
    json_decref(document);
    return code;
}

enum fh_code mongodb_ledger_saga_find(struct store_work *work, struct arena *arena,
                                      const char *birth, const char *start_id,
                                      struct ledger_saga *ret, struct fh_error *error)
{
    json_t *list;
    enum fh_code code = mongodb_some(
        work, MONGODB_SAGAS, mongodb_pack("{s:s, s:s}", "start_id", start_id, "birth", birth), 1,
        false, false, &list, error);
    if (!code && json_array_size(list) > 0)
        saga_copy(arena, json_array_get(list, 0), ret);
    else if (!code)
        code = error_set(error, FH_NOT_FOUND, "There is no such saga.");
    json_decref(list);
    return code;
}

enum fh_code mongodb_ledger_step_put(struct store_work *work, const struct ledger_step *step,
                                     struct fh_error *error)
{
    char id[MONGODB_ID_SIZE], place[48];
    step_place(place, step->step, step->element);
    enum fh_code code =
        mongodb_id(id, error, "%s" MONGODB_SEPARATOR NUMBER "%s", step->birth, step->number, place);
    if (code)
        return code;
    json_t *number = mongodb_pack("{s:I}", "number", (json_int_t)step->number);
    code = mongodb_set(work, MONGODB_STEPS, id, number, step_json(step), error);
    json_decref(number);
    return code;
}

struct steps {
    bool (*visit)(void *context, const struct ledger_step *step);
    void *context;
    struct arena *arena;
};

static bool visit_step(void *context, const json_t *document)
{
    const struct steps *to = context;
    struct ledger_step step = {
        .birth = mongodb_copy(to->arena, mongodb_text(document, "birth")),
        .number = mongodb_integer(document, "number"),
        .step = (int)mongodb_integer(document, "step"),
        .element = (int)mongodb_integer(document, "element"),
        .attempt = mongodb_integer(document, "attempt"),
        .target = mongodb_copy(to->arena, mongodb_text(document, "target")),
        .request = mongodb_copy(to->arena, mongodb_text(document, "request")),
        .state = mongodb_copy(to->arena, mongodb_text(document, "state")),
        .answer = mongodb_copy(to->arena, mongodb_text(document, "answer")),
        .receiver = mongodb_copy(to->arena, mongodb_text(document, "receiver")),
        .receiver_position = mongodb_integer(document, "receiver_position")};
    return to->visit(to->context, &step);
}

json_t *mongodb_steps_filter(const char *birth, int64_t number)
{
    char low[MONGODB_ID_SIZE], high[MONGODB_ID_SIZE];
    snprintf(low, sizeof low, "%s" MONGODB_SEPARATOR NUMBER MONGODB_SEPARATOR, birth, number);
    snprintf(high, sizeof high, "%s" MONGODB_SEPARATOR NUMBER " ", birth, number);
    return mongodb_pack("{s:{s:s, s:s}}", "id", "$gt", low, "$lt", high);
}

enum fh_code mongodb_ledger_steps_get(struct store_work *work, struct arena *arena,
                                      const char *birth, int64_t number,
                                      bool (*visit)(void *context, const struct ledger_step *step),
                                      void *context, struct fh_error *error)
{
    struct steps to = {visit, context, arena};
    return mongodb_each(work, MONGODB_STEPS, mongodb_steps_filter(birth, number), visit_step, &to,
                        error);
}

/* ---- Many ------------------------------------------------------------------------------------ */

json_t *mongodb_sagas_which(const char *const *statuses)
{
    json_t *filter = mongodb_pack("{s:{s:[]}}", "status", "$in");
    json_t *list = json_object_get(json_object_get(filter, "status"), "$in");
    struct arena *arena = json_arena_set(NULL);
    for (; *statuses; statuses++)
        json_array_append_new(list, json_string(*statuses));
    json_arena_set(arena);
    return filter;
}

json_t *mongodb_also(json_t *filter, json_t *more)
{
    struct arena *arena = json_arena_set(NULL);
    json_object_update(filter, more);
    json_decref(more);
    json_arena_set(arena);
    return filter;
}

struct sagas {
    bool (*visit)(void *context, const struct ledger_saga *saga);
    void *context;
};

static bool visit_saga(void *context, const json_t *document)
{
    const struct sagas *to = context;
    struct ledger_saga saga = saga_of(document);
    return to->visit(to->context, &saga);
}

enum fh_code mongodb_ledger_sagas_open(struct store_work *work, const char *owner,
                                       bool (*visit)(void *context, const struct ledger_saga *saga),
                                       void *context, struct fh_error *error)
{
    struct sagas to = {visit, context};
    json_t *filter = mongodb_sagas_which(MONGODB_OPEN_SAGAS);
    if (owner)
        filter = mongodb_also(filter, mongodb_pack("{s:s}", "owner", owner));
    return mongodb_each(work, MONGODB_SAGAS, filter, visit_saga, &to, error);
}

static enum fh_code saga_give(struct store_work *work, const json_t *saga, const char *owner,
                              struct fh_error *error)
{
    return mongodb_set(work, MONGODB_SAGAS, mongodb_text(saga, "id"), saga,
                       mongodb_pack("{s:s, s:I}", "owner", owner, "epoch",
                                    (json_int_t)mongodb_integer(saga, "epoch") + 1),
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

enum fh_code mongodb_ledger_sagas_adopt(struct store_work *work, const char *owner,
                                        int64_t *ret_adopted, struct fh_error *error)
{
    struct lives lives = {.owners = mongodb_pack("{}")};
    json_t *list = NULL, *saga;
    size_t index;
    *ret_adopted = 0;
    enum fh_code code = mongodb_ledger_leases_get(work, note_life, &lives, error);
    if (!code)
        code = mongodb_some(work, MONGODB_SAGAS, mongodb_sagas_which(MONGODB_OPEN_SAGAS),
                            DOCUMENTS_MAX, false, false, &list, error);
    json_array_foreach (list, index, saga) {
        if (code || json_object_get(lives.owners, mongodb_text(saga, "owner")))
            continue;
        code = saga_give(work, saga, owner, error);
        *ret_adopted += !code;
    }
    json_decref(list);
    json_decref(lives.owners);
    return code;
}

enum fh_code mongodb_ledger_saga_take(struct store_work *work, const char *birth, int64_t number,
                                      const char *owner, struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *saga;
    enum fh_code code = saga_read(work, birth, number, id, &saga, error);
    if (!code && saga)
        code = saga_give(work, saga, owner, error);
    json_decref(saga);
    return code;
}
