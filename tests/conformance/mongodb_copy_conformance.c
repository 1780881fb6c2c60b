/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies into a store that another copy has superseded. A process that copies is killed while one
 * of its messages is on its way, another one copies an empty store, the service serves from that,
 * and then the message arrives: once for each message that a copy sends. It must neither add nor
 * remove anything, nor affect what is written afterwards, also for a process that opens the store
 * then.
 */

#include "engine_mongodb.h"

#include <stdlib.h>

#include "base/text.h"
#include "copied.h"
#include "link.h"
#include "store/copy/document.h"
#include "engine/mongodb/internal.h"

#define THINGS 450 /* more than two slices */
#define CONTENT "what the first one copies"

static const struct fh_collection things = {.name = "things", .indexes = {"kind"}};

/* ---- Stores ---- */

static bool prepare(struct conformance *c, struct store *store)
{
    struct store_work *work;
    return store_begin(store, STORE_WRITE_EXCLUSIVE, &work, &c->error) == FH_OK &&
           committed(c, work, document_engine(store)->prepare(work, &things, 1, &c->error));
}

static struct store *open_embedded(struct conformance *c, const char *name)
{
    struct store *store = conformance_embedded(c, name, FH_DOCUMENT);
    if (store && !prepare(c, store))
        conformance_note(c, __FILE__, __LINE__, "an embedded store is made");
    return store;
}

static bool insert(struct conformance *c, struct store *store, const char *id, const char *text)
{
    struct store_work *work;
    json_t *document = json_pack("{s:s, s:s}", "id", id, "text", text);
    bool done =
        store_begin(store, STORE_WRITE, &work, &c->error) == FH_OK &&
        committed(c, work, document_engine(store)->insert(work, "things", document, &c->error));
    json_decref(document);
    return done;
}

static bool fill(struct conformance *c, struct store *store)
{
    char ids[3][ID_SIZE], id[16];
    bool done = fill_ledger(c, store, ids);
    for (int i = 0; i < THINGS && done; i++) {
        snprintf(id, sizeof id, "thing %03d", i);
        done = insert(c, store, id, CONTENT);
    }
    return done;
}

static bool reopen(struct conformance *c)
{
    if (c->store)
        c->engine->close(c->store);
    c->store = NULL;
    return c->engine->open(&c->harness, c->model, &c->store, &c->error) == FH_OK;
}

/* ---- What is there ---- */

struct shown {
    struct text text;
};

static bool show_event(void *context, const struct ledger_event *event)
{
    struct shown *shown = context;
    text_printf(&shown->text, "event %lld behind %lld: %s of %s; ", (long long)event->position,
                (long long)event->previous, event->type, event->key);
    return true;
}

static bool show_parked(void *context, const struct ledger_parked *parked)
{
    text_printf(&((struct shown *)context)->text, "parked %s; ", parked->key);
    return true;
}

static void show_things(struct shown *shown, struct store_work *work, struct fh_error *error)
{
    struct document_find find = {.limit = 200};
    struct arena *arena = json_arena_set(NULL);
    json_t *list = NULL, *thing;
    size_t i;
    if (document_engine(work->store)->find(work, "things", &find, &list, error) != FH_OK)
        text_add(&shown->text, "the things can't be read; ");
    json_array_foreach (list, i, thing)
        text_printf(&shown->text, "%s; ", json_string_value(json_object_get(thing, "id")));
    json_decref(list);
    json_arena_set(arena);
}

