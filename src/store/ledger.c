/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the ledger that are the same on all engines. */

#include "store/ledger.h"

#include <string.h>

#include "base/json.h"

enum fh_code ledger_prepare(struct store_work *work, char ret_incarnation[ID_SIZE],
                            struct fh_error *error)
{
    return work->store->engine->ledger->prepare(work, ret_incarnation, error);
}

enum fh_code ledger_meta_get(struct store_work *work, const char *name, char *ret, size_t size,
                             struct fh_error *error)
{
    return work->store->engine->ledger->meta_get(work, name, ret, size, error);
}

enum fh_code ledger_meta_put(struct store_work *work, const char *name, const char *value,
                             struct fh_error *error)
{
    return work->store->engine->ledger->meta_put(work, name, value, error);
}

enum fh_code ledger_ancestor_cut(struct store_work *work, const char *incarnation, int64_t *ret,
                                 struct fh_error *error)
{
    char text[LEDGER_ANCESTORS_SIZE];
    json_t *ancestors = NULL, *ancestor;
    size_t index;
    enum fh_code code = ledger_meta_get(work, LEDGER_ANCESTORS, text, sizeof text, error);
    if (code == FH_OK && text[0])
        code = json_parse(text, strlen(text), &ancestors, error);
    if (code != FH_OK)
        return code;
    code = FH_NOT_FOUND;
    json_array_foreach (ancestors, index, ancestor) {
        const char *name = json_string_at(ancestor, "incarnation");
        json_int_t position;
        if (name && strcmp(name, incarnation) == 0 &&
            json_integer_at(ancestor, "position", &position)) {
            *ret = position;
            code = FH_OK;
        }
    }
    json_decref(ancestors);
    return code;
}

enum fh_code ledger_position(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    return work->store->engine->ledger->position(work, ret, error);
}

enum fh_code ledger_outbox_append(struct store_work *work, struct ledger_event *event,
                                  struct fh_error *error)
{
    return work->store->engine->ledger->outbox_append(work, event, error);
}

/* A server sends all rows of a query, even if the reader stops early; and an event can be as large
 * as a mebibyte. So each query asks for no more than a few mebibytes, judging the size of the next
 * events by the last ones read. */
#define SLICE_ROWS_MAX 256
#define SLICE_SIZE ((size_t)2 << 20)

struct slice {
    bool (*visit)(void *context, const struct ledger_event *event);
    void *context;
    int rows;
    size_t size;
    int64_t last;
    bool goes_on;
};

static bool visit_of_slice(void *context, const struct ledger_event *event)
{
    struct slice *slice = context;
    slice->rows++;
    slice->size += strlen(event->data);
    slice->last = event->position;
    slice->goes_on = slice->visit(slice->context, event);
    return slice->goes_on;
}

static int slice_rows(struct store *store)
{
    return store->outbox_rows ? store->outbox_rows : SLICE_ROWS_MAX / 4;
}

/* Grows at most twofold each time. */
static void learn(struct store *store, const struct slice *slice)
{
    if (slice->rows == 0)
        return;
    size_t fit = SLICE_SIZE / (slice->size / (size_t)slice->rows + 1);
    size_t most = 2 * (size_t)slice_rows(store);
    fit = fit < most ? fit : most;
    store->outbox_rows = fit < 2 ? 2 : fit > SLICE_ROWS_MAX ? SLICE_ROWS_MAX : (int)fit;
}

enum fh_code ledger_outbox_read(struct store_work *work, int64_t after, int limit,
                                bool (*visit)(void *context, const struct ledger_event *event),
                                void *context, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    struct slice slice = {.last = after, .goes_on = true};
    for (int left = limit; code == FH_OK && slice.goes_on && left > 0; left -= slice.rows) {
        int asked = slice_rows(work->store);
        asked = asked < left ? asked : left;
        slice = (struct slice){visit, context, 0, 0, slice.last, true};
        code = work->store->engine->ledger->outbox_read(work, slice.last, asked, visit_of_slice,
                                                        &slice, error);
        learn(work->store, &slice);
        if (slice.rows < asked)
            break;
    }
    return code;
}

enum fh_code ledger_outbox_trimmed(struct store_work *work, int64_t *ret_position,
                                   char ret_id[ID_SIZE], struct fh_error *error)
{
    return work->store->engine->ledger->outbox_trimmed(work, ret_position, ret_id, error);
}

