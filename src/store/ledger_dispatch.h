/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_LEDGER_DISPATCH_H
#define STORE_LEDGER_DISPATCH_H

/* The functions of ledger.h, which includes this: each calls that of the unit of work's engine. */

static inline enum fh_code ledger_prepare(struct store_work *work, char ret_incarnation[ID_SIZE],
                                          struct fh_error *error)
{
    return work->store->engine->ledger->prepare(work, ret_incarnation, error);
}

static inline enum fh_code ledger_meta_get(struct store_work *work, const char *name, char *ret,
                                           size_t size, struct fh_error *error)
{
    return work->store->engine->ledger->meta_get(work, name, ret, size, error);
}

static inline enum fh_code ledger_meta_put(struct store_work *work, const char *name,
                                           const char *value, struct fh_error *error)
{
    return work->store->engine->ledger->meta_put(work, name, value, error);
}

static inline enum fh_code ledger_position(struct store_work *work, int64_t *ret,
                                           struct fh_error *error)
{
    return work->store->engine->ledger->position(work, ret, error);
}

static inline enum fh_code ledger_outbox_append(struct store_work *work, struct ledger_event *event,
                                                struct fh_error *error)
{
    return work->store->engine->ledger->outbox_append(work, event, error);
}

/* Before ledger_outbox_append: of two units of work that derive under one of `keys`, a JSON array
 * of [NAME, KEY], neither knowing of the other, one conflicts, or is judged behind the other. So
 * what they append has the order of what they have read; an engine without it has that anyway. */
static inline enum fh_code ledger_derived_touch(struct store_work *work, const char *keys,
                                                struct fh_error *error)
{
    const struct ledger_ops *ledger = work->store->engine->ledger;
    return ledger->derived_touch ? ledger->derived_touch(work, keys, error) : FH_OK;
}

static inline enum fh_code ledger_outbox_trimmed(struct store_work *work, int64_t *ret_position,
                                                 char ret_id[ID_SIZE], struct fh_error *error)
{
    return work->store->engine->ledger->outbox_trimmed(work, ret_position, ret_id, error);
}

static inline enum fh_code ledger_outbox_id_at(struct store_work *work, int64_t position,
                                               char ret_id[ID_SIZE], struct fh_error *error)
{
    return work->store->engine->ledger->outbox_id_at(work, position, ret_id, error);
}

static inline enum fh_code ledger_outbox_trim(struct store_work *work, int64_t position, int limit,
                                              int64_t *ret_removed, struct fh_error *error)
{
    return work->store->engine->ledger->outbox_trim(work, position, limit, ret_removed, error);
}

static inline enum fh_code ledger_subscriber_put(struct store_work *work, const char *name,
                                                 const char *partition, const char *incarnation,
                                                 int64_t done, int64_t seen, int64_t now_ms,
                                                 struct fh_error *error)
{
    return work->store->engine->ledger->subscriber_put(work, name, partition, incarnation, done,
                                                       seen, now_ms, error);
}

static inline enum fh_code
ledger_subscribers_get(struct store_work *work,
                       bool (*visit)(void *context, const struct ledger_subscriber *subscriber),
                       void *context, struct fh_error *error)
{
    return work->store->engine->ledger->subscribers_get(work, visit, context, error);
}

static inline enum fh_code ledger_cursor_get(struct store_work *work, const char *source,
                                             const char *partition, struct ledger_cursor *ret,
                                             struct fh_error *error)
{
    return work->store->engine->ledger->cursor_get(work, source, partition, ret, error);
}

static inline enum fh_code ledger_cursor_move(struct store_work *work, const char *source,
                                              const char *partition,
                                              const struct ledger_cursor *old,
                                              const struct ledger_cursor *next,
                                              struct fh_error *error)
{
    return work->store->engine->ledger->cursor_move(work, source, partition, old, next, error);
}

static inline enum fh_code ledger_cursor_partitions(struct store_work *work, const char *source,
                                                    bool (*visit)(void *context,
                                                                  const char *partition),
                                                    void *context, struct fh_error *error)
{
    return work->store->engine->ledger->cursor_partitions(work, source, visit, context, error);
}

