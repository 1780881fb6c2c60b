/* SPDX-License-Identifier: Apache-2.0 */
/* The server in memory. */

#include "carried_bed.h"

#include "../support/carried_server.h"

static struct carried_server *open_memory(struct harness *harness, char ret_why[static 160])
{
    (void)harness;
    (void)ret_why;
    return &memory_server_new()->base;
}

static void close_memory(struct carried_server *server)
{
    memory_server_free((struct memory_server *)server);
}

static void settle_memory(struct carried_server *server, const struct fh_derived *declared,
                          const struct carried_name *generation)
{
    (void)server;
    (void)declared;
    (void)generation;
}

static void contents_of_memory(const json_t *answer, char ret[static BED_TEXT_SIZE])
{
    snprintf(ret, BED_TEXT_SIZE, "%s", json_string_value(answer));
}

static json_t *bad_for_memory(void)
{
    return json_pack("{s:s, s:i}", "name", "bad secret", "size", 1);
}

static void wipe_memory(struct carried_server *server, const struct fh_derived *declared)
{
    (void)declared;
    memory_empty((struct memory_server *)server);
}

static enum fh_code die_within_memory(struct carried_server *server,
                                      const struct fh_derived *declared,
                                      const struct carried_name *generation,
                                      struct carried_page *page, struct fh_error *error)
{
    ((struct memory_server *)server)->fault = MEMORY_BEGINNING;
    return server->ops->send(server, declared, generation, page, error);
}

const struct carried_bed carried_bed_memory = {
    .name = "memory",
    .models = 1u << FH_SEARCH | 1u << FH_SERIES | 1u << FH_COLUMNS,
    .keeps = 1u << FH_SERIES | 1u << FH_COLUMNS,
    .open = open_memory,
    .close = close_memory,
    .settle = settle_memory,
    .contents = contents_of_memory,
    .bad = bad_for_memory,
    .wipe = wipe_memory,
    .die_within = die_within_memory,
};
