/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many units of work of one process at once on Redis: which connections they use, and that each
 * succeeds or fails on its own, whatever becomes of those that go to the server with it.
 */

#include "engine_redis.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "keyvalue.h"
#include "link.h"

#define FIBERS 8

struct grouped {
    struct conformance *c;
    size_t size; /* of the value that each puts */
    int number, done;
};

static int connections_up(struct conformance *c)
{
    const struct redis *redis = redis_of(c->store);
    int up = 0;
    for (int i = 0; i < redis->options.connections; i++)
        up += redis->connections[i].state == REDIS_UP;
    return up;
}

static void put_one(void *argument)
{
    struct grouped *grouped = argument;
    char key[16], *text = malloc(grouped->size + 3);
    struct fh_error error;
    struct keyvalue_view view = {NULL, world_wall_ms(grouped->c->harness.world)};
    FH_ASSERT(text != NULL);
    memset(text, 'a', grouped->size + 2);
    text[0] = text[grouped->size + 1] = '"';
    text[grouped->size + 2] = '\0';
    snprintf(key, sizeof key, "v%d", grouped->number++);
    if (store_begin(grouped->c->store, STORE_WRITE, &view.work, &error) == FH_OK &&
        redis_keyvalue.put(&view, key, text, false, &error) == FH_OK)
        grouped->done += store_commit(view.work, &error) == FH_OK;
    free(text);
}

static bool all_put(struct conformance *c, size_t size)
{
    struct grouped grouped = {.c = c, .size = size};
    for (int i = 0; i < FIBERS; i++)
        conformance_start(c, put_one, &grouped);
    conformance_join(c);
    return grouped.done == FIBERS;
}

static void small_units_of_work_share_a_connection_and_large_ones_take_others(struct conformance *c)
{
    EXPECT(all_put(c, 10) && connections_up(c) == 1);
    EXPECT(all_put(c, REDIS_PIECE_SIZE) && connections_up(c) > 1);
}

/* ---- A connection that goes ---- */

static void read_one(void *argument)
{
    struct grouped *grouped = argument;
    redisReply *reply = NULL;
    struct redis_words question, commands;
    redis_words_init(&question);
    redis_words_init(&commands);
    redis_word(&question, "PING");
    redis_command_of(&commands, &question);
    if (redis_read(redis_of(grouped->c->store), &commands, &reply, ERROR_UNHEEDED) == FH_OK) {
        grouped->done += redis_is(reply, REDIS_REPLY_STATUS) && strcmp(reply->str, "PONG") == 0;
        hiredis.freeReplyObject(reply);
    }
    redis_words_release(&question);
    redis_words_release(&commands);
}

static void lose_all(void *argument)
{
    struct grouped *grouped = argument;
    struct redis *redis = redis_of(grouped->c->store);
    for (int i = 0; i < redis->options.connections; i++)
        redis_connection_close(&redis->connections[i]);
}

/* It would be sent on a link that is being made, before the login. */
static void what_a_lost_connection_had_to_send_is_not_sent_on_the_next(struct conformance *c)
{
    struct grouped grouped = {.c = c};
    conformance_start(c, read_one, &grouped);
    conformance_start(c, lose_all, &grouped);
    for (int i = 0; i < FIBERS; i++)
        conformance_start(c, read_one, &grouped);
    conformance_join(c);
    EXPECT(grouped.done == FIBERS + 1);
}

/* As when the server has died, which has not been noticed yet: sending itself fails. */
static void put_over_dead_links(void *argument)
{
    struct grouped *grouped = argument;
    struct redis *redis = redis_of(grouped->c->store);
    enum fh_code code = FH_CONFLICT;
    struct fh_error error = {.retryable = true};
    char key[16];
    snprintf(key, sizeof key, "v%d", grouped->number++);
    for (int i = 0; i < 50 && code == FH_CONFLICT && error.retryable; i++) {
        struct keyvalue_view view = {NULL, world_wall_ms(grouped->c->harness.world)};
        code = store_begin(grouped->c->store, STORE_WRITE, &view.work, &error);
        if (!code)
            code = redis_keyvalue.put(&view, key, "1", false, &error);
        for (int j = 0; j < redis->options.connections && i == 0; j++) {
            if (redis->connections[j].state == REDIS_UP)
                shutdown(redis->connections[j].fd, SHUT_RDWR);
        }
        if (!code)
            code = store_commit(view.work, &error);
    }
    grouped->done += code == FH_OK;
}

