/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger, on every engine that can own a service's truth: positions, cursors and sagas. All
 * that is written here is committed or rolled back with the unit of work that wrote it. An event's
 * position is read after its commit, when every engine knows it.
 */

#include "conformance.h"

#include <inttypes.h>

#include "store/ledger.h"

#define EVENTS_MAX 64

/* ---- Outbox ---- */

static struct ledger_event event_of(const char *id, const char *key)
{
    return (struct ledger_event){.id = id,
                                 .type = "OrderCreated",
                                 .key = key,
                                 .version = 1,
                                 .time_ms = 1000,
                                 .data = "{\"a\":1}",
                                 .trace = NULL};
}

/* Ends the unit of work, lets what it published get its positions, and begins the next one. */
static struct store_work *go_on(struct conformance *c, struct store_work *work)
{
    if (conformance_commit(c, work) != FH_OK ||
        store_sequence(c->store, NULL, 0, &c->error) != FH_OK)
        return NULL;
    return conformance_begin(c, STORE_WRITE);
}

static bool read_previous(void *context, const struct ledger_event *event)
{
    *(int64_t *)context = event->previous;
    return false;
}

/* One event in a unit of work of its own. */
static bool publish(struct conformance *c, const char *id, const char *key,
                    struct ledger_event *ret)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return false;
    *ret = event_of(id, key);
    if (ledger_outbox_append(work, ret, &c->error) != FH_OK) {
        conformance_rollback(c, work);
        return false;
    }
    if (conformance_commit(c, work) != FH_OK)
        return false;
    struct store_placed placed = {id, ret->position};
    if (store_sequence(c->store, &placed, 1, &c->error) != FH_OK)
        return false;
    ret->position = placed.position;
    work = conformance_begin(c, STORE_READ);
    bool read = work && ledger_outbox_read(work, ret->position - 1, 1, read_previous,
                                           &ret->previous, &c->error) == FH_OK;
    if (work)
        conformance_rollback(c, work);
    return read;
}

struct read_events {
    struct ledger_event events[EVENTS_MAX];
    char ids[EVENTS_MAX][ID_SIZE];
    int count, stop_at;
};

static bool read_event(void *context, const struct ledger_event *event)
{
    struct read_events *read = context;
    if (read->count == EVENTS_MAX)
        return false;
    read->events[read->count] = *event;
    snprintf(read->ids[read->count], ID_SIZE, "%s", event->id);
    return ++read->count != read->stop_at;
}

static void read_outbox(struct conformance *c, int64_t after, int limit, struct read_events *read)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(ledger_outbox_read(work, after, limit, read_event, read, &c->error) == FH_OK);
    conformance_rollback(c, work);
}

