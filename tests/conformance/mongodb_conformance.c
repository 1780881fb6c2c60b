/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the MongoDB engine must guarantee: all of a unit of work is in one write, whatever dies
 * around it, and concurrent units of work are serializable.
 */

#include "engine_mongodb.h"

#include <stdlib.h>

#include "link.h"
#include "mongodb_raw.h"
#include "engine/mongodb/internal.h"

static const struct fh_collection things = {"thing", {"v"}};

static bool make_things(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    if (!work)
        return false;
    enum fh_code code = mongodb_documents.prepare(work, &things, 1, &c->error);
    return code == FH_OK && conformance_commit(c, work) == FH_OK;
}

static enum fh_code insert(struct store_work *work, const char *text, struct fh_error *error)
{
    json_t *document = conformance_json(text);
    enum fh_code code = mongodb_documents.insert(work, "thing", document, error);
    json_decref(document);
    return code;
}

static enum fh_code add(struct store_work *work, const char *id, int amount, struct fh_error *error)
{
    json_t *update = json_pack("{s:{s:i}}", "$inc", "v", amount), *document = NULL;
    enum fh_code code = mongodb_documents.update(work, "thing", id, NULL, update, &document, error);
    json_decref(update);
    json_decref(document);
    return code;
}

/* The value of "v"; -1: there is no such document. */
static int value_of(struct conformance *c, struct store_work *work, const char *id)
{
    json_t *document = NULL;
    if (mongodb_documents.get(work, "thing", id, &document, &c->error) != FH_OK)
        return -1;
    int value = (int)json_integer_value(json_object_get(document, "v"));
    json_decref(document);
    return value;
}

static int committed(struct conformance *c, const char *id)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    int value = value_of(c, work, id);
    conformance_rollback(c, work);
    return value;
}

static enum fh_code record(struct store_work *work, const char *key, struct fh_error *error)
{
    struct ledger_command command = {.caller = "orders",
                                     .key = key,
                                     .birth = "birth",
                                     .number = 1,
                                     .attempt = 1,
                                     .outcome = LEDGER_DONE,
                                     .digest = "d"};
    return ledger_command_put(work, &command, error);
}

static bool is_recorded(struct conformance *c, const char *key)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    struct arena arena;
    struct ledger_command command;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = ledger_command_get(work, &arena, "orders", key, &command, &c->error);
    arena_release(&arena);
    conformance_rollback(c, work);
    return code == FH_OK;
}

static enum fh_code publish(struct store_work *work, const char *id, struct fh_error *error)
{
    struct ledger_event event = {
        .id = id, .type = "Changed", .key = "k", .version = 1, .time_ms = 1, .data = "{}"};
    return ledger_outbox_append(work, &event, error);
}

struct ids {
    char text[512];
};

static bool add_id(void *context, const struct ledger_event *event)
{
    struct ids *ids = context;
    size_t used = strlen(ids->text);
    snprintf(ids->text + used, sizeof ids->text - used, "%s%d %s<%d", used ? ", " : "",
             (int)event->position, event->id, (int)event->previous);
    return true;
}

/* "1 a<0, 2 b<1": positions, ids and the positions before them under their key. */
static bool outbox_is(struct conformance *c, const char *expected)
{
    struct ids ids = {{0}};
    struct store_work *work = conformance_begin(c, STORE_READ);
    enum fh_code code = ledger_outbox_read(work, 0, 100, add_id, &ids, &c->error);
    conformance_rollback(c, work);
    if (code == FH_OK && strcmp(ids.text, expected) == 0)
        return true;
    if (!c->failure[0])
        snprintf(c->failure, sizeof c->failure, "the outbox is \"%.300s\", not \"%.300s\"",
                 ids.text, expected);
    return false;
}

/* ---- Side by side ---- */

/* Schedule 15. */
static void two_works_that_each_read_what_the_other_changes_are_not_both_done(struct conformance *c)
{
    EXPECT(make_things(c));
    struct store_work *first = conformance_begin(c, STORE_WRITE);
    EXPECT(insert(first, "{'id':'a','v':1}", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, first) == FH_OK);
    first = conformance_begin(c, STORE_WRITE);
    EXPECT(insert(first, "{'id':'b','v':1}", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, first) == FH_OK);
    first = conformance_begin(c, STORE_WRITE);
    struct store_work *second = conformance_begin(c, STORE_WRITE);
    EXPECT(value_of(c, first, "a") == 1 && value_of(c, second, "b") == 1);
    EXPECT(add(first, "b", -1, &c->error) == FH_OK && add(second, "a", -1, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, first) == FH_OK);
    EXPECT(conformance_commit(c, second) == FH_CONFLICT && c->error.retryable);
    EXPECT(committed(c, "a") == 1 && committed(c, "b") == 0);
}