static void show_records(struct shown *shown, struct store_work *work, struct fh_error *error)
{
    struct arena arena;
    struct ledger_command command = {0};
    struct ledger_cursor cursor = {0};
    struct ledger_counts counts;
    char newest[ID_SIZE] = "";
    arena_init(&arena, 1 << 20);
    enum fh_code code =
        ledger_command_get(work, &arena, "orders", "orders/" BIRTH ".3/0/0", &command, error);
    bool answered = code == FH_OK;
    if (code == FH_OK || code == FH_NOT_FOUND)
        code = ledger_cursor_get(work, "users", "0/1", &cursor, error);
    if (code == FH_OK || code == FH_NOT_FOUND)
        code = ledger_saga_counts(work, &counts, error);
    if (code == FH_OK)
        code = ledger_caller_newest(work, "orders", newest, error);
    if (code == FH_OK)
        code = ledger_parked_keys(work, "users", 10, show_parked, shown, error);
    if (code == FH_OK)
        text_printf(&shown->text, "%s command, cursor %lld, %lld sagas, newest '%s'; ",
                    answered ? "a" : "no", (long long)cursor.position, (long long)counts.running,
                    newest);
    else
        text_printf(&shown->text, "the ledger can't be read: %s; ", error->message);
    arena_release(&arena);
}

/* As the service sees it. On the heap. */
static char *shown(struct conformance *c)
{
    struct shown shown;
    struct store_work *work;
    int64_t position = 0;
    text_init(&shown.text, (size_t)1 << 20);
    if (store_begin(c->store, STORE_READ, &work, &c->error) != FH_OK)
        return strdup("nothing can be read");
    if (ledger_position(work, &position, &c->error) != FH_OK ||
        ledger_outbox_read(work, 0, 100, show_event, &shown, &c->error) != FH_OK)
        text_printf(&shown.text, "the outbox can't be read: %s; ", c->error.message);
    text_printf(&shown.text, "position %lld; ", (long long)position);
    show_things(&shown, work, &c->error);
    show_records(&shown, work, &c->error);
    store_rollback(work);
    char *copy = strdup(shown.text.data ? shown.text.data : "");
    text_release(&shown.text);
    return copy;
}

static bool shows(struct conformance *c, const char *expected, const char *when)
{
    char *now = shown(c);
    bool same = strcmp(now, expected) == 0;
    if (!same && !c->failure[0])
        snprintf(c->failure, sizeof c->failure, "%s: %.300s", when, now);
    free(now);
    return same;
}

/* ---- A copier that is killed ---- */

struct copier {
    struct conformance *c;
    struct store *from, *to;
    struct link *link; /* whose waiters are told that it has ended; or NULL */
    bool ended;
    bool pauses, paused, goes_on; /* after the first documents */
    struct fiber_queue changed;
    enum fh_code code;
    struct fh_error error;
};

static void pause_once(void *context, const struct copy_step *step)
{
    struct copier *copier = context;
    if (!copier->pauses || strcmp(step->course.of, "things") != 0)
        return;
    copier->pauses = false;
    copier->paused = true;
    fiber_wake_all(&copier->changed);
    while (!copier->goes_on)
        fiber_wait(&copier->changed);
}

static void copy(void *argument)
{
    struct copier *copier = argument;
    struct copy_count count = {0};
    struct copy_options options = {.from = copier->from,
                                   .to = copier->to,
                                   .told = pause_once,
                                   .count = &count,
                                   .context = copier};
    struct copy_result result;
    copier->code = document_copy(&options, &things, 1, &result, &copier->error);
    copier->ended = true;
    fiber_wake_all(&copier->changed);
    if (copier->link)
        fiber_wake_all(&copier->link->changed);
}

static bool copy_nothing(struct conformance *c)
{
    struct copier next = {.from = open_embedded(c, "none"), .to = c->store};
    if (!next.from)
        return false;
    copy(&next);
    if (next.code != FH_OK)
        c->error = next.error;
    store_close(next.from);
    return next.code == FH_OK;
}

#define SERVED                                                                                     \
    "event 1 behind 0: Made of c; position 1; own; no command, cursor 0, 0 sagas, newest ''; "
#define SERVED_ON                                                                                  \
    "event 1 behind 0: Made of c; event 2 behind 0: Made of a; event 3 behind 1: Made of c; "      \
    "position 3; own; thing 007; no command, cursor 0, 0 sagas, newest ''; "

/* It gets its position in the end: whoever finds one taken tries again. */
static bool publish_one(struct conformance *c, const char *key)
{
    char id[ID_SIZE];
    struct store_placed placed = {.event_id = id};
    if (publish(c, c->store, key, id))
        return true;
    while (store_sequence(c->store, &placed, 1, &c->error) == FH_UNAVAILABLE)
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 5));
    return placed.position > 0;
}

