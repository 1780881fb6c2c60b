/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a unit of work makes the server search for. A server may go through a whole collection to
 * find one document, even by its _id, as FerretDB 1 on SQLite does. So where a unit of work creates
 * something new, nothing is searched for in collections that grow with each unit of work: it is
 * inserted, which the server can refuse by an index.
 */

#include "engine_mongodb.h"

#include <stdlib.h>

#include "base/text.h"
#include "link.h"
#include "engine/mongodb/internal.h"

#define WORKS 3
#define COMMAND_AT 25 /* in a message: after its header, flags, the section's kind, the length */

static const struct fh_collection things = {"thing", {"v"}};

/* "insert thing\n": the first field of each message's command. */
static void note_command(void *context, const char *data, size_t length)
{
    struct text *sent = context;
    enum { TEXT = 2 };
    if (length < COMMAND_AT + 2 || data[COMMAND_AT] != TEXT)
        return;
    const char *name = data + COMMAND_AT + 1, *end = memchr(name, '\0', length - COMMAND_AT - 1);
    size_t left = end ? (size_t)(data + length - end) : 0;
    if (left > 5 && memchr(end + 5, '\0', left - 5))
        text_printf(sent, "%s %s\n", name, end + 5);
}

static bool make_things(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    enum fh_code code = work ? mongodb_documents.prepare(work, &things, 1, &c->error) : FH_INVALID;
    return code == FH_OK && conformance_commit(c, work) == FH_OK;
}

static enum fh_code add_thing(struct store_work *work, const char *id, struct fh_error *error)
{
    json_t *document = json_pack("{s:s, s:i}", "id", id, "v", 1);
    enum fh_code code = mongodb_documents.add(work, "thing", document, error);
    json_decref(document);
    return code;
}

static enum fh_code publish(struct store_work *work, const char *id, const char *key,
                            struct fh_error *error)
{
    struct ledger_event event = {
        .id = id, .type = "Changed", .key = key, .version = 1, .time_ms = 1, .data = "{}"};
    return ledger_outbox_append(work, &event, error);
}

/* The n-th unit of work: a document with an event of its own key. */
static bool make_one(struct conformance *c, int n)
{
    char id[16], event[16];
    snprintf(id, sizeof id, "t%d", n);
    snprintf(event, sizeof event, "e%d", n);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    enum fh_code code = work ? add_thing(work, id, &c->error) : FH_UNAVAILABLE;
    if (!code)
        code = publish(work, event, id, &c->error);
    return !code && conformance_commit(c, work) == FH_OK;
}

/* The same store, but everything sent is noted. */
static bool listen_in(struct conformance *c, struct link *link, struct text *sent)
{
    json_t *server = mongodb_server(&c->harness, c->engine);
    json_int_t port = 0;
    json_integer_at(server, "port", &port);
    json_decref(server);
    c->engine->close(c->store);
    c->store = NULL;
    text_init(sent, (size_t)1 << 20);
    bool opened = link_open(link, c->harness.world, (int)port, "") &&
                  link_used(link, mongodb_open_at(c, link->port, &c->store) == FH_OK);
    link->context = sent;
    link->seen = note_command;
    return opened;
}

static void hang_up(struct conformance *c, struct link *link, struct text *sent)
{
    c->engine->close(c->store);
    c->store = NULL;
    link_close(link);
    text_release(sent);
}

static bool never_sent(struct conformance *c, const struct text *sent, const char *what)
{
    const char *found = sent->data ? strstr(sent->data, what) : NULL;
    if (found && !c->failure[0])
        snprintf(c->failure, sizeof c->failure, "\"%s\" was sent, among\n%.700s", what, sent->data);
    return !found;
}

static int times_sent(const struct text *sent, const char *what)
{
    int count = 0;
    for (const char *at = sent->data; at && (at = strstr(at, what)); at += strlen(what))
        count++;
    return count;
}

static void what_is_new_is_created_without_reading_what_is_there(struct conformance *c)
{
    static const char *const looks[] = {"find thing",     "update thing",    "delete thing",
                                        "find fh_place",  "update fh_place", "update fh_outbox",
                                        "delete fh_place"};
    struct link link = {0};
    struct text sent;
    EXPECT(make_things(c));
    EXPECT(listen_in(c, &link, &sent));
    bool made = true, unlooked = true;
    for (int n = 1; n <= WORKS; n++)
        made = made && make_one(c, n);
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
        unlooked = never_sent(c, &sent, looks[i]) && unlooked;
    int inserts = times_sent(&sent, "insert thing");
    int looks_back = times_sent(&sent, "find fh_outbox"); /* the first: what was not counted? */
    hang_up(c, &link, &sent);
    EXPECT(made && unlooked && inserts == WORKS && looks_back == 1);
}

/* Of each event: the position of the one before under its key. */
struct previous {
    int64_t of[WORKS + 1];
    int count;
};

static bool take_previous(void *context, const struct ledger_event *event)
{
    struct previous *previous = context;
    previous->of[previous->count++] = event->previous;
    return previous->count <= WORKS;
}

static bool change_one(struct conformance *c, const char *id)
{
    json_t *update = json_pack("{s:{s:i}}", "$inc", "v", 1), *document = NULL;
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    enum fh_code code =
        mongodb_documents.update(work, "thing", id, NULL, update, &document, &c->error);
    json_decref(update);
    json_decref(document);
    if (!code)
        code = publish(work, "later", id, &c->error);
    return !code && conformance_commit(c, work) == FH_OK;
}

static void the_next_event_of_its_key_knows_the_one_of_what_was_made(struct conformance *c)
{
    struct previous previous = {.count = 0};
    EXPECT(make_things(c));
    EXPECT(make_one(c, 1) && make_one(c, 2) && change_one(c, "t2"));
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(ledger_outbox_read(work, 0, WORKS, take_previous, &previous, &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(previous.count == 3 && previous.of[0] == 0 && previous.of[1] == 0 &&
           previous.of[2] == 2);
}

static enum fh_code answer_new(struct store_work *work, const char *key, struct fh_error *error)
{
    struct arena arena;
    struct ledger_command command = {.caller = "orders",
                                     .key = key,
                                     .birth = "birth",
                                     .number = 1,
                                     .attempt = 1,
                                     .outcome = LEDGER_DONE,
                                     .digest = "d"};
    struct ledger_command found;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = ledger_command_get(work, &arena, "orders", key, &found, error);
    arena_release(&arena);
    return code == FH_NOT_FOUND ? ledger_command_put(work, &command, error) : FH_CONFLICT;
}

static void a_record_that_is_not_there_is_inserted(struct conformance *c)
{
    struct link link = {0};
    struct text sent;
    EXPECT(make_things(c));
    EXPECT(listen_in(c, &link, &sent));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    bool made = add_thing(work, "t", &c->error) == FH_OK &&
                answer_new(work, "k", &c->error) == FH_OK && conformance_commit(c, work) == FH_OK;
    bool unlooked =
        never_sent(c, &sent, "update fh_command") && times_sent(&sent, "insert fh_command") == 1;
    hang_up(c, &link, &sent);
    EXPECT(made && unlooked);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(what_is_new_is_created_without_reading_what_is_there),
        CASE(the_next_event_of_its_key_knows_the_one_of_what_was_made),
        CASE(a_record_that_is_not_there_is_inserted),
    };
    return conformance_main_of("mongodb", FH_DOCUMENT, rows, sizeof rows / sizeof *rows);
}
