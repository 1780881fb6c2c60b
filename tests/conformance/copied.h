/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_COPIED_H
#define TESTS_COPIED_H

/* A ledger of which each table has something, and what a copy of it must contain. Header only. */

#include "conformance.h"

#include "base/arena.h"
#include "base/id.h"
#include "store/ledger_snapshot.h"

#define BIRTH "0192f0c1-2222-7000-8000-000000000001"

static inline bool committed(struct conformance *c, struct store_work *work, enum fh_code code)
{
    if (code == FH_OK)
        return store_commit(work, &c->error) == FH_OK;
    store_rollback(work);
    return false;
}

static inline void new_id(struct store *store, char id[ID_SIZE])
{
    unsigned char random[10];
    world_random(store->world, random, sizeof random);
    id_format(id, world_wall_ms(store->world), random);
}

static inline bool publish(struct conformance *c, struct store *store, const char *key,
                           char id[ID_SIZE])
{
    struct store_work *work;
    new_id(store, id);
    struct ledger_event event = {
        .time_ms = 1, .version = 2, .id = id, .type = "Made", .key = key, .data = "{\"id\": 1}"};
    struct store_placed placed = {.event_id = id};
    return store_begin(store, STORE_WRITE, &work, &c->error) == FH_OK &&
           committed(c, work, ledger_outbox_append(work, &event, &c->error)) &&
           store_sequence(store, &placed, 1, &c->error) == FH_OK;
}

static inline enum fh_code leave_marks(struct store_work *work, struct fh_error *error)
{
    const struct ledger_cursor nowhere = {0};
    struct ledger_cursor cursor = {.incarnation = BIRTH, .event_id = "e7", .position = 7};
    struct ledger_parked parked = {.source = "users",
                                   .partition = "0/1",
                                   .key = "k",
                                   .position = 5,
                                   .event_id = "e5",
                                   .type = "Made",
                                   .time_ms = 50,
                                   .attempts = 3,
                                   .error = "bad",
                                   .parked_ms = 60,
                                   .event = "{\"a\": 1}"};
    struct ledger_command command = {.caller = "orders",
                                     .key = "orders/" BIRTH ".3/0/0",
                                     .birth = BIRTH,
                                     .number = 3,
                                     .attempt = 1,
                                     .created_ms = 9,
                                     .outcome = LEDGER_DONE,
                                     .digest = "d1",
                                     .request = NULL,
                                     .answer = "{\"status\": 201}"};
    struct ledger_caller closed = {.closed_through = 2, .still_open = "[1]"};
    const struct ledger_resync none = {0}, begun = {.resync = 2,
                                                    .phase = LEDGER_PAGES,
                                                    .type = 1,
                                                    .after = "\"k9\"",
                                                    .seen_position = 8,
                                                    .seen_id = "e8"};
    const struct ledger_snapshot_ops *snapshots = ledger_snapshots(work->store);
    int64_t removed;
    enum fh_code code = ledger_cursor_move(work, "users", "0/1", &nowhere, &cursor, error);
    if (code == FH_OK)
        code = snapshots->resync_move(work, "users", "0/1", &none, &begun, error);
    if (code == FH_OK)
        code = snapshots->applied_put(work, "users", "0/1", 1, "k9", 6, 2, error);
    for (int i = 0; i < 2 && code == FH_OK; i++) {
        code = ledger_parked_put(work, &parked, error);
        parked.position = 6;
        parked.attempts = 0;
    }
    if (code == FH_OK)
        code = ledger_command_put(work, &command, error);
    if (code == FH_OK)
        code = ledger_caller_close(work, "orders", BIRTH, &closed, error);
    if (code == FH_OK)
        code = ledger_caller_set_newest(work, "orders", BIRTH, error);
    if (code == FH_OK)
        code = ledger_subscriber_put(work, "orders", "0/1", BIRTH, 2, 3, 70, error);
    return code == FH_OK ? ledger_outbox_trim(work, 1, 10, &removed, error) : code;
}

static inline bool start_saga(struct conformance *c, struct store *store)
{
    struct store_work *work;
    char id[ID_SIZE];
    new_id(store, id);
    struct ledger_event event = {
        .time_ms = 1, .version = 1, .id = id, .type = "freehold.saga", .key = "s", .data = "{}"};
    struct ledger_saga saga = {.birth = BIRTH,
                               .name = "sell",
                               .input = "{\"n\": 1}",
                               .state = "{}",
                               .status = "running",
                               .deadline_ms = 99};
    struct ledger_step steps[] = {
        {.birth = BIRTH, .target = "users", .request = "{}", .state = "stored"},
        {.birth = BIRTH,
         .step = 1,
         .element = 11,
         .target = "users",
         .request = "{}",
         .state = "done",
         .answer = "{}",
         .receiver = BIRTH,
         .receiver_position = 4}};
    struct store_placed placed = {.event_id = id};
    return store_begin(store, STORE_WRITE, &work, &c->error) == FH_OK &&
           committed(c, work, ledger_saga_start(work, &event, &saga, steps, 2, &c->error)) &&
           store_sequence(store, &placed, 1, &c->error) == FH_OK;
}

