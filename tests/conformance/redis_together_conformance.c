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

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(small_works_share_a_connection_and_large_ones_take_others),
    };
    return conformance_main_of("redis", FH_KEY_VALUE, rows, sizeof rows / sizeof *rows);
}
