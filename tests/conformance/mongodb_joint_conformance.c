/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several units of work in one commit, on an engine whose commit changes one document: what timers
 * make shares one, whatever does more has its own, and who fails is to blame alone. And what a
 * process leaves that dies with such a commit.
 */

#include "engine_mongodb.h"

#include <stdlib.h>

#include "base/text.h"
#include "link.h"
#include "mongodb_raw.h"
#include "timer/manager.h"
#include "work/batch.h"

#define MANY 40
#define COMMAND_AT 25 /* in a message: after its header, flags, the section's kind, the length */

static const struct fh_collection things[] = {{"thing"}, {0}};

/* ---- What timers do ---- */

static int refusals; /* how often fail_then_make still does */

static enum fh_code publish_made(fh_work *w, void *argument, struct fh_error *error)
{
    return ledger_outbox_append(w->store_work, argument, error);
}

static void make_thing(fh_work *w)
{
    json_t *made = fh_doc_insert(w, "thing", json_pack("{s:i}", "v", 1));
    struct ledger_event *event = work_alloc(w, sizeof *event);
    *event = (struct ledger_event){.id = fh_id_new(w),
                                   .type = "Made",
                                   .version = 1,
                                   .key = fh_text(w, made, "id"),
                                   .time_ms = 1,
                                   .data = "{}"};
    work_on_end(w, publish_made, NULL, event);
}

static void look_then_make(fh_work *w)
{
    fh_try_doc(w, "thing", "none");
    make_thing(w);
}

static void fail_then_make(fh_work *w)
{
    if (refusals-- > 0)
        fh_fail(w, 409, "Not yet.");
    make_thing(w);
}

/* A second document of the same unit of work: a fault, here as everywhere. */
static void make_two(fh_work *w)
{
    make_thing(w);
    fh_doc_insert(w, "thing", json_pack("{s:i}", "v", 2));
}

static const fh_service service = {.name = "things",
                                   .model = FH_DOCUMENT,
                                   .collections = {{"thing"}},
                                   .timers = {{"make", make_thing},
                                              {"look", look_then_make},
                                              {"fail", fail_then_make},
                                              {"two", make_two}}};

/* ---- Firing ---- */

struct firing {
    struct work_context context;
    struct timer_manager *manager;
};

static bool set_timers(struct conformance *c, const char *handler, int count)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    enum fh_code code = work ? FH_OK : FH_UNAVAILABLE;
    for (int i = 0; i < count && !code; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s-%02d", handler, i);
        struct ledger_timer timer = {.kind = LEDGER_TIMER_SET,
                                     .due_ms = 1000,
                                     .name = name,
                                     .handler = handler,
                                     .data = "{}",
                                     .error = ""};
        code = ledger_timer_put(work, &timer, &c->error);
    }
    return work && !code && conformance_commit(c, work) == FH_OK;
}

static bool prepare(struct conformance *c, struct firing *firing)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    enum fh_code code = work ? mongodb_documents.prepare(work, things, 1, &c->error) : FH_INVALID;
    *firing = (struct firing){
        .context = {.world = c->harness.world, .store = c->store, .service = &service}};
    return !code && conformance_commit(c, work) == FH_OK &&
           timer_manager_new(&firing->context, &firing->manager, &c->error) == FH_OK;
}

static void run_timers(void *argument)
{
    struct firing *firing = argument;
    timers_run(firing->manager);
}

/* Until so many have fired, in all, and so many failed. */
static bool fire(struct conformance *c, struct firing *firing, uint64_t fired, uint64_t failures)
{
    struct timer_manager *manager = firing->manager;
    int64_t deadline_ns = world_in_ms(c->harness.world, HARNESS_MS_MAX / 2);
    firing->context.store = c->store;
    manager->lease.state = LEASE_OURS;
    manager->draining = false;
    conformance_start(c, run_timers, firing);
    while ((manager->counters.fired < fired || manager->counters.failures < failures) &&
           world_monotonic_ns(c->harness.world) < deadline_ns)
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 5));
    manager->draining = true;
    fiber_wake_all(&manager->wake);
    conformance_join(c);
    uint64_t failed = manager->counters.failures; /* one may have failed again by now */
    return manager->counters.fired == fired && (failures ? failed >= failures : failed == 0);
}