enum fh_code ledger_outbox_id_at(struct store_work *work, int64_t position, char ret_id[ID_SIZE],
                                 struct fh_error *error)
{
    return work->store->engine->ledger->outbox_id_at(work, position, ret_id, error);
}

enum fh_code ledger_outbox_trim(struct store_work *work, int64_t position, int limit,
                                int64_t *ret_removed, struct fh_error *error)
{
    return work->store->engine->ledger->outbox_trim(work, position, limit, ret_removed, error);
}

enum fh_code ledger_subscriber_put(struct store_work *work, const char *name, const char *share,
                                   const char *incarnation, int64_t done, int64_t seen,
                                   int64_t now_ms, struct fh_error *error)
{
    return work->store->engine->ledger->subscriber_put(work, name, share, incarnation, done, seen,
                                                       now_ms, error);
}

enum fh_code ledger_subscribers_get(struct store_work *work,
                                    bool (*visit)(void *context,
                                                  const struct ledger_subscriber *subscriber),
                                    void *context, struct fh_error *error)
{
    return work->store->engine->ledger->subscribers_get(work, visit, context, error);
}

enum fh_code ledger_cursor_get(struct store_work *work, const char *source, const char *share,
                               struct ledger_cursor *ret, struct fh_error *error)
{
    return work->store->engine->ledger->cursor_get(work, source, share, ret, error);
}

enum fh_code ledger_cursor_move(struct store_work *work, const char *source, const char *share,
                                const struct ledger_cursor *old, const struct ledger_cursor *next,
                                struct fh_error *error)
{
    return work->store->engine->ledger->cursor_move(work, source, share, old, next, error);
}

enum fh_code ledger_cursor_partitions(struct store_work *work, const char *source,
                                      bool (*visit)(void *context, const char *share),
                                      void *context, struct fh_error *error)
{
    return work->store->engine->ledger->cursor_partitions(work, source, visit, context, error);
}

enum fh_code ledger_cursor_take(struct store_work *work, const char *source, const char *share,
                                int64_t epoch, struct fh_error *error)
{
    return work->store->engine->ledger->cursor_take(work, source, share, epoch, error);
}

enum fh_code ledger_leases_get(struct store_work *work,
                               bool (*visit)(void *context, const struct ledger_lease *lease),
                               void *context, struct fh_error *error)
{
    return work->store->engine->ledger->leases_get(work, visit, context, error);
}

enum fh_code ledger_lease_take(struct store_work *work, const char *name, int64_t epoch,
                               const char *owner, struct fh_error *error)
{
    return work->store->engine->ledger->lease_take(work, name, epoch, owner, error);
}

enum fh_code ledger_lease_renew(struct store_work *work, const char *name, const char *owner,
                                const char *note, struct fh_error *error)
{
    return work->store->engine->ledger->lease_renew(work, name, owner, note, error);
}

enum fh_code ledger_lease_drop(struct store_work *work, const char *name, const char *owner,
                               int64_t beat, struct fh_error *error)
{
    return work->store->engine->ledger->lease_drop(work, name, owner, beat, error);
}

enum fh_code ledger_parked_any(struct store_work *work, const char *source, const char *share,
                               bool *ret, struct fh_error *error)
{
    return work->store->engine->ledger->parked_any(work, source, share, ret, error);
}

enum fh_code ledger_parked_has(struct store_work *work, const char *source, const char *share,
                               const char *key, bool *ret, struct fh_error *error)
{
    return work->store->engine->ledger->parked_has(work, source, share, key, ret, error);
}

enum fh_code ledger_parked_count(struct store_work *work, const char *source, const char *share,
                                 struct ledger_parked_counts *ret, struct fh_error *error)
{
    return work->store->engine->ledger->parked_count(work, source, share, ret, error);
}

enum fh_code ledger_parked_put(struct store_work *work, const struct ledger_parked *parked,
                               struct fh_error *error)
{
    return work->store->engine->ledger->parked_put(work, parked, error);
}

enum fh_code ledger_parked_take(struct store_work *work, const struct ledger_parked *parked,
                                bool *ret_unparked, struct fh_error *error)
{
    return work->store->engine->ledger->parked_take(work, parked, ret_unparked, error);
}

enum fh_code ledger_parked_edit(struct store_work *work, const struct ledger_parked *parked,
                                struct fh_error *error)
{
    return work->store->engine->ledger->parked_edit(work, parked, error);
}

enum fh_code ledger_parked_failed(struct store_work *work, const struct ledger_parked *parked,
                                  struct fh_error *error)
{
    return work->store->engine->ledger->parked_failed(work, parked, error);
}

