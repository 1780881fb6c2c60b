/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many works of one process at once on Redis: which connections they take, and that each of them
 * stands for itself, whatever becomes of those that go to the server with it.
 */

#include "engine_redis.h"

#include <stdlib.h>

#include "keyvalue.h"

#define FIBERS 8

struct together {
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
    struct together *together = argument;
    char key[16], *text = malloc(together->size + 3);
    struct fh_error error;
    struct keyvalue_view view = {NULL, world_wall_ms(together->c->harness.world)};
    FH_ASSERT(text != NULL);
    memset(text, 'a', together->size + 2);
    text[0] = text[together->size + 1] = '"';
    text[together->size + 2] = '\0';
    snprintf(key, sizeof key, "v%d", together->number++);
    if (store_begin(together->c->store, STORE_WRITE, &view.work, &error) == FH_OK &&
        redis_keyvalue.put(&view, key, text, false, &error) == FH_OK)
        together->done += store_commit(view.work, &error) == FH_OK;
    free(text);
}

static bool all_put(struct conformance *c, size_t size)
{
    struct together together = {.c = c, .size = size};
    for (int i = 0; i < FIBERS; i++)
        conformance_start(c, put_one, &together);
    conformance_join(c);
    return together.done == FIBERS;
}

static void small_works_share_a_connection_and_large_ones_take_others(struct conformance *c)
{
    EXPECT(all_put(c, 10) && connections_up(c) == 1);
    EXPECT(all_put(c, REDIS_PIECE_SIZE) && connections_up(c) > 1);
}

/* ---- A connection that goes
 * ----------------------------------------------------------------------
 */

static void read_one(void *argument)
{
    struct together *together = argument;
    redisReply *reply = NULL;
    struct redis_words question, commands;
    redis_words_init(&question);
    redis_words_init(&commands);
    redis_word(&question, "PING");
    redis_command_of(&commands, &question);
    if (redis_read(redis_of(together->c->store), &commands, &reply, NULL) == FH_OK) {
        together->done += redis_is(reply, REDIS_REPLY_STATUS) && strcmp(reply->str, "PONG") == 0;
        hiredis.freeReplyObject(reply);
    }
    redis_words_release(&question);
    redis_words_release(&commands);
}

static void lose_all(void *argument)
{
    struct together *together = argument;
    struct redis *redis = redis_of(together->c->store);
    for (int i = 0; i < redis->options.connections; i++)
        redis_connection_close(&redis->connections[i]);
}

/* It would be sent on a link that is being made, before anybody has said who we are. */
static void what_a_lost_connection_had_to_send_is_not_sent_on_the_next(struct conformance *c)
{
    struct together together = {.c = c};
    conformance_start(c, read_one, &together);
    conformance_start(c, lose_all, &together);
    for (int i = 0; i < FIBERS; i++)
        conformance_start(c, read_one, &together);
    conformance_join(c);
    EXPECT(together.done == FIBERS + 1);
}

/* ---- What was read, told in another order -----------------------------------------------------
 */

/* A hash with a long text is kept as a table, which the server lists in one order when it is
 * scanned and in another when it is asked for as a whole. */
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

static void a_hash_is_found_so_still_in_whichever_order_it_is_told(struct conformance *c)
{
    EXPECT(has_a_table(c));
    EXPECT(commit_behind_fields(c, NULL) == FH_OK);
    EXPECT(commit_behind_fields(c, "f7") == FH_CONFLICT && c->error.retryable);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(small_works_share_a_connection_and_large_ones_take_others),
        CASE(what_a_lost_connection_had_to_send_is_not_sent_on_the_next),
        CASE(a_hash_is_found_so_still_in_whichever_order_it_is_told),
    };
    return conformance_main_of("redis", FH_KEY_VALUE, rows, sizeof rows / sizeof *rows);
}