static bool serve(struct conformance *c)
{
    return publish_one(c, "c") && insert(c, c->store, "own", "what the service has made");
}

/* What was in the abandoned copy can be created, and gets to where it belongs. */
static bool serve_on(struct conformance *c)
{
    return publish_one(c, "a") && publish_one(c, "c") &&
           insert(c, c->store, "thing 007", "made again");
}

/* A request that contains both markers comes late, of what `does` something to first.to. */
static void comes_late_of(struct conformance *c, void (*does)(void *first), const char *marker,
                          const char *also)
{
    struct link link;
    json_t *server = mongodb_server(&c->harness, c->engine);
    json_int_t port = 0;
    json_integer_at(server, "port", &port);
    json_decref(server);
    struct copier first = {.c = c, .from = open_embedded(c, "from"), .link = &link};
    EXPECT(prepare(c, c->store) && first.from && fill(c, first.from));
    c->engine->close(c->store);
    c->store = NULL;
    EXPECT(link_open(&link, c->harness.world, (int)port, marker));
    EXPECT(link_used(&link, mongodb_open_at(c, link.port, &first.to) == FH_OK));
    EXPECT(prepare(c, first.to));
    link.also = also;
    link.next = LINK_HELD;
    link.refuses_behind = true;
    conformance_start(c, does, &first);
    while (!link.refuses && !first.ended)
        fiber_wait(&link.changed);
    bool was_held = link.refuses;
    bool copied = reopen(c) && prepare(c, c->store) && copy_nothing(c) && serve(c);
    bool stood = copied && shows(c, SERVED, "before");
    if (was_held)
        link_release(&link);
    bool stands = stood && shows(c, SERVED, "behind it");
    stands = stands && serve_on(c) && shows(c, SERVED_ON, "later");
    stands = stands && reopen(c) && shows(c, SERVED_ON, "opened again");
    if (first.ended) /* else it would continue with what its units of work have left */
        store_close(first.to);
    bool closed = first.ended;
    link.refuses = false;
    conformance_join(c);
    stands = stands && shows(c, SERVED_ON, "when the first one has gone on");
    if (!closed)
        store_close(first.to);
    link_close(&link);
    store_close(first.from);
    EXPECT(was_held && copied && stood && stands);
    EXPECT(does != copy || first.code != FH_OK);
}

static void comes_late(struct conformance *c, const char *marker, const char *also)
{
    comes_late_of(c, copy, marker, also);
}

/* Units of work of the service that was there before. */
static void make_document(void *argument)
{
    struct copier *first = argument;
    first->code = insert(first->c, first->to, "thing 000", CONTENT) ? FH_OK : FH_UNAVAILABLE;
    first->ended = true;
    fiber_wake_all(&first->link->changed);
}

static void move_cursor(void *argument)
{
    struct copier *first = argument;
    struct ledger_cursor nowhere = {0}, cursor = {.incarnation = BIRTH, .position = 7};
    struct store_work *work;
    bool done =
        store_begin(first->to, STORE_WRITE, &work, &first->c->error) == FH_OK &&
        committed(first->c, work,
                  ledger_cursor_move(work, "users", "0/1", &nowhere, &cursor, &first->c->error));
    first->code = done ? FH_OK : FH_UNAVAILABLE;
    first->ended = true;
    fiber_wake_all(&first->link->changed);
}

static void trim_all(void *argument)
{
    struct copier *first = argument;
    struct store_work *work;
    int64_t removed;
    bool done =
        store_begin(first->to, STORE_WRITE, &work, &first->c->error) == FH_OK &&
        committed(first->c, work, ledger_outbox_trim(work, 2, 10, &removed, &first->c->error));
    first->code = done ? FH_OK : FH_UNAVAILABLE;
    first->ended = true;
    fiber_wake_all(&first->link->changed);
}

