/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger as records: sagas and the elements of their steps. A saga's number is its start
 * event's position, which is assigned only by the engine's commit or after it; so starting a saga
 * is the engine's task.
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/records/records.h"

#define SAGAS "saga"
#define STEPS "saga_step"

static enum fh_code saga_id(char id[static RECORD_ID_SIZE], const char *birth, int64_t number,
                            struct fh_error *error)
{
    return record_id(id, error, "%s" RECORD_SEPARATOR RECORD_NUMBER, birth, number);
}

/* ---- Starting ---- */

json_t *records_step(const struct ledger_step *step)
{
    return record_pack("{s:s, s:i, s:i, s:I, s:s, s:s, s:s, s:s?, s:s?, s:I}", "birth", step->birth,
                       "step", step->step, "element", step->element, "attempt",
                       (json_int_t)step->attempt, "target", step->target, "request", step->request,
                       "state", step->state, "answer", step->answer, "receiver", step->receiver,
                       "receiver_position", (json_int_t)step->receiver_position);
}

void records_step_place(char place[static RECORD_PLACE_SIZE], int step, int element)
{
    snprintf(place, RECORD_PLACE_SIZE, RECORD_SEPARATOR "%09d" RECORD_SEPARATOR "%09d", step,
             element);
}

json_t *records_saga(const struct store *store, const struct ledger_saga *saga,
                     const char *start_id)
{
    return record_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:s, s:s}", "birth",
                       saga->birth, "name", saga->name, "input", saga->input, "state", saga->state,
                       "status", saga->status, "epoch", (json_int_t)saga->epoch, "deadline_ms",
                       (json_int_t)saga->deadline_ms, "updated_ms", (json_int_t)saga->updated_ms,
                       "closed", 0, "start_id", start_id, "owner", store->instance);
}

/* ---- One saga ---- */

const char *const record_statuses[RECORD_STATUSES] = {"running", "compensating", "ended",
                                                      "undone",  "parked",       "abandoned"};

int64_t *record_count(struct ledger_counts *counts, const char *status)
{
    int64_t *all[RECORD_STATUSES] = {&counts->running, &counts->compensating, &counts->ended,
                                     &counts->undone,  &counts->parked,       &counts->abandoned};
    for (int i = 0; status && i < RECORD_STATUSES; i++) {
        if (strcmp(status, record_statuses[i]) == 0)
            return all[i];
    }
    return NULL;
}

bool record_saga_is_over(const char *status)
{
    return strcmp(status, "ended") == 0 || strcmp(status, "undone") == 0 ||
           strcmp(status, "abandoned") == 0;
}

static enum fh_code saga_read(struct store_work *work, const char *birth, int64_t number,
                              char id[static RECORD_ID_SIZE], json_t **ret, struct fh_error *error)
{
    *ret = NULL;
    enum fh_code code = saga_id(id, birth, number, error);
    return code ? code : records_get(work, SAGAS, id, ret, error);
}

enum fh_code records_saga_update(struct store_work *work, const struct ledger_saga *saga,
                                 struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *before;
    enum fh_code code = saga_read(work, saga->birth, saga->number, id, &before, error);
    bool fenced = before && (record_integer(before, "epoch") != saga->epoch ||
                             record_saga_is_over(record_text(before, "status")));
    if (!code && (!before || fenced))
        code = error_set(error, FH_CONFLICT, LEDGER_SAGA_FENCED);
    if (!code)
        code = records_set(work, SAGAS, id, before,
                           record_pack("{s:s, s:s, s:I, s:I}", "state", saga->state, "status",
                                       saga->status, "deadline_ms", (json_int_t)saga->deadline_ms,
                                       "updated_ms", (json_int_t)saga->updated_ms),
                           error);
    json_decref(before);
    return code;
}

static struct ledger_saga saga_of_record(const json_t *record, int64_t number)
{
    return (struct ledger_saga){.birth = record_text(record, "birth"),
                                .number = number,
                                .start_id = record_text(record, "start_id"),
                                .name = record_text(record, "name"),
                                .input = record_text(record, "input"),
                                .state = record_text(record, "state"),
                                .status = record_text(record, "status"),
                                .epoch = record_integer(record, "epoch"),
                                .deadline_ms = record_integer(record, "deadline_ms"),
                                .updated_ms = record_integer(record, "updated_ms")};
}