static inline enum fh_code ledger_cursors_get(struct store_work *work, const char *source,
                                              ledger_visit_cursor *visit, void *context,
                                              struct fh_error *error)
{
    return work->store->engine->ledger->cursors_get(work, source, visit, context, error);
}

static inline enum fh_code ledger_cursor_take(struct store_work *work, const char *source,
                                              const char *partition, int64_t epoch,
                                              struct fh_error *error)
{
    return work->store->engine->ledger->cursor_take(work, source, partition, epoch, error);
}

static inline enum fh_code ledger_leases_get(struct store_work *work,
                                             bool (*visit)(void *context,
                                                           const struct ledger_lease *lease),
                                             void *context, struct fh_error *error)
{
    return work->store->engine->ledger->leases_get(work, visit, context, error);
}

static inline enum fh_code ledger_lease_take(struct store_work *work, const char *name,
                                             int64_t epoch, const char *owner,
                                             struct fh_error *error)
{
    return work->store->engine->ledger->lease_take(work, name, epoch, owner, error);
}

static inline enum fh_code ledger_lease_renew(struct store_work *work, const char *name,
                                              const char *owner, const char *note,
                                              struct fh_error *error)
{
    return work->store->engine->ledger->lease_renew(work, name, owner, note, error);
}

static inline enum fh_code ledger_lease_drop(struct store_work *work, const char *name,
                                             const char *owner, int64_t beat,
                                             struct fh_error *error)
{
    return work->store->engine->ledger->lease_drop(work, name, owner, beat, error);
}

static inline enum fh_code ledger_parked_any(struct store_work *work, const char *source,
                                             const char *partition, bool *ret,
                                             struct fh_error *error)
{
    return work->store->engine->ledger->parked_any(work, source, partition, ret, error);
}

static inline enum fh_code ledger_parked_has(struct store_work *work, const char *source,
                                             const char *partition, const char *key, bool *ret,
                                             struct fh_error *error)
{
    return work->store->engine->ledger->parked_has(work, source, partition, key, ret, error);
}

static inline enum fh_code ledger_parked_count(struct store_work *work, const char *source,
                                               const char *partition,
                                               struct ledger_parked_counts *ret,
                                               struct fh_error *error)
{
    return work->store->engine->ledger->parked_count(work, source, partition, ret, error);
}

static inline enum fh_code ledger_parked_put(struct store_work *work,
                                             const struct ledger_parked *parked,
                                             struct fh_error *error)
{
    return work->store->engine->ledger->parked_put(work, parked, error);
}

static inline enum fh_code ledger_parked_take(struct store_work *work,
                                              const struct ledger_parked *parked,
                                              bool *ret_unparked, struct fh_error *error)
{
    return work->store->engine->ledger->parked_take(work, parked, ret_unparked, error);
}

static inline enum fh_code ledger_parked_edit(struct store_work *work,
                                              const struct ledger_parked *parked,
                                              struct fh_error *error)
{
    return work->store->engine->ledger->parked_edit(work, parked, error);
}

static inline enum fh_code ledger_parked_failed(struct store_work *work,
                                                const struct ledger_parked *parked,
                                                struct fh_error *error)
{
    return work->store->engine->ledger->parked_failed(work, parked, error);
}

static inline enum fh_code
ledger_parked_keys(struct store_work *work, const char *source, int limit,
                   bool (*visit)(void *context, const struct ledger_parked *parked), void *context,
                   struct fh_error *error)
{
    return work->store->engine->ledger->parked_keys(work, source, limit, visit, context, error);
}

static inline enum fh_code
ledger_parked_events(struct store_work *work, const char *source, const char *key, int limit,
                     bool (*visit)(void *context, const struct ledger_parked *parked),
                     void *context, struct fh_error *error)
{
    return work->store->engine->ledger->parked_events(work, source, key, limit, visit, context,
                                                      error);
}

static inline enum fh_code ledger_command_get(struct store_work *work, struct arena *arena,
                                              const char *caller, const char *key,
                                              struct ledger_command *ret, struct fh_error *error)
{
    return work->store->engine->ledger->command_get(work, arena, caller, key, ret, error);
}

static inline enum fh_code ledger_command_put(struct store_work *work,
                                              const struct ledger_command *command,
                                              struct fh_error *error)
{
    return work->store->engine->ledger->command_put(work, command, error);
}