static void links_that_are_dead_when_a_call_is_sent_do_no_harm(struct conformance *c)
{
    for (int count = 1; count <= 30; count += 7) {
        struct grouped grouped = {.c = c};
        for (int i = 0; i < count; i++)
            conformance_start(c, put_over_dead_links, &grouped);
        conformance_join(c);
        EXPECT(grouped.done == count && holds(c, "v0", "1"));
    }
}

/* ---- What was read, returned in another order ---- */

/* A hash with a long text is kept as a table, which the server lists in one order when it is
 * scanned and in another when it is read as a whole. */
static bool has_a_table(struct conformance *c)
{
    char text[128], field[16];
    bool well = true;
    memset(text, 'a', sizeof text);
    text[0] = text[sizeof text - 2] = '"';
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 20 && well; i++) {
        snprintf(field, sizeof field, "f%d", i);
        well = puts_field(c, "h", field, text);
    }
    return well;
}

static enum fh_code commit_behind_fields(struct conformance *c, const char *changed)
{
    json_t *fields = NULL;
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    enum fh_code code = kv(c)->fields(&view, "h", &fields, &c->error);
    bool whole = json_object_size(fields) == 20;
    json_decref(fields);
    if (!code && whole && changed)
        whole = puts_field(c, "h", changed, "2");
    if (!code)
        code = kv(c)->put(&view, "v", "1", false, &c->error);
    if (!code && whole)
        return conformance_commit(c, view.work);
    conformance_rollback(c, view.work);
    return FH_INVALID;
}

static void a_hash_is_unchanged_in_whichever_order_it_is_read(struct conformance *c)
{
    EXPECT(has_a_table(c));
    EXPECT(commit_behind_fields(c, NULL) == FH_OK);
    EXPECT(commit_behind_fields(c, "f7") == FH_CONFLICT && c->error.retryable);
}

/* ---- Units of work in one call ---- */

struct committing {
    struct keyvalue_view view;
    enum fh_code code;
    struct fh_error error;
};

static void commit_one(void *argument)
{
    struct committing *committing = argument;
    committing->code = store_commit(committing->view.work, &committing->error);
}

/* In one turn of the loop, and so in one call of the script: they share a slot. */
static bool commit_all(struct conformance *c, struct committing *works, int count)
{
    const struct redis *redis = redis_of(c->store);
    int slots = redis->slot_count;
    for (int i = 0; i < count; i++)
        conformance_start(c, commit_one, &works[i]);
    conformance_join(c);
    return redis->slot_count == (slots ? slots : 1);
}

static bool puts_one(struct conformance *c, struct committing *committing, const char *key,
                     const char *text, const char *event_id)
{
    struct ledger_event event = {
        .id = event_id, .type = "Changed", .key = "k", .version = 1, .time_ms = 1, .data = "{}"};
    enum fh_code code = kv(c)->put(&committing->view, key, text, false, &c->error);
    if (!code && event_id)
        code = ledger_outbox_append(committing->view.work, &event, &c->error);
    return code == FH_OK;
}

static bool reads_and_puts(struct conformance *c, struct committing *committing, const char *text)
{
    json_t *value = NULL;
    enum fh_code code = kv(c)->get(&committing->view, "n", &value, &c->error);
    json_decref(value);
    return code == FH_NOT_FOUND && puts_one(c, committing, "n", text, NULL);
}

/* Each ends with its own error, so the suite does not keep them. */
static void begin_all(struct conformance *c, struct committing *works, int count)
{
    for (int i = 0; i < count; i++) {
        works[i] = (struct committing){.view = {NULL, world_wall_ms(c->harness.world)}};
        FH_ASSERT(store_begin(c->store, STORE_WRITE, &works[i].view.work, &c->error) == FH_OK);
    }
}

static bool is_conflict(const struct committing *committing)
{
    return committing->code == FH_CONFLICT && committing->error.retryable;
}

