/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the Redis engine must guarantee: a script that can't be finished has written nothing, a
 * unit of work whose answer was lost is done once, and a server that would lose units of work is
 * refused. Some cases change the server's settings or kill it: no other suite runs at the same
 * time.
 */

#include "engine_redis.h"

#include <signal.h>
#include <stdlib.h>

#include "keyvalue.h"
#include "link.h"

#define EVENTS_SIZE 512

static enum fh_code publish(struct store_work *work, const char *id, struct fh_error *error)
{
    struct ledger_event event = {
        .id = id, .type = "Changed", .key = "k", .version = 1, .time_ms = 1, .data = "{}"};
    return ledger_outbox_append(work, &event, error);
}

struct ids {
    char text[EVENTS_SIZE];
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

/* A value, an event and a member of a sorted set, in this order. */
static enum fh_code write_all(struct conformance *c, struct keyvalue_view *view, const char *id)
{
    enum fh_code code = kv(c)->put(view, "v", "1", false, &c->error);
    if (!code)
        code = publish(view->work, id, &c->error);
    if (!code)
        code = kv(c)->member_put(view, "s", "m", 1, &c->error);
    return code ? code : conformance_commit(c, view->work);
}

static bool nothing_is_there(struct conformance *c)
{
    struct keyvalue_view view = begin(c, STORE_READ, 0);
    bool none = shows(c, &view, "v", NULL);
    conformance_rollback(c, view.work);
    return none && outbox_is(c, "");
}

static bool told(struct conformance *c, redisReply *reply)
{
    bool well = reply && !redis_is(reply, REDIS_REPLY_ERROR);
    if (!well && reply && !c->failure[0])
        snprintf(c->failure, sizeof c->failure, "the server said: %.200s", reply->str);
    if (reply)
        hiredis.freeReplyObject(reply);
    return well;
}

#define TELL(c, ...) told(c, redis_tell(c, __VA_ARGS__, (char *)NULL))

/* ---- A script fails in the middle ---- */

/* Schedule 28. */
static void a_script_that_meets_a_key_of_another_kind_has_written_nothing(struct conformance *c)
{
    char *key = redis_name(redis_of(c->store), "kv", "s");
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    bool set = TELL(c, "SET", key, "7");
    free(key);
    EXPECT(set);
    EXPECT(write_all(c, &view, "e1") == FH_CONFLICT && !c->error.retryable);
    EXPECT(strstr(c->error.message, "'s' is a value"));
    EXPECT(nothing_is_there(c));
}

/* Schedule 28. */
static void
a_script_that_meets_a_ledger_that_was_meddled_with_has_written_nothing(struct conformance *c)
{
    static const char *const names[] = {"place", "outbox", "keys"};
    for (int i = 0; i < 3; i++) {
        char *key = redis_name(redis_of(c->store), "fh", names[i]);
        bool set = TELL(c, "SET", key, "7");
        struct keyvalue_view view = begin(c, STORE_WRITE, 0);
        enum fh_code code = write_all(c, &view, "e1");
        bool removed = TELL(c, "DEL", key);
        free(key);
        EXPECT(set && removed && code != FH_OK);
        EXPECT(nothing_is_there(c));
    }
}

/* Schedule 28. */
static void a_script_whose_user_lacks_a_right_has_written_nothing(struct conformance *c)
{
    json_t *server = redis_server(&c->harness);
    const char *name = json_string_at(server, "database");
    char keys[128], *own = strdup(name);
    snprintf(keys, sizeof keys, "~%s:*", name);
    EXPECT(own && TELL(c, "ACL", "SETUSER", own, "on", ">secret", keys, "+@all"));
    json_object_set_new(server, "user", json_string(own));
    json_object_set_new(server, "password", json_string("secret"));
    struct store *first = c->store;
    bool opened = redis_open_with(&c->harness, server, &c->store, &c->error) == FH_OK;
    struct store *limited = c->store;
    c->store = first;
    bool taken = TELL(c, "ACL", "SETUSER", own, "-zadd");
    c->store = opened ? limited : first;
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    enum fh_code code = write_all(c, &view, "e1");
    bool none = nothing_is_there(c);
    if (opened)
        store_close(limited);
    c->store = first;
    bool removed = TELL(c, "ACL", "DELUSER", own);
    free(own);
    EXPECT(opened && taken && removed && none && code == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "ZADD"));
}

