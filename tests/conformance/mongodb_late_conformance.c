/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that come late: the link dies while one is on its way, its repetition is done, later
 * units of work change all that it wrote, and then it arrives. Once for each message that a unit of
 * work of each kind sends; it must change nothing, also for a process that opens the store
 * afterwards.
 */

#include "engine_mongodb.h"

#include <stdlib.h>

#include "base/text.h"
#include "link.h"
#include "engine/mongodb/internal.h"

#define WORKS 4

static const struct fh_collection things = {"thing", {"v"}};

static struct ledger_cursor cursor_at(int64_t position)
{
    struct ledger_cursor cursor = {.position = position};
    snprintf(cursor.incarnation, ID_SIZE, "%s", position ? "incarnation" : "");
    return cursor;
}

static enum fh_code move_cursor(struct store_work *work, int n, struct fh_error *error)
{
    struct ledger_cursor old = cursor_at(n - 1), next = cursor_at(n);
    return ledger_cursor_move(work, "users", "0/1", &old, &next, error);
}

static enum fh_code answer(struct store_work *work, int n, struct fh_error *error)
{
    struct ledger_command command = {.caller = "orders",
                                     .key = "x",
                                     .birth = "birth",
                                     .number = 1,
                                     .attempt = n,
                                     .outcome = LEDGER_DONE,
                                     .digest = "d"};
    return ledger_command_put(work, &command, error);
}

/* Parked by each odd unit of work, taken by each even one. */
static enum fh_code park_or_take(struct store_work *work, int n, struct fh_error *error)
{
    bool unparked;
    struct ledger_parked parked = {.source = "users",
                                   .partition = "0/1",
                                   .key = "k",
                                   .position = 7,
                                   .event_id = "e",
                                   .type = "T",
                                   .time_ms = 1,
                                   .error = "",
                                   .parked_ms = 1,
                                   .event = "{}"};
    return n % 2 ? ledger_parked_put(work, &parked, error)
                 : ledger_parked_take(work, &parked, &unparked, error);
}

/* Begun by the first unit of work; each later one updates it. */
static enum fh_code go_on_with_saga(struct store_work *work, int n, struct fh_error *error)
{
    char id[ID_SIZE], state[8];
    snprintf(id, sizeof id, "e%d", n);
    snprintf(state, sizeof state, "%d", n);
    struct ledger_event event = {
        .id = id, .type = "Changed", .key = "k", .version = 1, .time_ms = 1, .data = "{}"};
    struct ledger_saga saga = {.birth = "b",
                               .number = 1,
                               .name = "n",
                               .input = "{}",
                               .state = state,
                               .status = "running",
                               .epoch = 1};
    struct ledger_step step = {
        .birth = "b", .number = 1, .attempt = n, .target = "t", .request = "{}", .state = state};
    if (n == 1)
        return ledger_saga_start(work, &event, &saga, &step, 1, error);
    enum fh_code code = ledger_outbox_append(work, &event, error);
    if (!code)
        code = ledger_saga_update(work, &saga, error);
    return code ? code : ledger_step_put(work, &step, error);
}

/* The n-th unit of work, of whatever kind. */
typedef enum fh_code late_work(struct store_work *work, int n, struct fh_error *error);

static enum fh_code change_document(struct store_work *work, struct fh_error *error)
{
    json_t *update = json_pack("{s:{s:i}}", "$inc", "v", 1), *document = NULL;
    enum fh_code code =
        mongodb_documents.update(work, "thing", "a", NULL, update, &document, error);
    json_decref(update);
    json_decref(document);
    return code;
}

static enum fh_code change_records(struct store_work *work, int n, struct fh_error *error)
{
    enum fh_code code = move_cursor(work, n, error);
    if (!code)
        code = answer(work, n, error);
    if (!code)
        code = park_or_take(work, n, error);
    return code ? code : go_on_with_saga(work, n, error);
}

static enum fh_code change_all(struct store_work *work, int n, struct fh_error *error)
{
    enum fh_code code = change_document(work, error);
    return code ? code : change_records(work, n, error);
}

static enum fh_code lease_comes_and_goes(struct store_work *work, int n, struct fh_error *error)
{
    return n % 2 ? ledger_lease_take(work, "instance 1", 0, "me", error)
                 : ledger_lease_drop(work, "instance 1", "me", -1, error);
}

static enum fh_code document_comes_and_goes(struct store_work *work, int n, struct fh_error *error)
{
    json_t *document = conformance_json("{'id':'b','v':1}");
    bool existed;
    enum fh_code code = n % 2 ? mongodb_documents.insert(work, "thing", document, error)
                              : mongodb_documents.remove(work, "thing", "b", &existed, error);
    json_decref(document);
    return code;
}