static int64_t position(struct conformance *c, const char *event_id)
{
    struct store_placed placed = {event_id, 0};
    return store_sequence(c->store, &placed, 1, &c->error) == FH_OK ? placed.position : 0;
}

static void units_of_work_of_one_call_succeed_or_fail_each_for_itself(struct conformance *c)
{
    struct committing works[6];
    EXPECT(puts_value(c, "s", "7"));
    begin_all(c, works, 6);
    EXPECT(puts_one(c, &works[0], "a", "1", "e1"));
    EXPECT(reads_and_puts(c, &works[1], "1") && reads_and_puts(c, &works[2], "2"));
    EXPECT(kv(c)->member_put(&works[3].view, "s", "m", 1, &c->error) == FH_OK);
    EXPECT(puts_one(c, &works[3], "refused", "1", "e2"));
    EXPECT(puts_one(c, &works[4], "b", "1", "e3"));
    EXPECT(shows(c, &works[5].view, "s", "7") && shows(c, &works[5].view, "none", NULL));
    EXPECT(commit_all(c, works, 6));
    EXPECT(works[0].code == FH_OK && works[1].code == FH_OK && is_conflict(&works[2]));
    EXPECT(works[3].code == FH_CONFLICT && !works[3].error.retryable);
    EXPECT(works[4].code == FH_OK && works[5].code == FH_OK);
    EXPECT(holds(c, "a", "1") && holds(c, "n", "1") && holds(c, "b", "1"));
    EXPECT(holds(c, "refused", NULL) && holds(c, "s", "7"));
    EXPECT(position(c, "e1") == 1 && position(c, "e3") == 2);
}

static void
a_unit_of_work_that_fails_in_the_script_leaves_the_others_committed(struct conformance *c)
{
    struct committing works[3];
    char *key = redis_name(redis_of(c->store), "fh", "place");
    redisReply *set = redis_tell(c, "SET", key, "7", (char *)NULL);
    begin_all(c, works, 3);
    bool put = puts_one(c, &works[0], "a", "1", NULL) && puts_one(c, &works[1], "n", "1", "e1") &&
               puts_one(c, &works[2], "b", "1", NULL);
    bool grouped = commit_all(c, works, 3);
    redisReply *removed = redis_tell(c, "DEL", key, (char *)NULL);
    bool told = redis_is(set, REDIS_REPLY_STATUS) && redis_is(removed, REDIS_REPLY_INTEGER);
    free(key);
    hiredis.freeReplyObject(set);
    hiredis.freeReplyObject(removed);
    EXPECT(put && told && grouped);
    EXPECT(works[0].code == FH_OK && works[1].code == FH_UNAVAILABLE && works[2].code == FH_OK);
    EXPECT(holds(c, "a", "1") && holds(c, "n", NULL) && holds(c, "b", "1"));
}

static void add_one(void *argument)
{
    struct grouped *grouped = argument;
    struct fh_error error;
    struct keyvalue_view view = {NULL, world_wall_ms(grouped->c->harness.world)};
    if (store_begin(grouped->c->store, STORE_WRITE, &view.work, &error) == FH_OK &&
        redis_keyvalue.add(&view, "n", 1, &error) == FH_OK)
        grouped->done += store_commit(view.work, &error) == FH_OK;
}

static void more_units_of_work_than_a_call_takes_are_each_done_once(struct conformance *c)
{
    struct grouped grouped = {.c = c};
    for (int i = 0; i < 100; i++)
        conformance_start(c, add_one, &grouped);
    conformance_join(c);
    EXPECT(grouped.done == 100 && holds(c, "n", "100"));
}

/* ---- Hashes in one call ---- */

static bool changes_hash(struct conformance *c, struct committing *committing, bool reads,
                         const char *key, const char *field, int64_t ends_ms)
{
    json_t *fields = NULL;
    const struct keyvalue_view *view = &committing->view;
    enum fh_code code = reads ? kv(c)->fields(view, key, &fields, &c->error) : FH_OK;
    json_decref(fields);
    if (!code)
        code = kv(c)->field_put(view, key, field, "1", &c->error);
    if (!code)
        code = kv(c)->expire(view, key, ends_ms, &c->error);
    return code == FH_OK;
}