enum fh_code ledger_parked_keys(struct store_work *work, const char *source, int limit,
                                bool (*visit)(void *context, const struct ledger_parked *parked),
                                void *context, struct fh_error *error)
{
    return work->store->engine->ledger->parked_keys(work, source, limit, visit, context, error);
}

enum fh_code ledger_parked_events(struct store_work *work, const char *source, const char *key,
                                  int limit,
                                  bool (*visit)(void *context, const struct ledger_parked *parked),
                                  void *context, struct fh_error *error)
{
    return work->store->engine->ledger->parked_events(work, source, key, limit, visit, context,
                                                      error);
}

enum fh_code ledger_command_get(struct store_work *work, struct arena *arena, const char *caller,
                                const char *key, struct ledger_command *ret, struct fh_error *error)
{
    return work->store->engine->ledger->command_get(work, arena, caller, key, ret, error);
}

enum fh_code ledger_command_put(struct store_work *work, const struct ledger_command *command,
                                struct fh_error *error)
{
    return work->store->engine->ledger->command_put(work, command, error);
}

enum fh_code ledger_commands_expire(struct store_work *work, int64_t before_ms, int limit,
                                    int64_t *ret_removed, struct fh_error *error)
{
    return work->store->engine->ledger->commands_expire(work, before_ms, limit, ret_removed, error);
}

enum fh_code ledger_caller_get(struct store_work *work, struct arena *arena, const char *caller,
                               const char *birth, struct ledger_caller *ret, struct fh_error *error)
{
    return work->store->engine->ledger->caller_get(work, arena, caller, birth, ret, error);
}

enum fh_code ledger_caller_close(struct store_work *work, const char *caller, const char *birth,
                                 const struct ledger_caller *closed, struct fh_error *error)
{
    return work->store->engine->ledger->caller_close(work, caller, birth, closed, error);
}

enum fh_code ledger_caller_newest(struct store_work *work, const char *caller,
                                  char ret_incarnation[ID_SIZE], struct fh_error *error)
{
    return work->store->engine->ledger->caller_newest(work, caller, ret_incarnation, error);
}

enum fh_code
ledger_commands_read(struct store_work *work, const char *caller, const char *key, int limit,
                     bool (*visit)(void *context, const struct ledger_command *command),
                     void *context, struct fh_error *error)
{
    return work->store->engine->ledger->commands_read(work, caller, key, limit, visit, context,
                                                      error);
}

enum fh_code ledger_callers_read(struct store_work *work,
                                 bool (*visit)(void *context, const char *caller, const char *birth,
                                               const struct ledger_caller *closed),
                                 void *context, struct fh_error *error)
{
    return work->store->engine->ledger->callers_read(work, visit, context, error);
}

enum fh_code ledger_caller_look(struct store_work *work, struct arena *arena, const char *caller,
                                const char *birth, char ret_incarnation[ID_SIZE],
                                struct ledger_caller *ret, struct fh_error *error)
{
    const struct ledger_ops *ops = work->store->engine->ledger;
    if (ops->caller_look)
        return ops->caller_look(work, arena, caller, birth, ret_incarnation, ret, error);
    enum fh_code code = ops->caller_newest(work, caller, ret_incarnation, error);
    return code == FH_OK ? ops->caller_get(work, arena, caller, birth, ret, error) : code;
}

enum fh_code ledger_caller_set_newest(struct store_work *work, const char *caller,
                                      const char *incarnation, struct fh_error *error)
{
    return work->store->engine->ledger->caller_set_newest(work, caller, incarnation, error);
}

enum fh_code ledger_saga_start(struct store_work *work, struct ledger_event *event,
                               struct ledger_saga *saga, const struct ledger_step *steps, int count,
                               struct fh_error *error)
{
    return work->store->engine->ledger->saga_start(work, event, saga, steps, count, error);
}

enum fh_code ledger_saga_update(struct store_work *work, const struct ledger_saga *saga,
                                struct fh_error *error)
{
    return work->store->engine->ledger->saga_update(work, saga, error);
}

enum fh_code ledger_saga_get(struct store_work *work, struct arena *arena, const char *birth,
                             int64_t number, struct ledger_saga *ret, struct fh_error *error)
{
    return work->store->engine->ledger->saga_get(work, arena, birth, number, ret, error);
}