struct told {
    int count;
    bool dense, first;
};

static bool see_event(void *context, const struct ledger_event *event)
{
    struct told *told = context;
    told->dense = told->dense && event->position == ++told->count;
    told->first = told->first && event->previous == 0;
    return true;
}

/* So many documents, an event of each, and so many timers. */
static bool are_there(struct conformance *c, int documents, int timers)
{
    struct document_find find = {.limit = 500};
    struct told told = {.dense = true, .first = true};
    json_t *list = NULL;
    int64_t left = -1;
    struct store_work *work = conformance_begin(c, STORE_READ);
    bool read = mongodb_documents.find(work, "thing", &find, &list, &c->error) == FH_OK &&
                ledger_outbox_read(work, 0, 500, see_event, &told, &c->error) == FH_OK &&
                ledger_timers_count(work, LEDGER_TIMER_SET, 100, &left, &c->error) == FH_OK;
    int found = (int)json_array_size(list);
    json_decref(list);
    conformance_rollback(c, work);
    if (!c->failure[0] && (found != documents || told.count != documents || left != timers))
        snprintf(c->failure, sizeof c->failure, "%d documents, %d events, %d timers", found,
                 told.count, (int)left);
    return read && found == documents && told.count == documents && told.dense && told.first &&
           left == timers;
}

/* ---- Cases ---- */

static void those_that_make_share_a_commit(struct conformance *c)
{
    struct firing firing;
    EXPECT(prepare(c, &firing));
    EXPECT(set_timers(c, "make", MANY));
    bool good = fire(c, &firing, MANY, 0);
    uint64_t commits = firing.context.counters.committed;
    timer_manager_free(firing.manager);
    EXPECT(good && commits == 1);
    EXPECT(are_there(c, MANY, 0));
    conformance_reopen(c);
    EXPECT(are_there(c, MANY, 0));
}

static void one_that_reads_has_its_own(struct conformance *c)
{
    struct firing firing;
    EXPECT(prepare(c, &firing));
    EXPECT(set_timers(c, "make", MANY) && set_timers(c, "look", 1));
    bool good = fire(c, &firing, MANY + 1, 0); /* now it is known */
    uint64_t commits = firing.context.counters.committed;
    good = good && set_timers(c, "make", MANY) && set_timers(c, "look", 2) &&
           fire(c, &firing, 2 * MANY + 3, 0);
    uint64_t later = firing.context.counters.committed - commits;
    timer_manager_free(firing.manager);
    EXPECT(good && commits == MANY + 1 && later == 3);
    EXPECT(are_there(c, 2 * MANY + 3, 0));
}

static void one_that_fails_is_blamed_and_the_others_fire(struct conformance *c)
{
    struct firing firing;
    refusals = 2; /* tried together, and alone */
    EXPECT(prepare(c, &firing));
    EXPECT(set_timers(c, "make", MANY) && set_timers(c, "fail", 1));
    bool good = fire(c, &firing, MANY + 1, 1);
    bool whose = strstr(firing.manager->why, "fail fails: Not yet.") || !firing.manager->why[0];
    timer_manager_free(firing.manager);
    EXPECT(good && whose && refusals == -1);
    EXPECT(are_there(c, MANY + 1, 0));
}

static void each_of_them_makes_one_document(struct conformance *c)
{
    struct firing firing;
    EXPECT(prepare(c, &firing));
    EXPECT(set_timers(c, "make", 3) && set_timers(c, "two", 1));
    bool good = fire(c, &firing, 3, 1);
    timer_manager_free(firing.manager);
    EXPECT(good);
    EXPECT(are_there(c, 3, 1));
}

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