/* The key ends then, and the list of all keys says so: it is not to be found too late. */
static bool ends_at(struct conformance *c, const char *key, int64_t time_ms)
{
    char *names = redis_name(redis_of(c->store), "fh", "keys");
    char *server = redis_name(redis_of(c->store), "kv", key);
    redisReply *score = redis_tell(c, "ZSCORE", names, key, (char *)NULL);
    redisReply *ends = redis_tell(c, "PEXPIRETIME", server, (char *)NULL);
    bool well = redis_is(score, REDIS_REPLY_STRING) && redis_is(ends, REDIS_REPLY_INTEGER) &&
                strtoll(score->str, NULL, 10) == time_ms && ends->integer == time_ms;
    hiredis.freeReplyObject(score);
    hiredis.freeReplyObject(ends);
    free(names);
    free(server);
    return well;
}

static void hashes_of_one_call_change_and_end_each_by_its_own_unit_of_work(struct conformance *c)
{
    struct committing works[5];
    int64_t now_ms = world_wall_ms(c->harness.world);
    EXPECT(puts_field(c, "h1", "f", "0") && puts_field(c, "h2", "f", "0"));
    begin_all(c, works, 5);
    EXPECT(changes_hash(c, &works[0], true, "h1", "a", now_ms + 200000));
    EXPECT(changes_hash(c, &works[0], true, "h2", "a", now_ms + 50000));
    EXPECT(changes_hash(c, &works[1], false, "h3", "a", now_ms + 70000));
    EXPECT(changes_hash(c, &works[2], true, "h2", "b", now_ms + 10000));
    EXPECT(changes_hash(c, &works[3], false, "h1", "b", now_ms + 60000));
    EXPECT(changes_hash(c, &works[4], false, "h3", "b", now_ms + 80000));
    EXPECT(commit_all(c, works, 5));
    EXPECT(works[0].code == FH_OK && works[1].code == FH_OK && is_conflict(&works[2]));
    EXPECT(works[3].code == FH_OK && works[4].code == FH_OK);
    EXPECT(holds(c, "h1", "{'a':1,'b':1,'f':0}") && ends_at(c, "h1", now_ms + 60000));
    EXPECT(holds(c, "h2", "{'a':1,'f':0}") && ends_at(c, "h2", now_ms + 50000));
    begin_all(c, works, 1);
    EXPECT(changes_hash(c, &works[0], true, "h1", "b", now_ms + 30000));
    EXPECT(commit_all(c, works, 1) && works[0].code == FH_OK);
    EXPECT(ends_at(c, "h1", now_ms + 30000) && holds(c, "h3", "{'a':1,'b':1}"));
}

#define MANY 40 /* more than a call takes */

/* All but `refused` change their own key, and publish two events each. */
static bool publish_all(struct conformance *c, int refused)
{
    static struct committing works[MANY];
    static char ids[MANY][2][16];
    bool seen[2 * MANY + 1] = {false}, well = true;
    int done = 0;
    begin_all(c, works, MANY);
    for (int i = 0; i < MANY; i++) {
        char key[16];
        snprintf(key, sizeof key, i == refused ? "s" : "v%d", i);
        for (int j = 0; j < 2; j++)
            snprintf(ids[i][j], sizeof ids[i][j], "e%d-%d-%d", refused, i, j);
        if (i == refused)
            well = kv(c)->member_put(&works[i].view, key, "m", 1, &c->error) == FH_OK && well;
        well = puts_one(c, &works[i], i == refused ? "other" : key, "1", ids[i][0]) && well;
        well = puts_one(c, &works[i], i == refused ? "other" : key, "2", ids[i][1]) && well;
    }
    commit_all(c, works, MANY);
    for (int i = 0; i < MANY; i++) {
        int64_t first = position(c, ids[i][0]), second = position(c, ids[i][1]);
        done += works[i].code == FH_OK;
        if (i == refused) {
            well = works[i].code == FH_CONFLICT && well;
            continue;
        }
        well = well && works[i].code == FH_OK && second == first + 1 && first > 0 &&
               second <= 2 * MANY && !seen[first] && !seen[second];
        if (well)
            seen[first] = seen[second] = true;
    }
    return well && done == MANY - (refused >= 0);
}