enum fh_code ledger_saga_find(struct store_work *work, struct arena *arena, const char *birth,
                              const char *start_id, struct ledger_saga *ret, struct fh_error *error)
{
    return work->store->engine->ledger->saga_find(work, arena, birth, start_id, ret, error);
}

enum fh_code ledger_step_put(struct store_work *work, const struct ledger_step *step,
                             struct fh_error *error)
{
    return work->store->engine->ledger->step_put(work, step, error);
}

enum fh_code ledger_steps_get(struct store_work *work, struct arena *arena, const char *birth,
                              int64_t number,
                              bool (*visit)(void *context, const struct ledger_step *step),
                              void *context, struct fh_error *error)
{
    return work->store->engine->ledger->steps_get(work, arena, birth, number, visit, context,
                                                  error);
}

enum fh_code ledger_steps_answered(struct store_work *work, const char *target, const char *present,
                                   bool (*visit)(void *context, const struct ledger_saga *saga,
                                                 const struct ledger_step *step),
                                   void *context, struct fh_error *error)
{
    return work->store->engine->ledger->steps_answered(work, target, present, visit, context,
                                                       error);
}

enum fh_code ledger_sagas_adopt(struct store_work *work, const char *owner, int64_t *ret_adopted,
                                struct fh_error *error)
{
    return work->store->engine->ledger->sagas_adopt(work, owner, ret_adopted, error);
}

enum fh_code ledger_saga_take(struct store_work *work, const char *birth, int64_t number,
                              const char *owner, struct fh_error *error)
{
    return work->store->engine->ledger->saga_take(work, birth, number, owner, error);
}

enum fh_code ledger_sagas_open(struct store_work *work, const struct ledger_open *open,
                               bool (*visit)(void *context, const struct ledger_saga *saga),
                               void *context, struct fh_error *error)
{
    return work->store->engine->ledger->sagas_open(work, open, visit, context, error);
}

enum fh_code ledger_sagas_closable(struct store_work *work, struct arena *arena, const char *birth,
                                   struct ledger_caller *ret, struct fh_error *error)
{
    return work->store->engine->ledger->sagas_closable(work, arena, birth, ret, error);
}

enum fh_code ledger_sagas_closed(struct store_work *work, const char *birth,
                                 const struct ledger_caller *closed, int64_t *ret_marked,
                                 struct fh_error *error)
{
    return work->store->engine->ledger->sagas_closed(work, birth, closed, ret_marked, error);
}

enum fh_code ledger_sagas_unclosed(struct store_work *work,
                                   bool (*visit)(void *context, const char *birth,
                                                 const char *target),
                                   void *context, struct fh_error *error)
{
    return work->store->engine->ledger->sagas_unclosed(work, visit, context, error);
}

enum fh_code ledger_sagas_forget(struct store_work *work, int64_t number_max, int64_t before_ms,
                                 int limit, struct ledger_counts *ret_removed,
                                 struct fh_error *error)
{
    return work->store->engine->ledger->sagas_forget(work, number_max, before_ms, limit,
                                                     ret_removed, error);
}

enum fh_code ledger_saga_counts(struct store_work *work, struct ledger_counts *ret,
                                struct fh_error *error)
{
    return work->store->engine->ledger->saga_counts(work, ret, error);
}

enum fh_code ledger_migrations_get(struct store_work *work,
                                   bool (*visit)(void *context, int64_t version, const char *name,
                                                 const char *checksum),
                                   void *context, struct fh_error *error)
{
    return work->store->engine->ledger->migrations_get(work, visit, context, error);
}

enum fh_code ledger_migration_put(struct store_work *work, int64_t version, const char *name,
                                  const char *checksum, int64_t now_ms, struct fh_error *error)
{
    return work->store->engine->ledger->migration_put(work, version, name, checksum, now_ms, error);
}

static const char *const outcome_names[] = {
    [LEDGER_DONE] = "done",   [LEDGER_REFUSED] = "refused", [LEDGER_UNDONE] = "undone",
    [LEDGER_NEVER] = "never", [LEDGER_PENDING] = "pending",
};

const char *ledger_outcome_name(enum ledger_outcome outcome)
{
    return outcome_names[outcome];
}

enum ledger_outcome ledger_outcome_of(const char *name)
{
    for (size_t i = 0; i < sizeof outcome_names / sizeof outcome_names[0]; i++) {
        if (strcmp(outcome_names[i], name) == 0)
            return (enum ledger_outcome)i;
    }
    error_assertion_failed("a command record has a known outcome", __FILE__, __LINE__);
}