static void a_late_trimming_of_the_service_before_loses(struct conformance *c)
{
    char id[ID_SIZE];
    EXPECT(publish(c, c->store, "x", id) && publish(c, c->store, "y", id));
    comes_late_of(c, trim_all, "delete", "fh_outbox");
}

static void a_late_document_of_the_service_before_loses(struct conformance *c)
{
    comes_late_of(c, make_document, CONTENT, "things");
}

static void a_late_cursor_of_the_service_before_loses(struct conformance *c)
{
    comes_late_of(c, move_cursor, "upsert", "fh_cursor");
}

/* One that is not killed, but suspended while the next one copies. */
static void a_copier_that_was_held_still_writes_nothing_any_more(struct conformance *c)
{
    struct copier first = {.from = open_embedded(c, "from"), .pauses = true};
    EXPECT(prepare(c, c->store) && first.from && fill(c, first.from));
    first.to = c->store;
    c->store = NULL;
    conformance_start(c, copy, &first);
    while (!first.paused && !first.ended)
        fiber_wait(&first.changed);
    bool paused = first.paused;
    bool copied = reopen(c) && prepare(c, c->store) && copy_nothing(c) && serve(c);
    bool stood = copied && shows(c, SERVED, "before");
    first.goes_on = true;
    fiber_wake_all(&first.changed);
    conformance_join(c);
    bool stands = stood && shows(c, SERVED, "behind it");
    stands = stands && serve_on(c) && shows(c, SERVED_ON, "later");
    stands = stands && reopen(c) && shows(c, SERVED_ON, "opened again");
    c->engine->close(first.to);
    store_close(first.from);
    EXPECT(paused && copied && stood && stands);
    EXPECT(first.code != FH_OK);
}

static void a_late_beginning_of_a_copy_loses(struct conformance *c)
{
    comes_late(c, "counter", "copy");
}

static void a_late_document_of_a_copy_loses(struct conformance *c)
{
    comes_late(c, CONTENT, "things");
}

static void a_late_record_of_a_copy_loses(struct conformance *c)
{
    comes_late(c, "orders/" BIRTH ".3/0/0", "digest");
}

static void a_late_parked_key_of_a_copy_loses(struct conformance *c)
{
    comes_late(c, "oldest_ms", "fh_parked_key");
}

static void a_late_saga_of_a_copy_loses(struct conformance *c)
{
    comes_late(c, "start_id", "deadline_ms");
}

static void a_late_event_of_a_copy_loses(struct conformance *c)
{
    comes_late(c, "event_id", "prev");
}

static void a_late_place_of_a_copy_loses(struct conformance *c)
{
    comes_late(c, "position", "fh_place");
}

static void a_late_emptying_of_the_outbox_loses(struct conformance *c)
{
    comes_late(c, "delete", "fh_outbox");
}

static void a_late_emptying_of_the_places_loses(struct conformance *c)
{
    comes_late(c, "delete", "fh_place");
}

static void a_late_emptying_of_a_collection_loses(struct conformance *c)
{
    comes_late(c, "delete", "things");
}

static void a_late_counter_of_a_copy_loses(struct conformance *c)
{
    comes_late(c, "counter", "position");
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_late_beginning_of_a_copy_loses),
        CASE(a_late_document_of_a_copy_loses),
        CASE(a_late_record_of_a_copy_loses),
        CASE(a_late_parked_key_of_a_copy_loses),
        CASE(a_late_saga_of_a_copy_loses),
        CASE(a_late_event_of_a_copy_loses),
        CASE(a_late_place_of_a_copy_loses),
        CASE(a_late_emptying_of_the_outbox_loses),
        CASE(a_late_emptying_of_the_places_loses),
        CASE(a_late_emptying_of_a_collection_loses),
        CASE(a_late_counter_of_a_copy_loses),
        CASE(a_late_document_of_the_service_before_loses),
        CASE(a_late_trimming_of_the_service_before_loses),
        CASE(a_late_cursor_of_the_service_before_loses),
        CASE(a_copier_that_was_held_still_writes_nothing_any_more),
    };
    return conformance_main_of("mongodb", FH_DOCUMENT, rows, sizeof rows / sizeof *rows);
}
