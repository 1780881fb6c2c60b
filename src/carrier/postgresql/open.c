/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's tables, and a server as it is opened: its links are made when they are needed. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "carrier/postgresql/internal.h"

static const struct carried_server_ops curves_ops = {
    .name = "postgresql",
    .models = 1u << FH_SERIES,
    .page_ops = CURVES_PAGE_OPS,
    .page_size = CURVES_PAGE_SIZE,
    .make = curves_make,
    .write = curves_write_page,
    .unwrite = curves_unwrite_page,
    .send = curves_send,
    .links = curves_chain,
    .generations = curves_generations,
    .drop = curves_drop,
    .series = curves_series,
    .settles = curves_settles,
    .count = curves_count,
    .trim = curves_trim,
};

static enum fh_code take_curves_owner(struct curves_server *server, const char *owner,
                                      struct fh_error *error)
{
    size_t length = strspn(owner, "abcdefghijklmnopqrstuvwxyz0123456789_-.");
    if (!length || owner[length] || length >= sizeof server->owner)
        return error_set(error, FH_INVALID, "\"%.100s\" can't begin the names of a schema.", owner);
    memcpy(server->owner, owner, length + 1);
    return FH_OK;
}

enum fh_code curves_open(struct world *world, const json_t *options, const char *owner,
                         struct carried_server **ret, struct fh_error *error)
{
    json_t *read;
    *ret = NULL;
    enum fh_code code = curves_options_read(options, &read, error);
    if (code != FH_OK)
        return code;
    struct curves_server *server = calloc(1, sizeof *server);
    FH_ASSERT(server != NULL);
    server->base.ops = &curves_ops;
    server->world = world;
    server->carrying.count = CURVES_CARRYING;
    server->asking.count = CURVES_ASKING;
    const char *host = json_string_at(read, "host");
    const json_t *port = json_object_get(read, "port");
    snprintf(server->at, sizeof server->at, "%s:%d", host ? host : "127.0.0.1",
             port ? (int)json_integer_value(port) : CURVES_PORT);
    code = take_curves_owner(server, owner, error);
    if (code == FH_OK)
        code = postgresql_links_new(world, read, &server->links, error);
    json_decref(read);
    if (code == FH_OK)
        *ret = &server->base;
    else
        curves_close(&server->base);
    return code;
}

void curves_silence(struct carried_server *base)
{
    struct curves_server *server = curves_of(base);
    postgresql_links_end(server->links);
    curves_pool_end(&server->carrying);
    curves_pool_end(&server->asking);
}

void curves_close(struct carried_server *base)
{
    struct curves_server *server = curves_of(base);
    if (!server)
        return;
    curves_pool_release(&server->carrying);
    curves_pool_release(&server->asking);
    postgresql_links_free(server->links);
    free(server);
}

extern const struct carried_driver carried_postgresql;
const struct carried_driver carried_postgresql = {
    .name = "postgresql",
    .title = "PostgreSQL",
    .models = 1u << FH_SERIES,
    .keeps = 1u << FH_SERIES,
    .port = CURVES_PORT,
    .options = "database",
    .check = curves_check,
    .open = curves_open,
    .silence = curves_silence,
    .close = curves_close,
};