/* Schedule 28. */
static void a_script_that_meets_full_memory_has_written_nothing(struct conformance *c)
{
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    bool full = TELL(c, "CONFIG", "SET", "maxmemory", "1");
    enum fh_code code = write_all(c, &view, "e1");
    bool room = TELL(c, "CONFIG", "SET", "maxmemory", "512mb");
    EXPECT(full && room && code == FH_UNAVAILABLE && strstr(c->error.message, "maxmemory"));
    EXPECT(nothing_is_there(c));
    view = begin(c, STORE_WRITE, 0);
    EXPECT(write_all(c, &view, "e1") == FH_OK && outbox_is(c, "1 e1<0"));
}

/* Nobody can write, and it can still be backed up. */
static void a_store_whose_memory_is_full_can_be_held(struct conformance *c)
{
    bool full = TELL(c, "CONFIG", "SET", "maxmemory", "1");
    enum fh_code held = store_hold(c->store, &c->error);
    enum fh_code released = store_release(c->store, &c->error);
    bool room = TELL(c, "CONFIG", "SET", "maxmemory", "512mb");
    EXPECT(full && room && held == FH_OK && released == FH_OK);
}

/* The server refuses all writes then, as with a full disk. */
static bool take_writes(struct conformance *c, bool takes)
{
    return TELL(c, "CONFIG", "SET", "min-replicas-to-write", takes ? "0" : "1");
}

static void a_store_whose_server_takes_no_writes_can_be_held(struct conformance *c)
{
    bool refuses = take_writes(c, false);
    enum fh_code held = store_hold(c->store, &c->error);
    enum fh_code released = store_release(c->store, &c->error);
    enum fh_code again = store_hold(c->store, &c->error);
    bool takes = take_writes(c, true); /* and somebody may have written */
    enum fh_code then = store_release(c->store, &c->error);
    EXPECT(refuses && held == FH_OK && released == FH_OK);
    EXPECT(again == FH_OK && takes && then == FH_UNAVAILABLE);
    EXPECT(strstr(c->error.message, "accepted writes in the meantime"));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(write_all(c, &view, "e1") == FH_OK);
}

static void a_server_that_has_forgotten_the_script_is_given_it_again(struct conformance *c)
{
    EXPECT(TELL(c, "SCRIPT", "FLUSH"));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(write_all(c, &view, "e1") == FH_OK && outbox_is(c, "1 e1<0"));
}

/* ---- The link dies in the commit ---- */

/* The case's store is opened over the link; the one that was open is set aside. */
static struct store *over_link(struct conformance *c, struct link *link)
{
    json_t *server = redis_server(&c->harness);
    json_int_t port = json_integer_value(json_object_get(server, "port"));
    struct store *direct = c->store, *linked = NULL;
    if (link_open(link, c->harness.world, (int)port, "EVALSHA")) {
        json_object_set_new(server, "port", json_integer(link->port));
        bool opened = redis_open_with(&c->harness, server, &linked, &c->error) == FH_OK;
        if (link_used(link, opened))
            c->store = linked;
    } else {
        json_decref(server);
    }
    return c->store == direct ? NULL : direct;
}

static void back(struct conformance *c, struct link *link, struct store *direct)
{
    store_close(c->store);
    link_close(link);
    c->store = direct;
}

static void a_unit_of_work_whose_answer_was_lost_is_known_to_be_done(struct conformance *c)
{
    struct link link = {0};
    struct store *direct = over_link(c, &link);
    EXPECT(direct);
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    link.next = LINK_CUT_AFTER;
    enum fh_code code = write_all(c, &view, "e1");
    struct store_placed placed = {"e1", 0};
    enum fh_code asked = store_sequence(c->store, &placed, 1, &c->error);
    uint64_t losses = c->store->losses;
    back(c, &link, direct);
    EXPECT(code == FH_OK && asked == FH_OK && placed.position == 1 && losses > 0);
    EXPECT(outbox_is(c, "1 e1<0"));
}

static void a_unit_of_work_that_never_arrived_is_rerun(struct conformance *c)
{
    struct link link = {0};
    struct store *direct = over_link(c, &link);
    EXPECT(direct);
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    link.next = LINK_CUT_BEFORE;
    enum fh_code code = write_all(c, &view, "e1");
    bool retryable = c->error.retryable;
    view = begin(c, STORE_WRITE, 0);
    enum fh_code again = write_all(c, &view, "e1");
    back(c, &link, direct);
    EXPECT(code == FH_CONFLICT && retryable && again == FH_OK);
    EXPECT(outbox_is(c, "1 e1<0"));
}