/* With the look before it, and the one after it. */
static void a_commit_of_many_takes_as_many_commands_as_one(struct conformance *c)
{
    struct firing firing;
    struct link link = {0};
    struct text sent;
    EXPECT(prepare(c, &firing));
    EXPECT(set_timers(c, "make", MANY));
    json_t *server = mongodb_server(&c->harness, c->engine);
    json_int_t port = 0;
    json_integer_at(server, "port", &port);
    json_decref(server);
    c->engine->close(c->store);
    c->store = NULL;
    text_init(&sent, (size_t)1 << 20);
    bool good = link_open(&link, c->harness.world, (int)port, "") &&
                mongodb_open_at(c, link.port, &c->store) == FH_OK;
    link.context = &sent;
    link.seen = note_command;
    good = good && fire(c, &firing, MANY, 0);
    int commands = 0;
    for (const char *at = sent.data; at && *at; at++)
        commands += *at == '\n';
    if (commands > 20)
        snprintf(c->failure, sizeof c->failure, "%d commands:\n%.900s", commands, sent.data);
    timer_manager_free(firing.manager);
    c->engine->close(c->store);
    c->store = NULL;
    link_close(&link);
    text_release(&sent);
    EXPECT(good);
}

#define MADE(id)                                                                                   \
    "{'collection':'thing','id':'" id "','document':{'_fh':{'version':'w1','at':" AT "},'id':'" id \
    "','v':{'$numberLong':'1'}}}"
#define AT "{'$numberLong':'1'}"
#define EVENT(id, key)                                                                             \
    "{'id':'" id "','type':'Made','version':{'$numberLong':'1'},'key':'" key                       \
    "','time_ms':{'$numberLong':'1'},'data':'{}','first':true}"

/* After any of the steps, once or twice: one of the documents is there, and one of the rows. */
static void what_a_dead_process_has_left_of_many_is_completed(struct conformance *c)
{
    struct firing firing;
    EXPECT(prepare(c, &firing));
    timer_manager_free(firing.manager);
    EXPECT(set_timers(c, "make", 3));
    EXPECT(put_raw(c, "thing",
                   "{'_id':'b','_fh':{'version':'w1','at':" AT "},'id':'b','v':"
                   "{'$numberLong':'1'}}"));
    EXPECT(put_raw(c, "fh_outbox",
                   "{'_id':{'$numberLong':'1'},'event_id':'e1','prev':{'$numberLong':'0'},'type':"
                   "'Made','key':'a','data':'{}','version':{'$numberLong':'1'},'time_ms':"
                   "{'$numberLong':'1'},'work':'w1','index':{'$numberLong':'0'}}"));
    EXPECT(
        put_raw(c, "fh_work",
                "{'_id':'w1','_fh':{'version':'w1','work':{'id':'w1','writes':["
                "{'collection':'fh_timer','id':'at\\u001f0000000000000001000\\u001fmake-00','gone':"
                "true,'once':true},"
                "{'collection':'fh_timer','id':'at\\u001f0000000000000001000\\u001fmake-01','gone':"
                "true,'once':true},"
                "{'collection':'fh_timer','id':'at\\u001f0000000000000001000\\u001fmake-02','gone':"
                "true,'once':true}," MADE("a") "," MADE("b") "," MADE("c") "],'events':[" EVENT(
                    "e1", "a") "," EVENT("e2", "b") "," EVENT("e3", "c") "]}}}"));
    for (int i = 0; i < 2; i++) {
        conformance_reopen(c);
        EXPECT(!c->failure[0]);
        EXPECT(are_there(c, 3, 0));
    }
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(those_that_make_share_a_commit),
        CASE(one_that_reads_has_its_own),
        CASE(one_that_fails_is_blamed_and_the_others_fire),
        CASE(each_of_them_makes_one_document),
        CASE(a_commit_of_many_takes_as_many_commands_as_one),
        CASE(what_a_dead_process_has_left_of_many_is_completed),
    };
    return conformance_main_of("mongodb", FH_DOCUMENT, rows, sizeof rows / sizeof *rows);
}