static inline bool fill_ledger(struct conformance *c, struct store *store, char ids[3][ID_SIZE])
{
    struct store_work *work;
    return publish(c, store, "a", ids[0]) && publish(c, store, "b", ids[1]) &&
           publish(c, store, "a", ids[2]) && start_saga(c, store) &&
           store_begin(store, STORE_WRITE_EXCLUSIVE, &work, &c->error) == FH_OK &&
           committed(c, work, leave_marks(work, &c->error));
}

/* ---- What is there afterwards ---- */

struct seen {
    int events, steps, parked;
    int64_t positions[8], previous[8];
    char ids[8][ID_SIZE];
};

static inline bool see_event(void *context, const struct ledger_event *event)
{
    struct seen *seen = context;
    seen->positions[seen->events] = event->position;
    seen->previous[seen->events] = event->previous;
    snprintf(seen->ids[seen->events], ID_SIZE, "%s", event->id);
    return ++seen->events < 8;
}

static inline bool see_step(void *context, const struct ledger_step *step)
{
    struct seen *seen = context;
    bool second = step->step == 1 && step->element == 11 && strcmp(step->receiver, BIRTH) == 0;
    seen->steps += seen->steps == 0 ? step->answer == NULL : second;
    return true;
}

static inline bool see_parked(void *context, const struct ledger_parked *parked)
{
    struct seen *seen = context;
    seen->parked += parked->position == 5 && parked->waiting == 2 && parked->attempts == 3;
    return true;
}

static inline void expect_ledger(struct conformance *c, struct store *store, struct arena *arena)
{
    struct ledger_command command;
    struct ledger_caller closed;
    struct ledger_cursor cursor;
    struct ledger_saga saga;
    struct seen seen = {0};
    char newest[ID_SIZE];
    struct store_work *work;
    EXPECT(store_begin(store, STORE_READ, &work, &c->error) == FH_OK);
    enum fh_code code =
        ledger_command_get(work, arena, "orders", "orders/" BIRTH ".3/0/0", &command, &c->error);
    if (code == FH_OK)
        code = ledger_caller_get(work, arena, "orders", BIRTH, &closed, &c->error);
    if (code == FH_OK)
        code = ledger_caller_newest(work, "orders", newest, &c->error);
    if (code == FH_OK)
        code = ledger_cursor_get(work, "users", "0/1", &cursor, &c->error);
    if (code == FH_OK)
        code = ledger_saga_get(work, arena, BIRTH, 4, &saga, &c->error);
    if (code == FH_OK)
        code = ledger_steps_get(work, arena, BIRTH, 4, see_step, &seen, &c->error);
    struct ledger_resync resync = {0};
    int64_t applied = 0;
    if (code == FH_OK)
        code = ledger_snapshots(store)->resync_get(work, "users", "0/1", &resync, &c->error);
    if (code == FH_OK)
        code = ledger_snapshots(store)->applied_get(work, "users", "0/1", 1, "k9", 2, &applied,
                                                    &c->error);
    if (code == FH_OK)
        code = ledger_parked_keys(work, "users", 10, see_parked, &seen, &c->error);
    store_rollback(work);
    EXPECT(code == FH_OK);
    EXPECT(command.outcome == LEDGER_DONE && !command.request && command.number == 3);
    EXPECT(strcmp(command.answer, "{\"status\": 201}") == 0);
    EXPECT(closed.closed_through == 2 && strcmp(closed.still_open, "[1]") == 0);
    EXPECT(strcmp(newest, BIRTH) == 0 && cursor.position == 7);
    EXPECT(strcmp(saga.name, "sell") == 0 && strcmp(saga.status, "running") == 0);
    EXPECT(seen.steps == 2 && seen.parked == 1);
    EXPECT(resync.resync == 2 && resync.phase == LEDGER_PAGES && resync.type == 1 && applied == 6);
    EXPECT(strcmp(resync.after, "\"k9\"") == 0 && resync.seen_position == 8);
    EXPECT(strcmp(resync.seen_id, "e8") == 0);
}

/* The first of its events was trimmed; the next one gets the next position. */
static inline void expect_events(struct conformance *c, struct store *store, char ids[3][ID_SIZE])
{
    struct store_work *work;
    struct seen seen = {0};
    char next[ID_SIZE];
    EXPECT(publish(c, store, "a", next));
    EXPECT(store_begin(store, STORE_READ, &work, &c->error) == FH_OK);
    enum fh_code code = ledger_outbox_read(work, 1, 10, see_event, &seen, &c->error);
    store_rollback(work);
    EXPECT(code == FH_OK);
    EXPECT(seen.events == 4 && seen.positions[0] == 2 && seen.positions[3] == 5);
    EXPECT(seen.previous[1] == 1 && seen.previous[3] == 3);
    EXPECT(strcmp(seen.ids[0], ids[1]) == 0 && strcmp(seen.ids[1], ids[2]) == 0);
    EXPECT(strcmp(seen.ids[3], next) == 0);
}

#endif