/* Schedule 23 on Redis. */
static void a_work_that_comes_when_all_is_settled_does_nothing(struct conformance *c)
{
    struct link link = {0};
    struct store *direct = over_link(c, &link);
    EXPECT(direct);
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    link.next = LINK_HELD;
    enum fh_code code = write_all(c, &view, "late");
    bool retryable = c->error.retryable;
    view = begin(c, STORE_WRITE, 0);
    enum fh_code again = write_all(c, &view, "again");
    link_release(&link);
    back(c, &link, direct);
    EXPECT(code == FH_CONFLICT && retryable && again == FH_OK);
    EXPECT(outbox_is(c, "1 again<0"));
}

/* ---- The list of keys ---- */

static int64_t listed(struct conformance *c, const char *least, const char *most)
{
    char *names = redis_name(redis_of(c->store), "fh", "keys");
    redisReply *reply = redis_tell(c, "ZCOUNT", names, least, most, (char *)NULL);
    int64_t count = redis_is(reply, REDIS_REPLY_INTEGER) ? reply->integer : -1;
    free(names);
    hiredis.freeReplyObject(reply);
    return count;
}

static bool expires_at(struct conformance *c, const char *key, int64_t at_ms)
{
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    return kv(c)->expire(&view, key, at_ms, &c->error) == FH_OK &&
           conformance_commit(c, view.work) == FH_OK;
}

static void every_key_is_listed_and_none_that_was_removed(struct conformance *c)
{
    bool existed;
    EXPECT(puts_value(c, "v", "1") && puts_field(c, "h", "f", "1") && puts_member(c, "s", "m", 1));
    EXPECT(listed(c, "inf", "inf") == 3);
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->add(&view, "n", 2, &c->error) == FH_OK);
    EXPECT(kv(c)->put(&view, "brief", "1", false, &c->error) == FH_OK);
    EXPECT(kv(c)->remove(&view, "brief", &existed, &c->error) == FH_OK && existed);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(listed(c, "-inf", "inf") == 4);
    view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->remove(&view, "v", &existed, &c->error) == FH_OK && existed);
    EXPECT(kv(c)->field_remove(&view, "h", "f", &existed, &c->error) == FH_OK && existed);
    EXPECT(kv(c)->member_remove(&view, "s", "m", &existed, &c->error) == FH_OK && existed);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(listed(c, "-inf", "inf") == 1);
}

static void a_key_is_listed_with_no_later_time_than_it_ends_at(struct conformance *c)
{
    const int64_t now_ms = world_wall_ms(c->harness.world);
    EXPECT(puts_value(c, "v", "1") && expires_at(c, "v", now_ms + INT64_C(7000000000000)));
    EXPECT(listed(c, "7000000000000", "inf") == 1 && listed(c, "inf", "inf") == 0);
    EXPECT(expires_at(c, "v", now_ms + 3600000));
    EXPECT(listed(c, "-inf", "7000000000000") == 1);
    EXPECT(expires_at(c, "v", 0) && listed(c, "-inf", "inf") == 1);
}

static void a_swept_list_lacks_what_the_server_has_removed(struct conformance *c)
{
    int64_t removed, now_ms = world_wall_ms(c->harness.world);
    EXPECT(puts_value(c, "soon", "1") && puts_value(c, "later", "1") && puts_value(c, "v", "1"));
    EXPECT(expires_at(c, "soon", now_ms + 3600000) && expires_at(c, "later", now_ms + 3600000));
    EXPECT(expires_at(c, "later", now_ms + 7200000));
    char *soon = redis_name(redis_of(c->store), "kv", "soon");
    bool gone = TELL(c, "DEL", soon); /* as the server does it */
    free(soon);
    EXPECT(gone && listed(c, "-inf", "inf") == 3);
    struct keyvalue_view view = begin(c, STORE_WRITE, 3600001);
    EXPECT(kv(c)->sweep(&view, &removed, &c->error) == FH_OK && removed == 2);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(listed(c, "-inf", "inf") == 2 && holds(c, "later", "1"));
    view = begin(c, STORE_WRITE, 3600001);
    EXPECT(kv(c)->sweep(&view, &removed, &c->error) == FH_OK && removed == 0);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
}

/* ---- Several processes ---- */

static void two_processes_events_have_one_dense_order(struct conformance *c)
{
    struct store *first = c->store, *second = NULL;
    EXPECT(redis_open_with(&c->harness, redis_server(&c->harness), &second, &c->error) == FH_OK);
    static const char *const ids[] = {"a", "b", "c", "d"};
    bool well = strcmp(first->incarnation, second->incarnation) == 0;
    for (int i = 0; i < 4; i++) {
        c->store = i % 2 ? second : first;
        struct store_work *work = conformance_begin(c, STORE_WRITE);
        well = well && publish(work, ids[i], &c->error) == FH_OK &&
               conformance_commit(c, work) == FH_OK;
    }
    c->store = first;
    store_close(second);
    EXPECT(well && outbox_is(c, "1 a<0, 2 b<1, 3 c<2, 4 d<3"));
}