static void positions_are_dense_whatever_is_rolled_back(struct conformance *c)
{
    struct ledger_event event;
    EXPECT(publish(c, "e1", "a", &event) && event.position == 1);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    struct ledger_event lost = event_of("lost", "a");
    EXPECT(ledger_outbox_append(work, &lost, &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(publish(c, "e2", "b", &event) && event.position == 2);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    static const char *const many[] = {"e3", "e4", "e5"};
    for (int i = 0; i < 3; i++) {
        event = event_of(many[i], "c");
        EXPECT(ledger_outbox_append(work, &event, &c->error) == FH_OK);
    }
    work = go_on(c, work);
    EXPECT(work);
    int64_t position = 0;
    EXPECT(ledger_position(work, &position, &c->error) == FH_OK && position == 5);
    conformance_rollback(c, work);
    struct read_events read = {0};
    read_outbox(c, 0, 100, &read);
    EXPECT(read.count == 5);
    for (int i = 0; i < 5; i++)
        EXPECT(read.events[i].position == i + 1);
    EXPECT(strcmp(read.ids[0], "e1") == 0 && strcmp(read.ids[1], "e2") == 0);
}

static void
events_of_one_work_stand_in_the_order_in_which_they_were_published(struct conformance *c)
{
    struct ledger_event event;
    EXPECT(publish(c, "e1", "b", &event) && event.position == 1);
    struct ledger_event many[] = {event_of("e2", "c"), event_of("e3", "b"), event_of("e4", "c")};
    many[0].next = &many[1];
    many[1].next = &many[2];
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_outbox_append(work, many, &c->error) == FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    struct read_events read = {0};
    EXPECT(ledger_outbox_read(work, 1, 100, read_event, &read, &c->error) == FH_OK);
    EXPECT(read.count == 3);
    EXPECT(strcmp(read.ids[0], "e2") == 0 && read.events[0].previous == 0);
    EXPECT(strcmp(read.ids[1], "e3") == 0 && read.events[1].previous == 1);
    EXPECT(strcmp(read.ids[2], "e4") == 0 && read.events[2].previous == 2);
}

/* As left by a process that dies between its commit and the sequencer. */
static void what_was_left_without_a_position_gets_one_later(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    struct ledger_event left = event_of("left", "a"), event;
    EXPECT(ledger_outbox_append(work, &left, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    conformance_reopen(c);
    EXPECT(!c->failure[0]);
    EXPECT(store_sequence(c->store, NULL, 0, &c->error) == FH_OK);
    struct read_events read = {0};
    read_outbox(c, 0, 100, &read);
    EXPECT(read.count == 1 && strcmp(read.ids[0], "left") == 0 && read.events[0].position == 1);
    EXPECT(publish(c, "next", "a", &event) && event.position == 2 && event.previous == 1);
}

static void an_event_names_the_one_before_it_of_its_key(struct conformance *c)
{
    struct ledger_event event;
    EXPECT(publish(c, "e1", "a", &event) && event.previous == 0);
    EXPECT(publish(c, "e2", "b", &event) && event.previous == 0);
    EXPECT(publish(c, "e3", "a", &event) && event.previous == 1);
    EXPECT(publish(c, "e4", "a", &event) && event.previous == 3);
    EXPECT(publish(c, "e5", "b", &event) && event.previous == 2);
    struct read_events read = {0};
    read_outbox(c, 2, 2, &read);
    EXPECT(read.count == 2 && read.events[0].position == 3 && read.events[0].previous == 1);
    EXPECT(read.events[1].position == 4 && read.events[1].previous == 3);
    read = (struct read_events){.stop_at = 1};
    read_outbox(c, 0, 100, &read);
    EXPECT(read.count == 1);
}

struct one_event {
    bool same;
};

static bool compare_event(void *context, const struct ledger_event *event)
{
    struct one_event *one = context;
    one->same = event->position == 1 && event->previous == 0 && event->time_ms == 1234567890123 &&
                event->version == 7 && strcmp(event->id, "id-1") == 0 &&
                strcmp(event->type, "Type") == 0 && strcmp(event->key, "k\u00e9") == 0 &&
                strcmp(event->data, "{\"text\":\"\u4e2d\"}") == 0 &&
                strcmp(event->trace, "00-trace") == 0;
    return true;
}

static void an_event_comes_back_whole(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    struct ledger_event event = {.id = "id-1",
                                 .type = "Type",
                                 .key = "k\u00e9",
                                 .version = 7,
                                 .time_ms = 1234567890123,
                                 .data = "{\"text\":\"\u4e2d\"}",
                                 .trace = "00-trace"};
    struct one_event one = {0};
    EXPECT(ledger_outbox_append(work, &event, &c->error) == FH_OK);
    work = go_on(c, work);
    EXPECT(work);
    EXPECT(ledger_outbox_read(work, 0, 10, compare_event, &one, &c->error) == FH_OK);
    EXPECT(one.same);
}

static bool trim(struct conformance *c, int64_t position, int limit, int64_t *ret_removed)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    return work && ledger_outbox_trim(work, position, limit, ret_removed, &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK;
}

static void an_outbox_trimmed_empty_gives_no_position_out_again(struct conformance *c)
{
    static const char *const ids[] = {"first", "second", "third", "fourth", "fifth"};
    struct ledger_event event;
    for (int i = 0; i < 5; i++)
        EXPECT(publish(c, ids[i], i == 1 ? "b" : "a", &event));
    int64_t removed = 0, position = 0;
    char id[ID_SIZE];
    EXPECT(trim(c, 4, 3, &removed) && removed == 3);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(ledger_outbox_trimmed(work, &position, id, &c->error) == FH_OK);
    EXPECT(position == 3 && strcmp(id, "third") == 0);
    EXPECT(ledger_outbox_id_at(work, 2, id, &c->error) == FH_OK && id[0] == '\0');
    EXPECT(ledger_outbox_id_at(work, 5, id, &c->error) == FH_OK && strcmp(id, "fifth") == 0);
    EXPECT(ledger_outbox_id_at(work, 6, id, &c->error) == FH_OK && id[0] == '\0');
    conformance_rollback(c, work);
    EXPECT(trim(c, 100, 100, &removed) && removed == 2);
    EXPECT(trim(c, 100, 100, &removed) && removed == 0);
    conformance_reopen(c);
    EXPECT(!c->failure[0]);
    EXPECT(publish(c, "e6", "b", &event) && event.position == 6 && event.previous == 2);
    EXPECT(publish(c, "e7", "a", &event) && event.position == 7 && event.previous == 5);
}

static void a_new_outbox_has_trimmed_nothing(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    int64_t position = -1;
    char id[ID_SIZE] = "?";
    EXPECT(ledger_outbox_trimmed(work, &position, id, &c->error) == FH_OK);
    EXPECT(position == 0 && id[0] == '\0');
    EXPECT(ledger_position(work, &position, &c->error) == FH_OK && position == 0);
}

/* ---- Cursors ---- */

static struct ledger_cursor cursor_at(int64_t position, int64_t epoch)
{
    struct ledger_cursor cursor = {.position = position, .epoch = epoch};
    snprintf(cursor.incarnation, sizeof cursor.incarnation, "incarnation");
    snprintf(cursor.event_id, sizeof cursor.event_id, "id-%lld", (long long)position);
    return cursor;
}

static enum fh_code move(struct conformance *c, const struct ledger_cursor *old,
                         const struct ledger_cursor *next)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return c->error.code;
    enum fh_code code = ledger_cursor_move(work, "users", "0/1", old, next, &c->error);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static void a_cursor_moves_only_from_where_it_is(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    struct ledger_cursor none, first = cursor_at(10, 1), second = cursor_at(20, 1);
    EXPECT(ledger_cursor_get(work, "users", "0/1", &none, &c->error) == FH_OK);
    EXPECT(none.position == 0 && none.incarnation[0] == '\0' && none.epoch == 0);
    conformance_rollback(c, work);
    EXPECT(move(c, &none, &first) == FH_OK);
    EXPECT(move(c, &none, &first) == FH_CONFLICT && !c->error.retryable);
    EXPECT(move(c, &first, &second) == FH_OK);
    EXPECT(move(c, &first, &second) == FH_CONFLICT && !c->error.retryable);
    struct ledger_cursor other_epoch = cursor_at(20, 2), other_incarnation = cursor_at(20, 1),
                         third = cursor_at(30, 1);
    snprintf(other_incarnation.incarnation, ID_SIZE, "another");
    EXPECT(move(c, &other_epoch, &third) == FH_CONFLICT);
    EXPECT(move(c, &other_incarnation, &third) == FH_CONFLICT);
    work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    struct ledger_cursor now;
    EXPECT(ledger_cursor_get(work, "users", "0/1", &now, &c->error) == FH_OK);
    EXPECT(now.position == 20 && now.epoch == 1 && strcmp(now.event_id, "id-20") == 0);
    EXPECT(ledger_cursor_get(work, "users", "1/2", &now, &c->error) == FH_OK);
    EXPECT(now.position == 0);
}

/* As one that was created for its partition, and comes with a store that was moved. */
static void a_cursor_that_was_created_and_never_moved_moves(struct conformance *c)
{
    struct ledger_cursor none = {0}, first = cursor_at(10, 0);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_cursor_take(work, "users", "0/1", 0, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(move(c, &none, &first) == FH_OK);
    EXPECT(move(c, &none, &first) == FH_CONFLICT && !c->error.retryable);
}

/* As a replay does, and as it ends. */
static enum fh_code move_both(struct conformance *c, const struct ledger_cursor *old,
                              const struct ledger_cursor *next, const struct ledger_cursor *kept,
                              const struct ledger_cursor *keep)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return c->error.code;
    enum fh_code code = ledger_cursor_move(work, "users", "0/1", old, next, &c->error);
    if (code == FH_OK)
        code = ledger_cursor_move(work, "users~replay", "0/1", kept, keep, &c->error);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static bool count_partition(void *context, const char *partition)
{
    ++*(int *)context;
    return strcmp(partition, "0/1") == 0;
}

static void a_cursor_is_set_back_with_its_place_kept_beside_it(struct conformance *c)
{
    struct ledger_cursor none = {0}, early = cursor_at(10, 1), late = cursor_at(100, 1), now;
    int partitions = 0;
    EXPECT(move(c, &none, &late) == FH_OK);
    for (int i = 0; i < 2; i++) {
        EXPECT(move_both(c, &late, &early, &none, &late) == FH_OK);
        EXPECT(move_both(c, &late, &early, &none, &late) == FH_CONFLICT && !c->error.retryable);
        EXPECT(move_both(c, &early, &late, &none, &late) == FH_CONFLICT && !c->error.retryable);
        struct store_work *work = conformance_begin(c, STORE_READ);
        EXPECT(work);
        EXPECT(ledger_cursor_get(work, "users", "0/1", &now, &c->error) == FH_OK);
        EXPECT(now.position == 10);
        EXPECT(ledger_cursor_get(work, "users~replay", "0/1", &now, &c->error) == FH_OK);
        EXPECT(now.position == 100 && strcmp(now.event_id, "id-100") == 0);
        EXPECT(ledger_cursor_partitions(work, "users", count_partition, &partitions, &c->error) ==
               FH_OK);
        conformance_rollback(c, work);
        EXPECT(move_both(c, &early, &late, &late, &none) == FH_OK);
    }
    EXPECT(partitions == 2);
}

struct cursors_found {
    int64_t first, second; /* positions of "0/2" and "1/2" */
    int count, most;
    bool whole; /* each has all that it was given */
};

static bool take_cursor(void *context, const char *partition, const struct ledger_cursor *cursor)
{
    struct cursors_found *found = context;
    char id[ID_SIZE];
    snprintf(id, sizeof id, "id-%" PRId64, cursor->position);
    found->whole = found->whole && strcmp(cursor->event_id, id) == 0 && cursor->epoch == 1;
    *(strcmp(partition, "0/2") == 0 ? &found->first : &found->second) = cursor->position;
    return ++found->count < found->most;
}

static struct cursors_found find_cursors(struct conformance *c, struct store_work *work,
                                         const char *source, int most)
{
    struct cursors_found found = {.most = most, .whole = true};
    if (ledger_cursors_get(work, source, take_cursor, &found, &c->error) != FH_OK)
        found.count = -1;
    return found;
}

static void cursors_of_a_source_are_read_at_once(struct conformance *c)
{
    struct ledger_cursor none = {0}, first = cursor_at(3, 1), second = cursor_at(5, 1),
                         third = cursor_at(6, 1);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_cursor_move(work, "users~back", "0/2", &none, &first, &c->error) == FH_OK);
    EXPECT(ledger_cursor_move(work, "users~back", "1/2", &none, &second, &c->error) == FH_OK);
    EXPECT(ledger_cursor_move(work, "users", "0/2", &none, &third, &c->error) == FH_OK);
    EXPECT(find_cursors(c, work, "users~back", 9).second == 5); /* its own */
    EXPECT(conformance_commit(c, work) == FH_OK);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_cursor_move(work, "users~back", "1/2", &second, &third, &c->error) == FH_OK);
    struct cursors_found changed = find_cursors(c, work, "users~back", 9);
    EXPECT(changed.count == 2 && changed.first == 3 && changed.second == 6 && changed.whole);
    conformance_rollback(c, work);
    for (int committed = 0; committed < 2; committed++) {
        work = conformance_begin(c, committed ? STORE_READ_COMMITTED : STORE_READ);
        EXPECT(work);
        struct cursors_found found = find_cursors(c, work, "users~back", 9);
        EXPECT(found.count == 2 && found.first == 3 && found.second == 5 && found.whole);
        EXPECT(find_cursors(c, work, "users~back", 1).count == 1);
        found = find_cursors(c, work, "users", 9);
        EXPECT(found.count == 1 && found.first == 6);
        EXPECT(find_cursors(c, work, "user", 9).count == 0);
        EXPECT(conformance_commit(c, work) == FH_OK);
    }
}

/* ---- Sagas ---- */

static struct ledger_saga saga_of(int64_t number, const char *status)
{
    return (struct ledger_saga){.birth = "birth",
                                .number = number,
                                .name = "place_order",
                                .input = "{\"id\":1}",
                                .state = "{}",
                                .status = status,
                                .epoch = 3,
                                .deadline_ms = 99,
                                .updated_ms = 1};
}

/* Its event's id is its own, and its key. */
static enum fh_code put_saga(struct conformance *c, struct store_work *work,
                             struct ledger_saga *saga)
{
    char id[32];
    snprintf(id, sizeof id, "start-%d", (int)saga->number);
    struct ledger_event event = event_of(id, id);
    event.type = "freehold.saga.started";
    return ledger_saga_start(work, &event, saga, NULL, 0, &c->error);
}

static enum fh_code update_by(struct conformance *c, enum store_mode mode,
                              const struct ledger_saga *saga)
{
    struct store_work *work = conformance_begin(c, mode);
    enum fh_code code = work ? ledger_saga_update(work, saga, &c->error) : FH_UNAVAILABLE;
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static struct ledger_counts counts_of(struct conformance *c, struct store_work *work)
{
    struct ledger_counts counts = {.running = -1};
    ledger_saga_counts(work, &counts, &c->error);
    return counts;
}

static void a_saga_is_changed_only_by_its_epoch(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    struct ledger_saga saga = saga_of(1, "running"), read;
    EXPECT(put_saga(c, work, &saga) == FH_OK);
    conformance_rollback(c, go_on(c, work));
    saga.number = 1;
    saga.state = "{\"step\":1}";
    saga.status = "compensating";
    saga.updated_ms = 2;
    EXPECT(update_by(c, STORE_WRITE, &saga) == FH_OK);
    saga.stays = true;
    saga.updated_ms = 3;
    EXPECT(update_by(c, STORE_WRITE, &saga) == FH_OK);
    saga.epoch = 2;
    saga.state = "{\"step\":9}";
    for (int i = 0; i < 2; i++) {
        saga.stays = i > 0;
        EXPECT(update_by(c, STORE_WRITE, &saga) == FH_CONFLICT && !c->error.retryable);
    }
    work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    bool same = ledger_saga_get(work, &arena, "birth", 1, &read, &c->error) == FH_OK &&
                read.epoch == 3 && strcmp(read.state, "{\"step\":1}") == 0 &&
                strcmp(read.status, "compensating") == 0 && read.updated_ms == 3 &&
                strcmp(read.name, "place_order") == 0 && strcmp(read.input, "{\"id\":1}") == 0;
    bool none = ledger_saga_get(work, &arena, "birth", 2, &read, &c->error) == FH_NOT_FOUND;
    arena_release(&arena);
    EXPECT(same && none);
}

/* A late instance may know its epoch: nobody had to take the saga for it to end. */
static void a_saga_that_is_over_is_never_changed_again(struct conformance *c)
{
    static const char *const over[] = {"ended", "undone", "abandoned"};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    for (int i = 0; i < 6; i++) {
        struct ledger_saga saga = saga_of(i + 1, over[i % 3]);
        EXPECT(work && put_saga(c, work, &saga) == FH_OK);
        work = go_on(c, work);
    }
    conformance_rollback(c, work);
    for (int i = 0; i < 6; i++) {
        for (int status = 0; status < 2; status++) {
            struct ledger_saga saga = saga_of(i + 1, status ? over[i % 3] : "running");
            saga.stays = status > 0; /* as its late instance believes */
            EXPECT(update_by(c, i < 3 ? STORE_WRITE : STORE_WRITE_GUARDED, &saga) == FH_CONFLICT);
            EXPECT(!c->error.retryable);
        }
    }
    work = conformance_begin(c, STORE_READ);
    struct ledger_counts counts = counts_of(c, work);
    EXPECT(counts.ended == 2 && counts.undone == 2 && counts.abandoned == 2);
}

struct numbers {
    int64_t numbers[EVENTS_MAX];
    char text[256];
    int count;
};

static bool read_saga(void *context, const struct ledger_saga *saga)
{
    struct numbers *numbers = context;
    numbers->numbers[numbers->count++] = saga->number;
    return true;
}

/* At most so many at a time, each time after the last one. */
static bool are_told_in_parts(struct conformance *c, struct store_work *work, int limit,
                              const struct numbers *all)
{
    struct numbers parts = {0};
    struct ledger_open open = {.birth = "", .limit = limit};
    int before;
    do {
        before = parts.count;
        if (ledger_sagas_open(work, &open, read_saga, &parts, &c->error) != FH_OK)
            return false;
        open.birth = "birth";
        open.number = parts.count ? parts.numbers[parts.count - 1] : 0;
        if (parts.count > before + limit)
            return false;
    } while (parts.count == before + limit);
    return parts.count == all->count &&
           memcmp(parts.numbers, all->numbers, sizeof parts.numbers) == 0;
}

static bool read_step(void *context, const struct ledger_step *step)
{
    struct numbers *numbers = context;
    size_t used = strlen(numbers->text);
    snprintf(numbers->text + used, sizeof numbers->text - used, "%d.%d %s %s;", step->step,
             step->element, step->state, step->answer ? step->answer : "-");
    return true;
}

static void open_sagas_and_counts_are_told(struct conformance *c)
{
    static const char *const statuses[] = {"running", "ended",   "compensating", "undone",
                                           "parked",  "running", "abandoned"};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    for (int i = 0; i < 7; i++) {
        struct ledger_saga saga = saga_of(i + 1, statuses[i]);
        EXPECT(put_saga(c, work, &saga) == FH_OK);
    }
    work = go_on(c, work);
    EXPECT(work);
    struct numbers open = {0};
    EXPECT(ledger_sagas_open(work, &(struct ledger_open){0}, read_saga, &open, &c->error) == FH_OK);
    EXPECT(open.count == 4 && open.numbers[0] == 1 && open.numbers[1] == 3 &&
           open.numbers[2] == 5 && open.numbers[3] == 6);
    EXPECT(are_told_in_parts(c, work, 1, &open) && are_told_in_parts(c, work, 2, &open) &&
           are_told_in_parts(c, work, 3, &open) && are_told_in_parts(c, work, 100, &open));
    struct ledger_counts counts = counts_of(c, work);
    EXPECT(counts.running == 2 && counts.compensating == 1 && counts.ended == 1 &&
           counts.undone == 1 && counts.parked == 1 && counts.abandoned == 1);
}

static void closing_reports_what_has_ended_and_marks_only_that(struct conformance *c)
{
    static const char *const statuses[] = {"ended", "running", "undone", "running", "abandoned"};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    for (int i = 0; i < 5; i++) {
        struct ledger_saga saga = saga_of(i + 1, statuses[i]);
        EXPECT(put_saga(c, work, &saga) == FH_OK);
    }
    work = go_on(c, work);
    EXPECT(work);
    struct arena arena;
    struct ledger_caller closable;
    arena_init(&arena, ARENA_SIZE_MAX);
    bool same = ledger_sagas_closable(work, &arena, "birth", &closable, &c->error) == FH_OK &&
                closable.closed_through == 5 && strcmp(closable.still_open, "[2,4]") == 0;
    arena_release(&arena);
    EXPECT(same);
    struct ledger_saga late = saga_of(2, "ended");
    EXPECT(ledger_saga_update(work, &late, &c->error) == FH_OK);
    struct ledger_caller closed = {5, "[2,4]"};
    int64_t marked = 0;
    EXPECT(ledger_sagas_closed(work, "birth", &closed, &marked, &c->error) == FH_OK);
    EXPECT(marked == 3); /* 1, 3 and 5; 2 was open when this was reported */
    EXPECT(ledger_sagas_closed(work, "birth", &closed, &marked, &c->error) == FH_OK && marked == 0);
}

#define NASTY "\\u0000 \\\" \\\\ \u00e9 \U0001f600 \\n\\u0001 %s ?1 ' `"

static bool compare_step(void *context, const struct ledger_step *step)
{
    int *same = context;
    *same += step->number == 1 && step->step == 0 && step->attempt == 1 && !step->answer &&
             !step->receiver && strcmp(step->target, "products") == 0 &&
             strcmp(step->state, "stored") == 0 &&
             strcmp(step->request, step->element ? "{}" : "{\"body\":\"" NASTY "\"}") == 0;
    return true;
}

static void start_with_steps(struct conformance *c)
{
    struct ledger_step steps[] = {{.birth = "birth",
                                   .attempt = 1,
                                   .target = "products",
                                   .request = "{\"body\":\"" NASTY "\"}",
                                   .state = "stored"},
                                  {.birth = "birth",
                                   .element = 1,
                                   .attempt = 1,
                                   .target = "products",
                                   .request = "{}",
                                   .state = "stored"}};
    struct ledger_saga saga = saga_of(0, "running");
    struct ledger_event event = event_of("start", "freehold.saga");
    event.type = "freehold.saga.started";
    saga.input = "{\"text\":\"" NASTY "\"}";
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_saga_start(work, &event, &saga, steps, 2, &c->error) == FH_OK);
    EXPECT(go_on(c, work));
}

static void a_saga_is_there_whole_under_its_number_and_its_start(struct conformance *c)
{
    start_with_steps(c);
    EXPECT(!c->failure[0]);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    struct ledger_saga read;
    struct arena arena;
    int same = 0;
    arena_init(&arena, ARENA_SIZE_MAX);
    bool found = ledger_saga_find(work, &arena, "birth", "start", &read, &c->error) == FH_OK &&
                 read.number == 1 && read.epoch == 3 && read.deadline_ms == 99 &&
                 strcmp(read.start_id, "start") == 0 && strcmp(read.status, "running") == 0 &&
                 strcmp(read.input, "{\"text\":\"" NASTY "\"}") == 0;
    bool none =
        ledger_saga_find(work, &arena, "birth", "other", &read, &c->error) == FH_NOT_FOUND &&
        ledger_saga_find(work, &arena, "other", "start", &read, &c->error) == FH_NOT_FOUND;
    enum fh_code code = ledger_steps_get(work, &arena, "birth", 1, compare_step, &same, &c->error);
    arena_release(&arena);
    EXPECT(found);
    EXPECT(none);
    EXPECT(code == FH_OK && same == 2);
}

static void steps_are_replaced_and_read_in_order(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    static const int order[][2] = {{1, 0}, {0, 1}, {0, 0}};
    for (int i = 0; i < 3; i++) {
        struct ledger_step step = {.birth = "birth",
                                   .number = 1,
                                   .step = order[i][0],
                                   .element = order[i][1],
                                   .attempt = 1,
                                   .target = "products",
                                   .request = "{}",
                                   .state = "stored"};
        EXPECT(ledger_step_put(work, &step, &c->error) == FH_OK);
        if (i == 1) {
            step.state = "done";
            step.answer = "{}";
            step.receiver = "incarnation";
            step.receiver_position = 7;
            EXPECT(ledger_step_put(work, &step, &c->error) == FH_OK);
        }
    }
    struct numbers steps = {0};
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = ledger_steps_get(work, &arena, "birth", 1, read_step, &steps, &c->error);
    arena_release(&arena);
    EXPECT(code == FH_OK);
    EXPECT(strcmp(steps.text, "0.0 stored -;0.1 done {};1.0 stored -;") == 0);
}

/* ---- Migrations ---- */

static bool read_migration(void *context, int64_t version, const char *name, const char *checksum)
{
    struct numbers *read = context;
    size_t used = strlen(read->text);
    snprintf(read->text + used, sizeof read->text - used, "%lld %s %s;", (long long)version, name,
             checksum);
    return true;
}

static void migrations_are_kept_in_order_and_once(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_migration_put(work, 2, "second", "c2", 20, &c->error) == FH_OK);
    EXPECT(ledger_migration_put(work, 1, "first", "c1", 10, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_migration_put(work, 1, "first", "c1", 10, &c->error) == FH_CONFLICT);
    conformance_rollback(c, work);
    conformance_reopen(c);
    work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    struct numbers read = {0};
    EXPECT(ledger_migrations_get(work, read_migration, &read, &c->error) == FH_OK);
    EXPECT(strcmp(read.text, "1 first c1;2 second c2;") == 0);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(positions_are_dense_whatever_is_rolled_back),
        CASE(events_of_one_work_stand_in_the_order_in_which_they_were_published),
        CASE(what_was_left_without_a_position_gets_one_later),
        CASE(an_event_names_the_one_before_it_of_its_key),
        CASE(an_event_comes_back_whole),
        CASE(an_outbox_trimmed_empty_gives_no_position_out_again),
        CASE(a_new_outbox_has_trimmed_nothing),
        CASE(a_cursor_moves_only_from_where_it_is),
        CASE(a_cursor_is_set_back_with_its_place_kept_beside_it),
        CASE(cursors_of_a_source_are_read_at_once),
        CASE(a_cursor_that_was_created_and_never_moved_moves),
        CASE(a_saga_is_changed_only_by_its_epoch),
        CASE(a_saga_that_is_over_is_never_changed_again),
        CASE(a_saga_is_there_whole_under_its_number_and_its_start),
        CASE(open_sagas_and_counts_are_told),
        CASE(closing_reports_what_has_ended_and_marks_only_that),
        CASE(steps_are_replaced_and_read_in_order),
        CASE(migrations_are_kept_in_order_and_once),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