static inline enum fh_code ledger_commands_expire(struct store_work *work, int64_t before_ms,
                                                  int limit, int64_t *ret_removed,
                                                  struct fh_error *error)
{
    return work->store->engine->ledger->commands_expire(work, before_ms, limit, ret_removed, error);
}

static inline enum fh_code ledger_caller_get(struct store_work *work, struct arena *arena,
                                             const char *caller, const char *birth,
                                             struct ledger_caller *ret, struct fh_error *error)
{
    return work->store->engine->ledger->caller_get(work, arena, caller, birth, ret, error);
}

static inline enum fh_code ledger_caller_close(struct store_work *work, const char *caller,
                                               const char *birth,
                                               const struct ledger_caller *closed,
                                               struct fh_error *error)
{
    return work->store->engine->ledger->caller_close(work, caller, birth, closed, error);
}

static inline enum fh_code ledger_caller_newest(struct store_work *work, const char *caller,
                                                char ret_incarnation[ID_SIZE],
                                                struct fh_error *error)
{
    return work->store->engine->ledger->caller_newest(work, caller, ret_incarnation, error);
}

static inline enum fh_code
ledger_commands_read(struct store_work *work, const char *caller, const char *key, int limit,
                     bool (*visit)(void *context, const struct ledger_command *command),
                     void *context, struct fh_error *error)
{
    return work->store->engine->ledger->commands_read(work, caller, key, limit, visit, context,
                                                      error);
}

static inline enum fh_code ledger_callers_read(struct store_work *work,
                                               bool (*visit)(void *context, const char *caller,
                                                             const char *birth,
                                                             const struct ledger_caller *closed),
                                               void *context, struct fh_error *error)
{
    return work->store->engine->ledger->callers_read(work, visit, context, error);
}

static inline enum fh_code ledger_caller_set_newest(struct store_work *work, const char *caller,
                                                    const char *incarnation, struct fh_error *error)
{
    return work->store->engine->ledger->caller_set_newest(work, caller, incarnation, error);
}

static inline enum fh_code ledger_saga_start(struct store_work *work, struct ledger_event *event,
                                             struct ledger_saga *saga,
                                             const struct ledger_step *steps, int count,
                                             struct fh_error *error)
{
    return work->store->engine->ledger->saga_start(work, event, saga, steps, count, error);
}

static inline enum fh_code
ledger_saga_update(struct store_work *work, const struct ledger_saga *saga, struct fh_error *error)
{
    return work->store->engine->ledger->saga_update(work, saga, error);
}

static inline enum fh_code ledger_saga_get(struct store_work *work, struct arena *arena,
                                           const char *birth, int64_t number,
                                           struct ledger_saga *ret, struct fh_error *error)
{
    return work->store->engine->ledger->saga_get(work, arena, birth, number, ret, error);
}

static inline enum fh_code ledger_saga_find(struct store_work *work, struct arena *arena,
                                            const char *birth, const char *start_id,
                                            struct ledger_saga *ret, struct fh_error *error)
{
    return work->store->engine->ledger->saga_find(work, arena, birth, start_id, ret, error);
}

static inline enum fh_code ledger_step_put(struct store_work *work, const struct ledger_step *step,
                                           struct fh_error *error)
{
    return work->store->engine->ledger->step_put(work, step, error);
}

static inline enum fh_code
ledger_steps_get(struct store_work *work, struct arena *arena, const char *birth, int64_t number,
                 bool (*visit)(void *context, const struct ledger_step *step), void *context,
                 struct fh_error *error)
{
    return work->store->engine->ledger->steps_get(work, arena, birth, number, visit, context,
                                                  error);
}

static inline enum fh_code ledger_steps_answered(
    struct store_work *work, const char *target, const char *present,
    bool (*visit)(void *context, const struct ledger_saga *saga, const struct ledger_step *step),
    void *context, struct fh_error *error)
{
    return work->store->engine->ledger->steps_answered(work, target, present, visit, context,
                                                       error);
}

static inline enum fh_code ledger_sagas_adopt(struct store_work *work, const char *owner,
                                              int64_t *ret_adopted, struct fh_error *error)
{
    return work->store->engine->ledger->sagas_adopt(work, owner, ret_adopted, error);
}