static void
a_unit_of_work_that_found_nothing_is_rerun_when_there_is_something(struct conformance *c)
{
    EXPECT(make_things(c));
    json_t *filter = conformance_json("{'v':{'$gte':5}}"), *list = NULL;
    struct document_find find = {.filter = filter, .limit = 10};
    struct store_work *looks = conformance_begin(c, STORE_WRITE);
    EXPECT(mongodb_documents.find(looks, "thing", &find, &list, &c->error) == FH_OK);
    EXPECT(json_array_size(list) == 0);
    json_decref(list);
    json_decref(filter);
    struct store_work *other = conformance_begin(c, STORE_WRITE);
    EXPECT(insert(other, "{'id':'small','v':4}", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, other) == FH_OK);
    other = conformance_begin(c, STORE_WRITE);
    EXPECT(insert(other, "{'id':'large','v':7}", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, other) == FH_OK);
    EXPECT(insert(looks, "{'id':'mine','v':0}", &c->error) == FH_CONFLICT && c->error.retryable);
    conformance_rollback(c, looks);
    EXPECT(committed(c, "mine") == -1);
}

struct adder {
    struct conformance *c;
    int number, done;
};

static void add_once(void *argument)
{
    struct adder *adder = argument;
    struct conformance *c = adder->c;
    char key[16];
    snprintf(key, sizeof key, "%d", adder->number);
    for (int tries = 0; tries < 50 && !adder->done; tries++) {
        struct fh_error error;
        struct store_work *work;
        if (store_begin(c->store, tries ? STORE_WRITE_EXCLUSIVE : STORE_WRITE, &work, &error) !=
            FH_OK)
            continue;
        enum fh_code code = add(work, adder->number % 2 ? "a" : "b", 1, &error);
        if (code == FH_OK)
            code = record(work, key, &error);
        if (code == FH_OK)
            code = publish(work, key, &error);
        if (code == FH_OK)
            code = store_commit(work, &error);
        else
            store_rollback(work);
        adder->done = code == FH_OK;
    }
}