static bool pass_by(void *context, const struct ledger_command *command)
{
    (void)context;
    (void)command;
    return true;
}

/* What a unit of work has read of all commands would be incomplete, and it is rerun. */
static void a_command_that_comes_while_all_are_read_causes_a_rerun(struct conformance *c)
{
    const struct ledger_command late = {.caller = "orders",
                                        .key = "late",
                                        .birth = "b",
                                        .number = 1,
                                        .outcome = LEDGER_DONE,
                                        .digest = "d",
                                        .request = "{}",
                                        .answer = "{}"};
    struct store_work *telling = conformance_begin(c, STORE_WRITE);
    EXPECT(telling &&
           ledger_commands_read(telling, "", "", INT32_MAX, pass_by, NULL, &c->error) == FH_OK);
    EXPECT(ledger_meta_put(telling, "told", "all", &c->error) == FH_OK);
    struct store_work *other = conformance_begin(c, STORE_WRITE);
    EXPECT(other && ledger_command_put(other, &late, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, other) == FH_OK);
    EXPECT(conformance_commit(c, telling) == FH_CONFLICT && c->error.retryable);
}

static enum fh_code take_lease(struct conformance *c, struct store_work *work, int64_t epoch,
                               const char *owner)
{
    return ledger_lease_take(work, "share users 0/8", epoch, owner, &c->error);
}

static void a_lease_has_one_owner_however_many_take_it_at_once(struct conformance *c)
{
    struct store_work *first = conformance_begin(c, STORE_WRITE),
                      *second = conformance_begin(c, STORE_WRITE);
    EXPECT(take_lease(c, first, 0, "0.a") == FH_OK && take_lease(c, second, 0, "1.b") == FH_OK);
    EXPECT(conformance_commit(c, first) == FH_OK);
    EXPECT(conformance_commit(c, second) == FH_CONFLICT && c->error.retryable);
    second = conformance_begin(c, STORE_WRITE);
    EXPECT(take_lease(c, second, 0, "1.b") == FH_CONFLICT && !c->error.retryable);
    EXPECT(take_lease(c, second, 1, "1.b") == FH_OK && conformance_commit(c, second) == FH_OK);
    first = conformance_begin(c, STORE_WRITE);
    EXPECT(ledger_lease_renew(first, "share users 0/8", "0.a", NULL, &c->error) == FH_CONFLICT);
    EXPECT(ledger_lease_renew(first, "share users 0/8", "1.b", NULL, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, first) == FH_OK);
    first = conformance_begin(c, STORE_WRITE);
    EXPECT(ledger_lease_drop(first, "share users 0/8", "1.b", 0, &c->error) == FH_CONFLICT);
    EXPECT(ledger_lease_drop(first, "share users 0/8", "1.b", 1, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, first) == FH_OK);
}

/* ---- What is refused ---- */

static bool is_refused(struct conformance *c, bool every_second, const char *words)
{
    json_t *server = redis_server(&c->harness);
    struct store *other = NULL;
    if (every_second)
        json_object_set_new(server, "appendfsync", json_string("everysec"));
    enum fh_code code = redis_open_with(&c->harness, server, &other, &c->error);
    if (other)
        store_close(other);
    return words ? code == FH_UNSUPPORTED && strstr(c->error.message, words) : code == FH_OK;
}

static void a_server_that_may_lose_units_of_work_is_refused(struct conformance *c)
{
    static const struct {
        const char *setting, *wrong, *right;
    } settings[] = {{"maxmemory-policy", "allkeys-lru", "noeviction"},
                    {"no-appendfsync-on-rewrite", "yes", "no"},
                    {"appendfsync", "no", "always"},
                    {"appendfsync", "everysec", "always"}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        bool set = TELL(c, "CONFIG", "SET", settings[i].setting, settings[i].wrong);
        bool refused = is_refused(c, false, settings[i].setting);
        bool chosen = i < 3 || is_refused(c, true, NULL);
        bool reset = TELL(c, "CONFIG", "SET", settings[i].setting, settings[i].right);
        EXPECT(set && reset && refused && chosen);
    }
    EXPECT(is_refused(c, false, NULL));
}

/* Redis reads its log with the rights of `default`: without them all units of work would be
 * lost. */