static inline enum fh_code ledger_saga_take(struct store_work *work, const char *birth,
                                            int64_t number, const char *owner,
                                            struct fh_error *error)
{
    return work->store->engine->ledger->saga_take(work, birth, number, owner, error);
}

static inline enum fh_code
ledger_sagas_open(struct store_work *work, const struct ledger_open *open,
                  bool (*visit)(void *context, const struct ledger_saga *saga), void *context,
                  struct fh_error *error)
{
    return work->store->engine->ledger->sagas_open(work, open, visit, context, error);
}

static inline enum fh_code
ledger_sagas_over(struct store_work *work, const struct ledger_over *over,
                  bool (*visit)(void *context, const struct ledger_saga *saga), void *context,
                  struct fh_error *error)
{
    return work->store->engine->ledger->sagas_over(work, over, visit, context, error);
}

static inline enum fh_code ledger_sagas_closable(struct store_work *work, struct arena *arena,
                                                 const char *birth, struct ledger_caller *ret,
                                                 struct fh_error *error)
{
    return work->store->engine->ledger->sagas_closable(work, arena, birth, ret, error);
}

static inline enum fh_code ledger_sagas_closed(struct store_work *work, const char *birth,
                                               const struct ledger_caller *closed,
                                               int64_t *ret_marked, struct fh_error *error)
{
    return work->store->engine->ledger->sagas_closed(work, birth, closed, ret_marked, error);
}

static inline enum fh_code ledger_sagas_unclosed(struct store_work *work,
                                                 bool (*visit)(void *context, const char *birth,
                                                               const char *target),
                                                 void *context, struct fh_error *error)
{
    return work->store->engine->ledger->sagas_unclosed(work, visit, context, error);
}

static inline enum fh_code ledger_sagas_forget(struct store_work *work, int64_t number_max,
                                               int64_t before_ms, int limit,
                                               struct ledger_counts *ret_removed,
                                               struct fh_error *error)
{
    return work->store->engine->ledger->sagas_forget(work, number_max, before_ms, limit,
                                                     ret_removed, error);
}

static inline enum fh_code ledger_saga_counts(struct store_work *work, struct ledger_counts *ret,
                                              struct fh_error *error)
{
    return work->store->engine->ledger->saga_counts(work, ret, error);
}

static inline enum fh_code ledger_migrations_get(struct store_work *work,
                                                 bool (*visit)(void *context, int64_t version,
                                                               const char *name,
                                                               const char *checksum),
                                                 void *context, struct fh_error *error)
{
    return work->store->engine->ledger->migrations_get(work, visit, context, error);
}

static inline enum fh_code ledger_migration_put(struct store_work *work, int64_t version,
                                                const char *name, const char *checksum,
                                                int64_t now_ms, struct fh_error *error)
{
    return work->store->engine->ledger->migration_put(work, version, name, checksum, now_ms, error);
}

static inline enum fh_code
ledger_timer_put(struct store_work *work, const struct ledger_timer *timer, struct fh_error *error)
{
    return work->store->engine->ledger->timer_put(work, timer, error);
}

static inline enum fh_code ledger_timers_take(struct store_work *work,
                                              const struct ledger_timer *timers, int count,
                                              int64_t *ret_taken, struct fh_error *error)
{
    return work->store->engine->ledger->timers_take(work, timers, count, ret_taken, error);
}

static inline enum fh_code ledger_timers_read(struct store_work *work, const char *kind, int limit,
                                              bool (*visit)(void *context,
                                                            const struct ledger_timer *timer),
                                              void *context, struct fh_error *error)
{
    return work->store->engine->ledger->timers_read(work, kind, limit, visit, context, error);
}

static inline enum fh_code ledger_timer_get(struct store_work *work, struct arena *arena,
                                            const char *kind, int64_t due_ms, const char *name,
                                            struct ledger_timer *ret, struct fh_error *error)
{
    return work->store->engine->ledger->timer_get(work, arena, kind, due_ms, name, ret, error);
}

static inline enum fh_code ledger_timers_count(struct store_work *work, const char *kind,
                                               int64_t most, int64_t *ret, struct fh_error *error)
{
    return work->store->engine->ledger->timers_count(work, kind, most, ret, error);
}

#endif