static void saga_copy(struct arena *arena, const json_t *record, int64_t number,
                      struct ledger_saga *ret)
{
    *ret = saga_of_record(record, number);
    ret->birth = arena_text(arena, ret->birth);
    ret->start_id = arena_text(arena, ret->start_id);
    ret->name = arena_text(arena, ret->name);
    ret->input = arena_text(arena, ret->input);
    ret->state = arena_text(arena, ret->state);
    ret->status = arena_text(arena, ret->status);
}

enum fh_code records_saga_get(struct store_work *work, struct arena *arena, const char *birth,
                              int64_t number, struct ledger_saga *ret, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *record;
    enum fh_code code = saga_read(work, birth, number, id, &record, error);
    if (!code && record)
        saga_copy(arena, record, number, ret);
    else if (!code)
        code = error_set(error, FH_NOT_FOUND, "There is no such saga.");
    json_decref(record);
    return code;
}

enum fh_code records_saga_find(struct store_work *work, struct arena *arena, const char *birth,
                               const char *start_id, struct ledger_saga *ret,
                               struct fh_error *error)
{
    json_t *list;
    struct record_range one = {.table = SAGAS,
                               .list = RECORDS_STARTED,
                               .fields = {{"birth", birth}, {"start_id", start_id}},
                               .limit = 1};
    enum fh_code code = records_gather(work, &one, &list, error);
    const json_t *record = json_array_get(list, 0);
    if (!code && record)
        saga_copy(arena, record, record_number(record), ret);
    else if (!code)
        code = error_set(error, FH_NOT_FOUND, "There is no such saga.");
    json_decref(list);
    return code;
}

enum fh_code records_step_put(struct store_work *work, const struct ledger_step *step,
                              struct fh_error *error)
{
    char id[RECORD_ID_SIZE], place[RECORD_PLACE_SIZE];
    records_step_place(place, step->step, step->element);
    enum fh_code code = record_id(id, error, "%s" RECORD_SEPARATOR RECORD_NUMBER "%s", step->birth,
                                  step->number, place);
    if (code)
        return code;
    json_t *number = records_of(work)->numbers_steps
                         ? record_pack("{s:I}", "number", (json_int_t)step->number)
                         : NULL;
    code = records_set(work, STEPS, id, number, records_step(step), error);
    json_decref(number);
    return code;
}

struct steps {
    bool (*visit)(void *context, const struct ledger_step *step);
    void *context;
    struct arena *arena;
    int64_t number;
};

static bool see_step_record(void *context, json_t *record)
{
    const struct steps *to = context;
    struct ledger_step step = {.birth = record_copy(to->arena, record, "birth"),
                               .number = to->number,
                               .step = (int)record_integer(record, "step"),
                               .element = (int)record_integer(record, "element"),
                               .attempt = record_integer(record, "attempt"),
                               .target = record_copy(to->arena, record, "target"),
                               .request = record_copy(to->arena, record, "request"),
                               .state = record_copy(to->arena, record, "state"),
                               .answer = record_copy(to->arena, record, "answer"),
                               .receiver = record_copy(to->arena, record, "receiver"),
                               .receiver_position = record_integer(record, "receiver_position")};
    return to->visit(to->context, &step);
}

enum fh_code records_steps_get(struct store_work *work, struct arena *arena, const char *birth,
                               int64_t number,
                               bool (*visit)(void *context, const struct ledger_step *step),
                               void *context, struct fh_error *error)
{
    struct steps to = {visit, context, arena, number};
    char saga[RECORD_ID_SIZE];
    enum fh_code code = saga_id(saga, birth, number, error);
    struct record_range all = {.table = STEPS, .within = saga};
    return code ? code : records_each(work, &all, see_step_record, &to, error);
}

/* ---- Many ---- */

struct sagas {
    bool (*visit)(void *context, const struct ledger_saga *saga);
    void *context;
    const struct ledger_open *open;
    int visited;
};

static bool is_behind(const struct ledger_saga *saga, const struct ledger_open *open)
{
    int order = open->birth ? strcmp(saga->birth, open->birth) : 1;
    return order > 0 || (order == 0 && saga->number > open->number);
}

static bool see_saga_record(void *context, json_t *record)
{
    struct sagas *to = context;
    struct ledger_saga saga = saga_of_record(record, record_number(record));
    if (!is_behind(&saga, to->open))
        return true;
    return to->visit(to->context, &saga) && ++to->visited != to->open->limit;
}

