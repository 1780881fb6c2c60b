/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a server: a client of HTTP of its own, with its authority and its user. */

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/driver.h"
#include "carrier/influxdb/internal.h"
#include "world/real.h"

static const struct carried_server_ops influxdb_ops = {
    .name = "influxdb",
    .models = 1u << FH_SERIES,
    .page_ops = INFLUXDB_PAGE_OPS,
    .make = influxdb_make,
    .write = influxdb_write_page,
    .unwrite = influxdb_unwrite_page,
    .send = influxdb_send,
    .links = influxdb_links,
    .generations = influxdb_generations,
    .drop = influxdb_drop,
    .series = influxdb_series,
    .settles = influxdb_settles,
    .count = influxdb_count,
    .trim = influxdb_trim,
};

/* "Basic dXNlcjpwYXNz" */
static void influxdb_authorize(struct influxdb *server)
{
    static const char scheme[] = "Basic ";
    const struct influxdb_options *options = &server->options;
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
static enum fh_code open_influxdb_client(struct influxdb *server, struct fh_error *error)
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

static enum fh_code take_influxdb_owner(struct influxdb *server, const char *owner,
                                        struct fh_error *error)
{
    size_t length = strspn(owner, "abcdefghijklmnopqrstuvwxyz0123456789_-.");
    if (!length || owner[length] || length >= sizeof server->owner || strchr("-_.", owner[0]))
        return error_set(error, FH_INVALID, "\"%.100s\" can't be a database's name.", owner);
    memcpy(server->owner, owner, length + 1);
    return FH_OK;
}

enum fh_code influxdb_open(struct world *world, const json_t *options, const char *owner,
                           struct carried_server **ret, struct fh_error *error)
{
    struct influxdb *server = calloc(1, sizeof *server);
    *ret = NULL;
    if (!server)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a link to InfluxDB.");
    server->base.ops = &influxdb_ops;
    server->world = world;
    server->links_max = INFLUXDB_LINKS_MAX;
    enum fh_code code = influxdb_options_read(options, &server->options, error);
    const char *host = server->options.host;
    bool digits6 = strchr(host, ':') != NULL;
    snprintf(server->base_url, sizeof server->base_url, "http%s://%s%s%s:%d",
             server->options.tls.verify ? "s" : "", digits6 ? "[" : "", host, digits6 ? "]" : "",
             server->options.port);
    influxdb_authorize(server);
    if (code == FH_OK)
        code = take_influxdb_owner(server, owner, error);
    if (code == FH_OK)
        code = open_influxdb_client(server, error);
    if (code == FH_OK)
        *ret = &server->base;
    else
        influxdb_close(&server->base);
    return code;
}

void influxdb_silence(struct carried_server *base)
{
    struct influxdb *server = influxdb_of(base);
    struct http_client *client = server->client;
    server->silent = true;
    server->client = NULL;
    http_client_free(client);
}

void influxdb_close(struct carried_server *base)
{
    struct influxdb *server = influxdb_of(base);
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

extern const struct carried_driver carried_influxdb;
const struct carried_driver carried_influxdb = {
    .name = "influxdb",
    .title = "InfluxDB",
    .models = 1u << FH_SERIES,
    .keeps = 1u << FH_SERIES,
    .from_ms = INFLUXDB_AT_MS_MIN,
    .to_ms = INFLUXDB_AT_MS_MAX,
    .port = INFLUXDB_PORT,
    .server = &influxdb_server,
    .check = influxdb_check,
    .open = influxdb_open,
    .silence = influxdb_silence,
    .close = influxdb_close,
};