static enum fh_code document_with_event_comes_and_goes(struct store_work *work, int n,
                                                       struct fh_error *error)
{
    enum fh_code code = document_comes_and_goes(work, n, error);
    return code ? code : change_records(work, n, error);
}

static enum fh_code run_once(struct conformance *c, late_work *does, int n, enum store_mode mode)
{
    struct store_work *work = conformance_begin(c, mode);
    enum fh_code code = work ? does(work, n, &c->error) : FH_UNAVAILABLE;
    if (!code)
        return conformance_commit(c, work);
    if (work)
        conformance_rollback(c, work);
    return code;
}

/* As the layer above does it: again, and exclusively, where another unit of work was in the way. */
static enum fh_code run(struct conformance *c, late_work *does, int n)
{
    enum fh_code code = run_once(c, does, n, STORE_WRITE);
    if (code == FH_CONFLICT && c->error.retryable)
        code = run_once(c, does, n, STORE_WRITE_EXCLUSIVE);
    return code;
}

/* ---- What is there ---- */

/* All that is in the database but versions, order numbers and what marks a document as carrier or
 * gone. On the heap. */
struct dump {
    struct mongodb_visit visit; /* first */
    struct text text;
};

static bool dump_document(struct mongodb_visit *visit, const bson_t *document)
{
    struct dump *dump = (struct dump *)visit;
    bson_iter_t at, value;
    if (mongoc.bson_iter_init(&at, document) &&
        mongoc.bson_iter_find_descendant(&at, "_fh.removed", &value))
        return true;
    if (strcmp(visit->collection, MONGODB_WORKS) == 0 &&
        !(mongoc.bson_iter_init(&at, document) &&
          mongoc.bson_iter_find_descendant(&at, "_fh.work", &value)))
        return true;
    json_t *fields = mongodb_object(document, NULL);
    json_object_del(fields, "work"); /* which unit of work an event is of: its id is random */
    json_object_del(fields, "order");
    json_object_del(fields, "epoch");
    json_object_del(fields, "recovered");
    char *written = json_dumps(fields, JSON_COMPACT | JSON_SORT_KEYS);
    mongoc.bson_iter_init_find(&at, document, "_id");
    text_printf(&dump->text, "%s %s %s\n", visit->collection,
                mongoc.bson_iter_type(&at) == BSON_TYPE_UTF8 ? mongoc.bson_iter_utf8(&at, NULL)
                                                             : "number",
                written);
    json_text_free(written);
    json_decref(fields);
    return true;
}

static char *dumped(struct conformance *c)
{
    static const char *const collections[] = {
        "thing",      "fh_work",   "fh_outbox",     "fh_place", "fh_meta",      "fh_cursor",
        "fh_command", "fh_parked", "fh_parked_key", "fh_saga",  "fh_saga_step", "fh_lease"};
    struct dump dump;
    bson_t filter, options, order;
    text_init(&dump.text, (size_t)1 << 20);
    for (size_t i = 0; i < sizeof collections / sizeof *collections; i++) {
        mongoc.bson_init(&filter);
        mongoc.bson_init(&options);
        mongoc.bson_append_document_begin(&options, "sort", -1, &order);
        mongoc.bson_append_int64(&order, "_id", -1, 1);
        mongoc.bson_append_document_end(&options, &order);
        dump.visit = (struct mongodb_visit){.collection = collections[i],
                                            .filter = &filter,
                                            .options = &options,
                                            .visit = dump_document};
        if (mongodb_visit(mongodb_of(c->store), &dump.visit, &c->error) != FH_OK)
            text_add(&dump.text, "can't be read\n");
        mongoc.bson_destroy(&filter);
        mongoc.bson_destroy(&options);
    }
    char *copy = strdup(dump.text.data ? dump.text.data : "");
    text_release(&dump.text);
    return copy;
}

static bool is_same(struct conformance *c, const char *before, const char *now, const char *what)
{
    if (strcmp(before, now) == 0)
        return true;
    size_t at = 0, from;
    while (before[at] && before[at] == now[at])
        at++;
    for (from = at; from > 0 && now[from - 1] != '\n'; from--)
        ;
    if (!c->failure[0])
        snprintf(c->failure, sizeof c->failure, "%s: \"%.400s\", and was \"%.400s\"", what,
                 now + from, strlen(before) > from ? before + from : "");
    return false;
}

/* ---- Late ---- */

static bool go_over(struct conformance *c, struct link *link, const char *marker, const char *also)
{
    json_t *server = mongodb_server(&c->harness, c->engine);
    json_int_t port = 0;
    json_integer_at(server, "port", &port);
    json_decref(server);
    c->engine->close(c->store);
    c->store = NULL;
    if (!link_open(link, c->harness.world, (int)port, marker))
        return false;
    link->also = also;
    return link_used(link, mongodb_open_at(c, link->port, &c->store) == FH_OK);
}