enum fh_code records_sagas_open(struct store_work *work, const struct ledger_open *open,
                                bool (*visit)(void *context, const struct ledger_saga *saga),
                                void *context, struct fh_error *error)
{
    struct sagas to = {.visit = visit, .context = context, .open = open};
    char after[RECORD_ID_SIZE];
    struct record_range range = {
        .table = SAGAS, .list = RECORDS_OPEN, .also = {"owner", open->owner}};
    enum fh_code code = FH_OK;
    if (open->birth && *open->birth) {
        range.after = after;
        code = saga_id(after, open->birth, open->number, error);
    }
    return code ? code : records_each(work, &range, see_saga_record, &to, error);
}

static bool see_over_record(void *context, json_t *record)
{
    const struct sagas *to = context;
    struct ledger_saga saga = saga_of_record(record, record_number(record));
    return to->visit(to->context, &saga);
}

enum fh_code records_sagas_over(struct store_work *work, const struct ledger_over *over,
                                bool (*visit)(void *context, const struct ledger_saga *saga),
                                void *context, struct fh_error *error)
{
    struct sagas to = {.visit = visit, .context = context};
    struct record_range newest = {.table = SAGAS,
                                  .list = RECORDS_OVER,
                                  .fields = {{"birth", over->birth}},
                                  .below = over->below,
                                  .limit = over->limit,
                                  .last_first = true};
    return records_each(work, &newest, see_over_record, &to, error);
}

static enum fh_code saga_give(struct store_work *work, const char *id, const json_t *saga,
                              const char *owner, struct fh_error *error)
{
    return records_set(work, SAGAS, id, saga,
                       record_pack("{s:s, s:I}", "owner", owner, "epoch",
                                   (json_int_t)record_integer(saga, "epoch") + 1),
                       error);
}

#define ADOPTED_SIZE_MAX ((size_t)4 << 20) /* together, or one: each is written whole */

struct adoption {
    json_t *owners; /* {"0.3f9a0c12": true}: the sessions that live */
    json_t *ids;    /* of others' sagas */
    size_t size;
};

static bool note_life(void *context, const struct ledger_lease *lease)
{
    struct adoption *adoption = context;
    struct arena *arena = json_arena_set(NULL);
    if (strncmp(lease->name, LEDGER_INSTANCE, sizeof LEDGER_INSTANCE - 1) == 0)
        json_object_set_new(adoption->owners, lease->owner, json_true());
    json_arena_set(arena);
    return true;
}

static bool note_orphan(void *context, json_t *saga)
{
    struct adoption *adoption = context;
    if (json_object_get(adoption->owners, record_text(saga, "owner")))
        return true;
    size_t size = strlen(record_text(saga, "input")) + strlen(record_text(saga, "state"));
    if (adoption->size && adoption->size + size > ADOPTED_SIZE_MAX)
        return false;
    struct arena *arena = json_arena_set(NULL);
    adoption->size += size + 1;
    json_array_append_new(adoption->ids, json_string(record_text(saga, "id")));
    json_arena_set(arena);
    return json_array_size(adoption->ids) < RECORDS_CHANGED_MAX;
}

/* It may have ended, or have been taken over, since it was listed. */
static enum fh_code saga_adopt(struct store_work *work, const struct adoption *adoption,
                               const char *id, const char *owner, int64_t *adopted,
                               struct fh_error *error)
{
    json_t *saga;
    enum fh_code code = records_get(work, SAGAS, id, &saga, error);
    if (!code && saga && !record_saga_is_over(record_text(saga, "status")) &&
        !json_object_get(adoption->owners, record_text(saga, "owner"))) {
        code = saga_give(work, id, saga, owner, error);
        *adopted += !code;
    }
    json_decref(saga);
    return code;
}

enum fh_code records_sagas_adopt(struct store_work *work, const char *owner, int64_t *ret_adopted,
                                 struct fh_error *error)
{
    struct adoption adoption = {.owners = record_pack("{}"), .ids = record_pack("[]")};
    struct record_range open = {.table = SAGAS, .list = RECORDS_OPEN};
    json_t *id;
    size_t index;
    *ret_adopted = 0;
    enum fh_code code = records_leases_get(work, note_life, &adoption, error);
    if (!code)
        code = records_each(work, &open, note_orphan, &adoption, error);
    json_array_foreach (adoption.ids, index, id) {
        if (!code)
            code = saga_adopt(work, &adoption, json_string_value(id), owner, ret_adopted, error);
    }
    json_decref(adoption.owners);
    json_decref(adoption.ids);
    return code;
}

enum fh_code records_saga_take(struct store_work *work, const char *birth, int64_t number,
                               const char *owner, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *saga;
    enum fh_code code = saga_read(work, birth, number, id, &saga, error);
    if (!code && saga)
        code = saga_give(work, id, saga, owner, error);
    json_decref(saga);
    return code;
}