static void many_units_of_work_on_two_documents_are_all_done_once(struct conformance *c)
{
    enum { COUNT = 60 };
    EXPECT(make_things(c));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(insert(work, "{'id':'a','v':0}", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(insert(work, "{'id':'b','v':0}", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    struct adder adders[COUNT];
    for (int i = 0; i < COUNT; i++) {
        adders[i] = (struct adder){.c = c, .number = i};
        conformance_start(c, add_once, &adders[i]);
    }
    conformance_join(c);
    for (int i = 0; i < COUNT; i++)
        EXPECT(adders[i].done);
    EXPECT(committed(c, "a") == COUNT / 2 && committed(c, "b") == COUNT / 2);
    struct store_work *reads = conformance_begin(c, STORE_READ);
    int64_t position = 0;
    EXPECT(ledger_position(reads, &position, &c->error) == FH_OK && position == COUNT);
    conformance_rollback(c, reads);
    for (int i = 0; i < COUNT; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        EXPECT(is_recorded(c, key));
    }
}

/* Schedule 18. */
static void a_second_document_is_refused_in_one_work(struct conformance *c)
{
    EXPECT(make_things(c));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(insert(work, "{'id':'a','v':1}", &c->error) == FH_OK);
    EXPECT(insert(work, "{'id':'b','v':1}", &c->error) == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "'a'"));
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(committed(c, "a") == 1 && committed(c, "b") == -1);
}

static struct ledger_cursor cursor_at(int64_t position)
{
    struct ledger_cursor cursor = {.position = position};
    snprintf(cursor.incarnation, ID_SIZE, "%s", position ? "incarnation" : "");
    return cursor;
}

static void an_events_mark_stands_or_falls_with_what_its_handler_changed(struct conformance *c)
{
    struct ledger_cursor none = cursor_at(0), one = cursor_at(1), two = cursor_at(2), now;
    EXPECT(make_things(c));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(ledger_cursor_move(work, "users", "0/1", &none, &one, &c->error) == FH_OK);
    EXPECT(insert(work, "{'id':'a','v':1}", &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(committed(c, "a") == -1);
    /* Two that both believe that the event is theirs to apply. */
    work = conformance_begin(c, STORE_WRITE);
    struct store_work *late = conformance_begin(c, STORE_WRITE);
    EXPECT(ledger_cursor_move(work, "users", "0/1", &none, &one, &c->error) == FH_OK);
    EXPECT(ledger_cursor_move(late, "users", "0/1", &none, &one, &c->error) == FH_OK);
    EXPECT(insert(work, "{'id':'a','v':1}", &c->error) == FH_OK);
    EXPECT(insert(late, "{'id':'b','v':1}", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(conformance_commit(c, late) == FH_CONFLICT && c->error.retryable);
    late = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    EXPECT(ledger_cursor_move(late, "users", "0/1", &none, &one, &c->error) == FH_CONFLICT);
    EXPECT(!c->error.retryable);
    EXPECT(ledger_cursor_move(late, "users", "0/1", &one, &two, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, late) == FH_OK);
    conformance_reopen(c);
    EXPECT(!c->failure[0]);
    work = conformance_begin(c, STORE_READ);
    EXPECT(ledger_cursor_get(work, "users", "0/1", &now, &c->error) == FH_OK);
    EXPECT(now.position == 2);
    conformance_rollback(c, work);
    EXPECT(committed(c, "a") == 1 && committed(c, "b") == -1);
}

/* ---- What a dead process has left ---- */

#define EVENT(id)                                                                                  \
    "{'id':'" id "','type':'Changed','version':{'$numberLong':'1'},'key':'k',"                     \
    "'time_ms':{'$numberLong':'1'},'data':'{}'}"
#define RECORD                                                                                     \
    "{'collection':'fh_command','id':'orders\\u001fx','document':{'caller':'orders','key':'x',"    \
    "'birth':'birth','number':{'$numberLong':'1'},'attempt':{'$numberLong':'1'},"                  \
    "'created_ms':{'$numberLong':'1'},'outcome':'done','digest':'d'}}"

static void what_was_committed_and_not_carried_on_is_found_when_opening(struct conformance *c)
{
    EXPECT(make_things(c));
    EXPECT(put_raw(c, "thing",
                   "{'_id':'a','_fh':{'version':'w1','work':{'id':'w1','writes':[" RECORD
                   "],'events':[" EVENT("e1") "]}},'id':'a','v':{'$numberLong':'3'}}"));
    EXPECT(put_raw(c, "thing",
                   "{'_id':'gone','_fh':{'version':'w2','removed':true,'work':{'id':'w2','writes':"
                   "[],'events':[" EVENT("e2") "]}}}"));
    EXPECT(put_raw(c, "fh_work",
                   "{'_id':'w3','_fh':{'version':'w3','work':{'id':'w3','writes':[{'collection':"
                   "'fh_cursor','id':'users\\u001f0/1','document':{'source':'users','share':'0/1',"
                   "'incarnation':'i','position':{'$numberLong':'7'},'event_id':'e','epoch':"
                   "{'$numberLong':'0'}}}]}}}"));
    for (int i = 0; i < 2; i++) { /* what was carried once is not found again */
        conformance_reopen(c);
        EXPECT(!c->failure[0]);
        EXPECT(committed(c, "a") == 3 && committed(c, "gone") == -1);
        EXPECT(is_recorded(c, "x"));
        struct store_work *work = conformance_begin(c, STORE_READ);
        struct ledger_cursor cursor;
        int64_t position;
        EXPECT(ledger_position(work, &position, &c->error) == FH_OK && position == 2);
        EXPECT(ledger_cursor_get(work, "users", "0/1", &cursor, &c->error) == FH_OK);
        EXPECT(cursor.position == 7);
        conformance_rollback(c, work);
    }
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(insert(work, "{'id':'gone','v':1}", &c->error) == FH_OK);
    EXPECT(publish(work, "e3", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(committed(c, "gone") == 1);
}

#define ROW(position, id, work)                                                                    \
    "{'_id':{'$numberLong':'" position "'},'event_id':'" id "','prev':{'$numberLong':'0'},"        \
    "'type':'Changed','key':'k','data':'{}','version':{'$numberLong':'1'},'time_ms':"              \
    "{'$numberLong':'1'},'work':'" work "','index':{'$numberLong':'0'}}"

/* Died when the first event's row was written, and nothing else. */
static void an_event_that_was_numbered_keeps_its_position(struct conformance *c)
{
    EXPECT(make_things(c));
    EXPECT(put_raw(c, "fh_outbox", ROW("1", "e1", "w1")));
    EXPECT(
        put_raw(c, "thing",
                "{'_id':'a','_fh':{'version':'w1','work':{'id':'w1','writes':[],'events':[" EVENT(
                    "e1") "]}},'id':'a','v':{'$numberLong':'3'}}"));
    conformance_reopen(c);
    EXPECT(!c->failure[0]);
    EXPECT(outbox_is(c, "1 e1<0"));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(add(work, "a", 1, &c->error) == FH_OK && publish(work, "e2", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(outbox_is(c, "1 e1<0, 2 e2<1"));
}

/* Nor if it is found while what another unit of work has left is being carried. */
static void an_event_that_was_numbered_keeps_its_position_beside_others(struct conformance *c)
{
    EXPECT(make_things(c));
    EXPECT(put_raw(c, "fh_outbox", ROW("1", "e1", "w1")));
    EXPECT(put_raw(c, "fh_work",
                   "{'_id':'w0','_fh':{'version':'w0','work':{'id':'w0','writes':[" RECORD
                   "],'events':[]}}}"));
    EXPECT(
        put_raw(c, "thing",
                "{'_id':'a','_fh':{'version':'w1','work':{'id':'w1','writes':[],'events':[" EVENT(
                    "e1") "]}},'id':'a','v':{'$numberLong':'3'}}"));
    conformance_reopen(c);
    EXPECT(!c->failure[0] && is_recorded(c, "x"));
    EXPECT(outbox_is(c, "1 e1<0"));
}

#define SAGA                                                                                       \
    "'saga':{'birth':'b','name':'n','input':'{}','state':'{}','status':'running','epoch':"         \
    "{'$numberLong':'1'},'deadline_ms':{'$numberLong':'1'},'updated_ms':{'$numberLong':'1'},"      \
    "'closed':{'$numberLong':'0'},'start_id':'s','owner':'0'},'steps':[{'birth':'b','step':"       \
    "{'$numberLong':'0'},'element':{'$numberLong':'0'},'attempt':{'$numberLong':'1'},'target':"    \
    "'t','request':'{}','state':'stored','answer':null,'receiver':null,'receiver_position':"       \
    "{'$numberLong':'0'},'place':'\\u001f000000000\\u001f000000000'}]"

static bool count_step(void *context, const struct ledger_step *step)
{
    *(int *)context += step->number == 1 && step->step == 0;
    return true;
}

/* Died when its start was numbered: it is there under that number, and what it did since stays. */
static void a_saga_begins_once_whatever_dies(struct conformance *c)
{
    EXPECT(make_things(c));
    EXPECT(put_raw(c, "fh_outbox", ROW("1", "s", "w1")));
    EXPECT(put_raw(c, "fh_work",
                   "{'_id':'w1','_fh':{'version':'w1','work':{'id':'w1','writes':[],'events':[{"
                   "'id':'s','type':'freehold.saga.started','version':{'$numberLong':'1'},'key':"
                   "'freehold.saga','time_ms':{'$numberLong':'1'},'data':'{}'," SAGA "}]}}}"));
    conformance_reopen(c);
    EXPECT(!c->failure[0]);
    struct arena arena;
    struct ledger_saga saga;
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = ledger_saga_find(work, &arena, "b", "s", &saga, &c->error);
    int64_t number = code == FH_OK ? saga.number : 0;
    int steps = 0;
    if (code == FH_OK)
        code = ledger_steps_get(work, &arena, "b", 1, count_step, &steps, &c->error);
    saga.status = "ended";
    if (code == FH_OK)
        code = ledger_saga_update(work, &saga, &c->error);
    arena_release(&arena);
    EXPECT(code == FH_OK && number == 1 && steps == 1);
    EXPECT(conformance_commit(c, work) == FH_OK);
    struct ledger_counts counts;
    work = conformance_begin(c, STORE_READ);
    EXPECT(ledger_saga_counts(work, &counts, &c->error) == FH_OK);
    EXPECT(counts.ended == 1 && counts.running == 0);
}

/* A process that was taken for dead wrote once more: whoever locks the document carries that. */
static void what_a_former_process_wrote_late_is_carried_by_whoever_meets_it(struct conformance *c)
{
    EXPECT(make_things(c));
    EXPECT(put_raw(c, "thing",
                   "{'_id':'a','_fh':{'version':'w1','work':{'id':'w1','writes':[" RECORD
                   "],'events':[" EVENT("e1") "]}},'id':'a','v':{'$numberLong':'3'}}"));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(add(work, "a", 1, &c->error) == FH_CONFLICT && c->error.retryable);
    conformance_rollback(c, work);
    work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    EXPECT(add(work, "a", 1, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(committed(c, "a") == 4 && is_recorded(c, "x") && outbox_is(c, "1 e1<0"));
}

/* The same for a process that is known to be dead, all of whose units of work have been carried:
 * everybody has gone on without that one. Epoch 1 is the one before `conformance_reopen`. */
static bool leave_too_late(struct conformance *c)
{
    return make_things(c) &&
           put_raw(c, "thing",
                   "{'_id':'changed','_fh':{'version':'w1','work':{'id':'w1','epoch':"
                   "{'$numberLong':'1'},'writes':[" RECORD "],'events':[" EVENT(
                       "e1") "],'back':{'before':{'v':{'$numberLong':'2'},'was':'there'},'came':"
                             "{'new':true}}}},'id':'changed','v':{'$numberLong':'3'},'new':true,"
                             "'same':{'a':true}}") &&
           put_raw(c, "thing",
                   "{'_id':'made','_fh':{'version':'w2','work':{'id':'w2','epoch':{'$numberLong':"
                   "'1'},'writes':[],'events':[" EVENT(
                       "e2") "],'back':{'made':true}}},'id':'made','v':{'$numberLong':'3'}}");
}

static bool was_never(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *document = NULL;
    enum fh_code code = mongodb_documents.get(work, "thing", "changed", &document, &c->error);
    json_t *was = conformance_json("{'id':'changed','v':2,'was':'there','same':{'a':true}}");
    bool same = code == FH_OK && json_equal(document, was);
    json_decref(was);
    json_decref(document);
    conformance_rollback(c, work);
    return same && committed(c, "made") == -1 && !is_recorded(c, "x") && outbox_is(c, "");
}

static void
what_a_dead_process_changed_too_late_is_taken_back_by_who_meets_it(struct conformance *c)
{
    conformance_reopen(c);
    EXPECT(mongodb_of(c->store)->recovered >= 1);
    EXPECT(leave_too_late(c));
    for (int i = 0; i < 2; i++) {
        struct store_work *work = conformance_begin(c, STORE_WRITE);
        EXPECT(add(work, i ? "made" : "changed", 1, &c->error) == FH_CONFLICT &&
               c->error.retryable);
        conformance_rollback(c, work);
        work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
        EXPECT(add(work, i ? "made" : "changed", 1, &c->error) == (i ? FH_NOT_FOUND : FH_OK));
        conformance_rollback(c, work);
    }
    EXPECT(was_never(c));
}

static void what_a_dead_process_changed_too_late_is_taken_back_when_opening(struct conformance *c)
{
    conformance_reopen(c);
    EXPECT(leave_too_late(c));
    conformance_reopen(c);
    EXPECT(was_never(c));
}

/* ---- A link that dies ---- */

static void close_store(struct conformance *c)
{
    c->engine->close(c->store);
    c->store = NULL;
}

/* From here on the case's store uses `link`. */
static bool go_over(struct conformance *c, struct link *link, const char *marker)
{
    json_t *server = mongodb_server(&c->harness, c->engine);
    json_int_t port = 0;
    json_integer_at(server, "port", &port);
    json_decref(server);
    close_store(c);
    return link_open(link, c->harness.world, (int)port, marker) &&
           link_used(link, mongodb_open_at(c, link->port, &c->store) == FH_OK);
}

static enum fh_code change_all(struct conformance *c, const char *key)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    enum fh_code code = add(work, "a", 1, &c->error);
    if (code == FH_OK)
        code = record(work, key, &c->error);
    if (code == FH_OK)
        code = publish(work, key, &c->error);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

/* The link is cut at the first request that contains `marker`; whichever that is, the unit of work
 * is done once, and so is the next one. */
static void cut_at(struct conformance *c, const char *marker, enum link_cut cut)
{
    struct link link = {0};
    EXPECT(make_things(c));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(insert(work, "{'id':'a','v':0}", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(go_over(c, &link, marker));
    link.next = cut;
    bool first = change_all(c, "key-1") == FH_OK;
    bool cut_was = link.next == LINK_WHOLE;
    if (cut == LINK_HELD)
        link_release(&link);
    bool second = first && change_all(c, "key-2") == FH_OK;
    close_store(c);
    link_close(&link);
    EXPECT(c->engine->open(&c->harness, c->model, &c->store, &c->error) == FH_OK);
    EXPECT(first && second && cut_was);
    EXPECT(committed(c, "a") == 2 && is_recorded(c, "key-1") && is_recorded(c, "key-2"));
    EXPECT(outbox_is(c, "1 key-1<0, 2 key-2<1"));
}

static void a_commit_is_done_once_when_its_answer_is_lost(struct conformance *c)
{
    cut_at(c, "_fh.version", LINK_CUT_AFTER);
}

static void a_commit_is_done_once_when_its_request_never_leaves(struct conformance *c)
{
    cut_at(c, "_fh.version", LINK_CUT_BEFORE);
}

/* Schedule 23. */
static void a_commit_is_done_once_when_its_first_request_comes_late(struct conformance *c)
{
    cut_at(c, "_fh.version", LINK_HELD);
}

static void events_are_numbered_once_when_the_answer_is_lost(struct conformance *c)
{
    cut_at(c, "event_id", LINK_CUT_AFTER);
}

static void records_are_put_once_when_the_answer_is_lost(struct conformance *c)
{
    cut_at(c, "upsert", LINK_CUT_AFTER);
}

static void a_read_is_repeated_when_its_answer_is_lost(struct conformance *c)
{
    cut_at(c, "fh_command", LINK_CUT_AFTER);
}

static void places_are_put_once_when_the_answer_is_lost(struct conformance *c)
{
    cut_at(c, "fh_place", LINK_CUT_AFTER);
}

static void the_counter_moves_once_when_the_answer_is_lost(struct conformance *c)
{
    cut_at(c, "fh_meta", LINK_CUT_AFTER);
}

static void an_entry_is_taken_out_once_when_the_answer_is_lost(struct conformance *c)
{
    cut_at(c, "$unset", LINK_CUT_AFTER);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(two_works_that_each_read_what_the_other_changes_are_not_both_done),
        CASE(a_unit_of_work_that_found_nothing_is_rerun_when_there_is_something),
        CASE(many_units_of_work_on_two_documents_are_all_done_once),
        CASE(a_second_document_is_refused_in_one_work),
        CASE(an_events_mark_stands_or_falls_with_what_its_handler_changed),
        CASE(what_was_committed_and_not_carried_on_is_found_when_opening),
        CASE(an_event_that_was_numbered_keeps_its_position),
        CASE(an_event_that_was_numbered_keeps_its_position_beside_others),
        CASE(a_saga_begins_once_whatever_dies),
        CASE(what_a_former_process_wrote_late_is_carried_by_whoever_meets_it),
        CASE(what_a_dead_process_changed_too_late_is_taken_back_by_who_meets_it),
        CASE(what_a_dead_process_changed_too_late_is_taken_back_when_opening),
        CASE(a_commit_is_done_once_when_its_request_never_leaves),
        CASE(a_commit_is_done_once_when_its_answer_is_lost),
        CASE(a_commit_is_done_once_when_its_first_request_comes_late),
        CASE(events_are_numbered_once_when_the_answer_is_lost),
        CASE(records_are_put_once_when_the_answer_is_lost),
        CASE(a_read_is_repeated_when_its_answer_is_lost),
        CASE(places_are_put_once_when_the_answer_is_lost),
        CASE(the_counter_moves_once_when_the_answer_is_lost),
        CASE(an_entry_is_taken_out_once_when_the_answer_is_lost),
    };
    return conformance_main_of("mongodb", FH_DOCUMENT, rows, sizeof rows / sizeof *rows);
}
