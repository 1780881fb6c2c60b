/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a server: a client of HTTP of its own, with its authority and its user. */

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/driver.h"
#include "carrier/clickhouse/internal.h"
#include "world/real.h"

static const struct carried_server_ops clickhouse_ops = {
    .name = "clickhouse",
    .models = 1u << FH_COLUMNS,
    .page_ops = CLICKHOUSE_PAGE_OPS,
    .page_size = CLICKHOUSE_PAGE_SIZE,
    .make = clickhouse_make,
    .write = clickhouse_write_page,
    .unwrite = clickhouse_unwrite_page,
    .send = clickhouse_send,
    .links = clickhouse_links,
    .generations = clickhouse_generations,
    .drop = clickhouse_drop,
    .columns = clickhouse_columns,
    .settles = clickhouse_settles,
    .count = clickhouse_count,
    .trim = clickhouse_trim,
};

/* "Basic dXNlcjpwYXNz" */
static void clickhouse_authorize(struct clickhouse *server)
{
    static const char scheme[] = "Basic ";
    const struct clickhouse_options *options = &server->options;
    char plain[sizeof options->user + sizeof options->password + 1];
    if (!options->user[0])
        return;
    int length = snprintf(plain, sizeof plain, "%s:%s", options->user, options->password);
    size_t size = sodium_base64_ENCODED_LEN((size_t)length, sodium_base64_VARIANT_ORIGINAL);
    server->authorization = malloc(sizeof scheme - 1 + size);
    FH_ASSERT(server->authorization != NULL);
    memcpy(server->authorization, scheme, sizeof scheme - 1);
    sodium_bin2base64(server->authorization + sizeof scheme - 1, size, (unsigned char *)plain,
                      (size_t)length, sodium_base64_VARIANT_ORIGINAL);
    sodium_memzero(plain, sizeof plain);
}

/* In a world that has no loop of libuv, a simulated one, the world sends what is for outside. */
static enum fh_code open_clickhouse_client(struct clickhouse *server, struct fh_error *error)
{
    const struct store_tls *tls = &server->options.tls;
    uv_loop_t *loop = world_real_loop(server->world);
    enum fh_code code = FH_OK;
    if (tls->verify)
        code = http_tls_read_trust(tls->ca, tls->certificate, tls->key, &server->trust, error);
    if (code == FH_OK && loop)
        code = http_client_new(loop, server->world, &server->client, error);
    if (code != FH_OK || !loop)
        return code;
    http_client_go_outside(server->client,
                           &(struct outside_rules){.anywhere = true, .plain = !tls->verify});
    if (tls->verify)
        http_client_trust(server->client, &server->trust);
    return FH_OK;
}

static enum fh_code take_clickhouse_owner(struct clickhouse *server, const char *owner,
                                          struct fh_error *error)
{
    size_t length = strspn(owner, "abcdefghijklmnopqrstuvwxyz0123456789_-.");
    if (!length || owner[length] || length >= sizeof server->owner || strchr("-_.", owner[0]))
        return error_set(error, FH_INVALID, "\"%.100s\" can't be the name of a database.", owner);
    memcpy(server->owner, owner, length + 1);
    return FH_OK;
}

enum fh_code clickhouse_open(struct world *world, const json_t *options, const char *owner,
                             struct carried_server **ret, struct fh_error *error)
{
    struct clickhouse *server = calloc(1, sizeof *server);
    *ret = NULL;
    if (!server)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a link to ClickHouse.");
    server->base.ops = &clickhouse_ops;
    server->world = world;
    server->divided_facts = CLICKHOUSE_DIVIDED_FACTS;
    enum fh_code code = clickhouse_options_read(options, &server->options, error);
    const char *host = server->options.host;
    bool digits6 = strchr(host, ':') != NULL;
    snprintf(server->base_url, sizeof server->base_url, "http%s://%s%s%s:%d",
             server->options.tls.verify ? "s" : "", digits6 ? "[" : "", host, digits6 ? "]" : "",
             server->options.port);
    clickhouse_authorize(server);
    if (code == FH_OK)
        code = take_clickhouse_owner(server, owner, error);
    if (code == FH_OK)
        code = open_clickhouse_client(server, error);
    if (code == FH_OK)
        *ret = &server->base;
    else
        clickhouse_close(&server->base);
    return code;
}

void clickhouse_silence(struct carried_server *base)
{
    struct clickhouse *server = clickhouse_of(base);
    struct http_client *client = server->client;
    server->silent = true;
    server->client = NULL;
    http_client_free(client);
}

void clickhouse_close(struct carried_server *base)
{
    struct clickhouse *server = clickhouse_of(base);
    if (!server)
        return;
    http_client_free(server->client);
    if (server->authorization)
        sodium_memzero(server->authorization, strlen(server->authorization));
    free(server->authorization);
    http_tls_release(&server->trust);
    sodium_memzero(&server->options, sizeof server->options);
    free(server);
}

extern const struct carried_driver carried_clickhouse;
const struct carried_driver carried_clickhouse = {
    .name = "clickhouse",
    .title = "ClickHouse",
    .models = 1u << FH_COLUMNS,
    .keeps = 1u << FH_COLUMNS,
    .port = CLICKHOUSE_PORT,
    .options = "interval_ms settle_s",
    .server = &clickhouse_server,
    .check = clickhouse_check,
    .open = clickhouse_open,
    .silence = clickhouse_silence,
    .close = clickhouse_close,
};
