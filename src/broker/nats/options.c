/* SPDX-License-Identifier: Apache-2.0 */
/* Where the server is, who we are there, and how long it keeps messages. What is wrong is told
 * without repeating it: it may be the password. */

#include <string.h>

#include "base/json.h"
#include "broker/nats/internal.h"

#define KEEP_S (24 * 60 * 60)

static enum fh_code copy_bus_option(const json_t *options, const char *name, char *ret, size_t size,
                                    struct fh_error *error)
{
    const json_t *value = json_object_get(options, name);
    if (value && !json_is_string(value))
        return error_set(error, FH_INVALID, "\"%s\" of the bus must be a text.", name);
    const char *text = value ? json_string_value(value) : "";
    if (strlen(text) >= size)
        return error_set(error, FH_INVALID, "\"%s\" of the bus is longer than %zu bytes.", name,
                         size - 1);
    memcpy(ret, text, strlen(text) + 1);
    return FH_OK;
}

static enum fh_code number_bus_option(const json_t *options, const char *name, int64_t otherwise,
                                      int64_t most, int64_t *ret, struct fh_error *error)
{
    const json_t *value = json_object_get(options, name);
    *ret = value ? json_integer_value(value) : otherwise;
    if (value && (!json_is_integer(value) || *ret < 1 || *ret > most))
        return error_set(error, FH_INVALID, "\"%s\" of the bus must be a number from 1 to %lld.",
                         name, (long long)most);
    return FH_OK;
}

static enum fh_code read_numbers(const json_t *options, struct nats_options *ret,
                                 struct fh_error *error)
{
    int64_t port = 0, replicas = 0;
    enum fh_code code = number_bus_option(options, "port", NATS_PORT, 65535, &port, error);
    if (!code)
        code = number_bus_option(options, "replicas", 1, 5, &replicas, error);
    if (!code)
        code = number_bus_option(options, "keep_s", KEEP_S, INT64_C(10) * 366 * 86400, &ret->keep_s,
                                 error);
    if (!code)
        code = number_bus_option(options, "keep_bytes", NATS_KEEP_BYTES, INT64_C(1) << 50,
                                 &ret->keep_bytes, error);
    ret->port = (int)port;
    ret->replicas = (int)replicas;
    return code;
}

enum fh_code nats_options_read(const json_t *options, struct nats_options *ret,
                               struct fh_error *error)
{
    *ret = (struct nats_options){0};
    enum fh_code code = copy_bus_option(options, "host", ret->host, sizeof ret->host, error);
    if (!code)
        code = copy_bus_option(options, "user", ret->user, sizeof ret->user, error);
    if (!code)
        code = copy_bus_option(options, "password", ret->password, sizeof ret->password, error);
    if (!code)
        code = copy_bus_option(options, "token", ret->token, sizeof ret->token, error);
    if (!code)
        code = read_numbers(options, ret, error);
    if (!code)
        code = store_tls_read(options, &ret->tls, error);
    if (code)
        return code;
    if (!ret->host[0])
        memcpy(ret->host, "127.0.0.1", sizeof "127.0.0.1");
    if (strpbrk(ret->host, "/@ "))
        return error_set(error, FH_INVALID,
                         "\"host\" of the bus must be a host's name or address, without a scheme, "
                         "a user or a port.");
    if (ret->token[0] && ret->user[0])
        return error_set(error, FH_INVALID,
                         "The bus has both a \"token\" and a \"user\": NATS takes one of them.");
    return FH_OK;
}