static void events_of_many_units_of_work_have_a_position_each(struct conformance *c)
{
    EXPECT(puts_value(c, "s", "7"));
    EXPECT(publish_all(c, -1) && holds(c, "v0", "2") && holds(c, "v39", "2"));
}

static void
events_of_units_of_work_next_to_a_refused_one_have_a_position_each(struct conformance *c)
{
    EXPECT(puts_value(c, "s", "7"));
    EXPECT(publish_all(c, 5) && holds(c, "v4", "2") && holds(c, "v6", "2"));
    EXPECT(holds(c, "other", NULL) && holds(c, "s", "7"));
}

/* ---- The link dies in their call ---- */

/* Three units of work, of which the last conflicts with the one before, over a link that does `cut`
 * to their call. What is held arrives when everything is settled. */
static bool commit_over(struct conformance *c, enum link_cut cut, struct committing works[3])
{
    struct link link = {0};
    json_t *server = redis_server(&c->harness);
    json_int_t port = json_integer_value(json_object_get(server, "port"));
    struct store *direct = c->store, *linked = NULL;
    bool well = link_open(&link, c->harness.world, (int)port, "EVALSHA");
    json_object_set_new(server, "port", json_integer(link.port));
    well = well && redis_open_with(&c->harness, server, &linked, &c->error) == FH_OK;
    if (!link_used(&link, well))
        return false;
    c->store = linked;
    begin_all(c, works, 3);
    well = puts_one(c, &works[0], "a", "1", "e1") && reads_and_puts(c, &works[1], "1") &&
           reads_and_puts(c, &works[2], "2");
    link.next = cut;
    well = commit_all(c, works, 3) && well;
    if (cut == LINK_HELD)
        link_release(&link);
    if (works[0].code == FH_OK)
        well = well && position(c, "e1") == 1;
    store_close(linked);
    link_close(&link);
    c->store = direct;
    return well;
}

static void units_of_work_whose_answers_were_lost_are_known_one_by_one(struct conformance *c)
{
    struct committing works[3];
    EXPECT(commit_over(c, LINK_CUT_AFTER, works));
    EXPECT(works[0].code == FH_OK && works[1].code == FH_OK && is_conflict(&works[2]));
    EXPECT(holds(c, "a", "1") && holds(c, "n", "1"));
}

static void units_of_work_whose_call_never_arrived_are_all_rerun(struct conformance *c)
{
    struct committing works[3];
    EXPECT(commit_over(c, LINK_CUT_BEFORE, works));
    EXPECT(is_conflict(&works[0]) && is_conflict(&works[1]) && is_conflict(&works[2]));
    EXPECT(holds(c, "a", NULL) && holds(c, "n", NULL));
}

static void units_of_work_whose_call_comes_late_do_nothing(struct conformance *c)
{
    struct committing works[3];
    EXPECT(commit_over(c, LINK_HELD, works));
    EXPECT(is_conflict(&works[0]) && is_conflict(&works[1]) && is_conflict(&works[2]));
    EXPECT(holds(c, "a", NULL) && holds(c, "n", NULL));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(small_units_of_work_share_a_connection_and_large_ones_take_others),
        CASE(what_a_lost_connection_had_to_send_is_not_sent_on_the_next),
        CASE(links_that_are_dead_when_a_call_is_sent_do_no_harm),
        CASE(a_hash_is_unchanged_in_whichever_order_it_is_read),
        CASE(units_of_work_of_one_call_succeed_or_fail_each_for_itself),
        CASE(a_unit_of_work_that_fails_in_the_script_leaves_the_others_committed),
        CASE(hashes_of_one_call_change_and_end_each_by_its_own_unit_of_work),
        CASE(more_units_of_work_than_a_call_takes_are_each_done_once),
        CASE(events_of_many_units_of_work_have_a_position_each),
        CASE(events_of_units_of_work_next_to_a_refused_one_have_a_position_each),
        CASE(units_of_work_whose_answers_were_lost_are_known_one_by_one),
        CASE(units_of_work_whose_call_never_arrived_are_all_rerun),
        CASE(units_of_work_whose_call_comes_late_do_nothing),
    };
    return conformance_main_of("redis", FH_KEY_VALUE, rows, sizeof rows / sizeof *rows);
}