static void a_server_that_would_not_read_its_log_is_refused(struct conformance *c)
{
    bool set = TELL(c, "ACL", "SETUSER", "default", "resetkeys");
    bool refused = is_refused(c, false, "`default`");
    bool reset = TELL(c, "ACL", "SETUSER", "default", "~*");
    EXPECT(set && refused && reset && is_refused(c, false, NULL));
}

static void a_wrong_password_is_refused_and_not_shown(struct conformance *c)
{
    json_t *server = redis_server(&c->harness);
    struct store *other = NULL;
    json_object_set_new(server, "password", json_string("not-the-password"));
    EXPECT(redis_open_with(&c->harness, server, &other, &c->error) == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "password") && !strstr(c->error.message, "not-the-password"));
}

/* ---- The server is killed ---- */

static bool kill_server(struct conformance *c)
{
    json_t *server = redis_server(&c->harness);
    const char *path = json_string_at(server, "pid_file");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[32] = "";
    bool read = file && fgets(line, sizeof line, file);
    if (file)
        fclose(file);
    json_decref(server);
    long pid = strtol(line, NULL, 10);
    return read && pid > 1 && kill((pid_t)pid, SIGKILL) == 0;
}

struct load {
    struct conformance *c;
    int done, wanted;
    bool failed;
};

/* One unit of work after the other; each counts once, whatever the server does meanwhile. */
static void count_on(void *argument)
{
    struct load *load = argument;
    struct world *world = load->c->harness.world;
    int64_t until_ns = world_in_ms(world, 60000);
    while (load->done < load->wanted && !load->failed) {
        struct keyvalue_view view = {NULL, world_wall_ms(world)};
        struct fh_error error;
        enum fh_code code = store_begin(load->c->store, STORE_WRITE, &view.work, &error);
        if (!code) {
            code = redis_keyvalue.add(&view, "n", 1, &error);
            if (!code)
                code = store_commit(view.work, &error);
            else
                store_rollback(view.work);
        }
        load->done += code == FH_OK;
        bool goes_on = !code || code == FH_UNAVAILABLE || (code == FH_CONFLICT && error.retryable);
        load->failed = !goes_on || world_monotonic_ns(world) > until_ns;
        if (code && goes_on)
            fiber_sleep_until(world, world_in_ms(world, 10));
    }
}

static void a_server_that_is_killed_has_done_exactly_what_it_acknowledged(struct conformance *c)
{
    enum { FIBERS = 4, BEFORE = 50 };
    struct load load = {.c = c, .wanted = 200};
    char sum[24];
    for (int i = 0; i < FIBERS; i++)
        conformance_start(c, count_on, &load);
    while (load.done < BEFORE && !load.failed)
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 1));
    bool killed = kill_server(c);
    conformance_join(c);
    EXPECT(killed && !load.failed && load.done >= load.wanted);
    snprintf(sum, sizeof sum, "%d", load.done);
    EXPECT(holds(c, "n", sum));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_script_that_meets_a_key_of_another_kind_has_written_nothing),
        CASE(a_script_that_meets_a_ledger_that_was_meddled_with_has_written_nothing),
        CASE(a_script_whose_user_lacks_a_right_has_written_nothing),
        CASE(a_script_that_meets_full_memory_has_written_nothing),
        CASE(a_store_whose_memory_is_full_can_be_held),
        CASE(a_store_whose_server_takes_no_writes_can_be_held),
        CASE(a_server_that_has_forgotten_the_script_is_given_it_again),
        CASE(a_unit_of_work_whose_answer_was_lost_is_known_to_be_done),
        CASE(a_unit_of_work_that_never_arrived_is_rerun),
        CASE(a_work_that_comes_when_all_is_settled_does_nothing),
        CASE(every_key_is_listed_and_none_that_was_removed),
        CASE(a_key_is_listed_with_no_later_time_than_it_ends_at),
        CASE(a_swept_list_lacks_what_the_server_has_removed),
        CASE(two_processes_events_have_one_dense_order),
        CASE(a_command_that_comes_while_all_are_read_causes_a_rerun),
        CASE(a_lease_has_one_owner_however_many_take_it_at_once),
        CASE(a_server_that_may_lose_units_of_work_is_refused),
        CASE(a_server_that_would_not_read_its_log_is_refused),
        CASE(a_wrong_password_is_refused_and_not_shown),
        CASE(a_server_that_is_killed_has_done_exactly_what_it_acknowledged),
    };
    return conformance_main_of("redis", FH_KEY_VALUE, rows, sizeof rows / sizeof *rows);
}