static bool make_things(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    json_t *document = conformance_json("{'id':'a','v':0}");
    enum fh_code code = mongodb_documents.prepare(work, &things, 1, &c->error);
    bool made = code == FH_OK && conformance_commit(c, work) == FH_OK;
    work = made ? conformance_begin(c, STORE_WRITE) : NULL;
    made = work && mongodb_documents.insert(work, "thing", document, &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK;
    json_decref(document);
    return made;
}

struct late {
    late_work *does;
    int held;
    const char *marker, *also, *without; /* of the request */
    const struct link_plan *then;        /* it is never answered, and this is held; or NULL */
};

/* A request of the `held`-th unit of work comes when all the others are done. */
static void is_late(struct conformance *c, const struct late *late)
{
    struct link link = {0};
    char *before, *after, *later;
    int held = late->held;
    late_work *does = late->does;
    EXPECT(make_things(c));
    EXPECT(go_over(c, &link, late->marker, late->also));
    link.without = late->without;
    link.then = late->then;
    bool done = true;
    for (int n = 1; n <= WORKS; n++) {
        if (n == held)
            link.next = late->then ? LINK_CUT_AFTER : LINK_HELD;
        done = done && run(c, does, n) == FH_OK;
    }
    bool was_held = link.next == LINK_WHOLE;
    before = dumped(c);
    if (was_held)
        link_release(&link);
    after = dumped(c);
    c->engine->close(c->store);
    c->store = NULL;
    link_close(&link);
    bool opened = c->engine->open(&c->harness, c->model, &c->store, &c->error) == FH_OK;
    later = opened ? dumped(c) : strdup("");
    bool same = is_same(c, before, after, "behind it") && is_same(c, before, later, "reopened");
    free(before);
    free(after);
    free(later);
    EXPECT(was_held && done && opened && same);
}

static void comes_late(struct conformance *c, late_work *does, int held, const char *marker,
                       const char *also)
{
    is_late(c, &(struct late){.does = does, .held = held, .marker = marker, .also = also});
}

/* One that creates what was not there, after the unit of work's one write. */
static void insert_comes_late(struct conformance *c, late_work *does, int held, const char *what)
{
    is_late(c, &(struct late){.does = does,
                              .held = held,
                              .marker = "insert",
                              .also = what,
                              .without = MONGODB_WORKS});
}

static void a_late_change_of_a_document_loses(struct conformance *c)
{
    comes_late(c, change_all, 1, "update", "_fh.version");
}

/* Schedule 23. */
static void a_late_work_without_a_document_loses(struct conformance *c)
{
    comes_late(c, change_records, 1, "insert", "fh_work");
}

static void a_late_event_loses(struct conformance *c)
{
    comes_late(c, change_all, 2, "event_id", "prev");
}

static void a_late_start_of_a_saga_loses(struct conformance *c)
{
    comes_late(c, change_all, 1, "upsert", "fh_saga");
}

static void a_late_step_loses(struct conformance *c)
{
    comes_late(c, change_all, 1, "upsert", "fh_saga_step");
}

static void a_late_update_of_a_saga_loses(struct conformance *c)
{
    comes_late(c, change_all, 2, "upsert", "start_id");
}

static void a_late_cursor_loses(struct conformance *c)
{
    comes_late(c, change_all, 2, "upsert", "fh_cursor");
}

static void a_late_answer_loses(struct conformance *c)
{
    comes_late(c, change_all, 2, "upsert", "fh_command");
}

static void a_late_parked_event_loses(struct conformance *c)
{
    comes_late(c, change_all, 1, "upsert", "attempts");
}

static void a_late_parked_key_loses(struct conformance *c)
{
    static const struct link_plan then[] = {{"upsert", LINK_HELD}, {0}};
    is_late(c, &(struct late){.does = change_all,
                              .held = 1,
                              .marker = "insert",
                              .also = "oldest_ms",
                              .without = MONGODB_WORKS,
                              .then = then});
}

static void a_late_taking_of_a_parked_event_loses(struct conformance *c)
{
    comes_late(c, change_all, 2, "deletes", "fh_parked");
}

static void a_late_place_loses(struct conformance *c)
{
    comes_late(c, change_all, 1, "upsert", "fh_place");
}

static void a_late_counter_loses(struct conformance *c)
{
    comes_late(c, change_all, 1, "counter", "position");
}

static void a_late_trimming_of_an_entry_loses(struct conformance *c)
{
    comes_late(c, change_all, 1, "$unset", "_fh.work.id");
}

static void a_late_removal_of_an_entry_loses(struct conformance *c)
{
    comes_late(c, change_records, 1, "delete", "fh_work");
}

static void a_late_cursor_that_moved_alone_loses(struct conformance *c)
{
    comes_late(c, move_cursor, 2, "upsert", "fh_cursor");
}

static void a_late_first_cursor_that_moved_on_its_own_loses(struct conformance *c)
{
    comes_late(c, move_cursor, 1, "upsert", "fh_cursor");
}

static void a_late_lease_loses(struct conformance *c)
{
    comes_late(c, lease_comes_and_goes, 1, "upsert", "fh_lease");
}

static void a_late_removal_of_a_lease_loses(struct conformance *c)
{
    comes_late(c, lease_comes_and_goes, 2, "delete", "fh_lease");
}

static void a_late_lease_that_is_gone_loses(struct conformance *c)
{
    comes_late(c, lease_comes_and_goes, 3, "upsert", "fh_lease");
}

static void a_late_document_loses(struct conformance *c)
{
    comes_late(c, document_comes_and_goes, 1, "insert", "thing");
}

static void a_late_document_that_is_gone_loses(struct conformance *c)
{
    comes_late(c, document_comes_and_goes, 3, "insert", "thing");
}

static void a_late_removal_of_a_document_loses(struct conformance *c)
{
    comes_late(c, document_comes_and_goes, 2, "delete", "thing");
}

static void a_late_document_with_its_event_loses(struct conformance *c)
{
    comes_late(c, document_with_event_comes_and_goes, 1, "insert", "thing");
}

static void a_late_document_behind_its_event_loses(struct conformance *c)
{
    insert_comes_late(c, document_with_event_comes_and_goes, 1, "thing");
}

static void a_late_document_that_came_again_after_its_event_loses(struct conformance *c)
{
    insert_comes_late(c, document_with_event_comes_and_goes, 3, "thing");
}

static void a_late_replacement_of_a_document_loses(struct conformance *c)
{
    static const struct link_plan then[] = {{"update", LINK_HELD}, {0}};
    is_late(c, &(struct late){.does = document_with_event_comes_and_goes,
                              .held = 1,
                              .marker = "insert",
                              .also = "thing",
                              .without = MONGODB_WORKS,
                              .then = then});
}

static void a_late_new_cursor_loses(struct conformance *c)
{
    insert_comes_late(c, change_all, 1, "fh_cursor");
}

static void a_late_new_parked_key_loses(struct conformance *c)
{
    insert_comes_late(c, change_all, 1, "oldest_ms");
}

static void a_late_new_parked_key_that_came_again_loses(struct conformance *c)
{
    insert_comes_late(c, change_all, 3, "oldest_ms");
}

static void a_late_removal_with_its_event_loses(struct conformance *c)
{
    comes_late(c, document_with_event_comes_and_goes, 2, "update", "thing");
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_late_change_of_a_document_loses),
        CASE(a_late_work_without_a_document_loses),
        CASE(a_late_event_loses),
        CASE(a_late_start_of_a_saga_loses),
        CASE(a_late_step_loses),
        CASE(a_late_update_of_a_saga_loses),
        CASE(a_late_cursor_loses),
        CASE(a_late_answer_loses),
        CASE(a_late_parked_event_loses),
        CASE(a_late_parked_key_loses),
        CASE(a_late_taking_of_a_parked_event_loses),
        CASE(a_late_place_loses),
        CASE(a_late_counter_loses),
        CASE(a_late_trimming_of_an_entry_loses),
        CASE(a_late_removal_of_an_entry_loses),
        CASE(a_late_cursor_that_moved_alone_loses),
        CASE(a_late_first_cursor_that_moved_on_its_own_loses),
        CASE(a_late_lease_loses),
        CASE(a_late_removal_of_a_lease_loses),
        CASE(a_late_lease_that_is_gone_loses),
        CASE(a_late_document_loses),
        CASE(a_late_document_that_is_gone_loses),
        CASE(a_late_removal_of_a_document_loses),
        CASE(a_late_document_with_its_event_loses),
        CASE(a_late_document_behind_its_event_loses),
        CASE(a_late_document_that_came_again_after_its_event_loses),
        CASE(a_late_replacement_of_a_document_loses),
        CASE(a_late_new_cursor_loses),
        CASE(a_late_new_parked_key_loses),
        CASE(a_late_new_parked_key_that_came_again_loses),
        CASE(a_late_removal_with_its_event_loses),
    };
    return conformance_main_of("mongodb", FH_DOCUMENT, rows, sizeof rows / sizeof *rows);
}
