/* SPDX-License-Identifier: Apache-2.0 */
/* Where the server is, and who we are there. What is wrong with an option is told without repeating
 * it: it may be the password. */

#include <arpa/inet.h>
#include <string.h>

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

static enum fh_code take_clickhouse_text(const json_t *options, const char *name,
                                         const char *otherwise, char *ret, size_t size,
                                         struct fh_error *error)
{
    const json_t *value = json_object_get(options, name);
    if (value && !json_is_string(value))
        return error_set(error, FH_INVALID, "\"%s\" of ClickHouse must be a text.", name);
    const char *text = value ? json_string_value(value) : otherwise;
    if (strlen(text) >= size)
        return error_set(error, FH_INVALID, "\"%s\" of ClickHouse is longer than %zu bytes.", name,
                         size - 1);
    memcpy(ret, text, strlen(text) + 1);
    return FH_OK;
}

static enum fh_code take_clickhouse_number(const json_t *options, const char *name, int otherwise,
                                           int least, int most, int *ret, struct fh_error *error)
{
    const json_t *value = json_object_get(options, name);
    json_int_t number = value ? json_integer_value(value) : otherwise;
    if ((value && !json_is_integer(value)) || number < least || number > most)
        return error_set(error, FH_INVALID, "\"%s\" of ClickHouse must be a number from %d to %d.",
                         name, least, most);
    *ret = (int)number;
    return FH_OK;
}

/* A ':' is of an address of IPv6 alone. */
static bool is_clickhouse_host(const char *host)
{
    unsigned char address[16];
    return inet_pton(AF_INET6, host, address) == 1 || (*host && !strpbrk(host, "/:@?#\\[] "));
}

static enum fh_code check_clickhouse_options(const struct clickhouse_options *options,
                                             struct fh_error *error)
{
    if (!is_clickhouse_host(options->host))
        return error_set(error, FH_INVALID,
                         "\"host\" of ClickHouse must be a host's name or address, without a "
                         "scheme, a user or a port.");
    if (strchr(options->user, ':'))
        return error_set(error, FH_INVALID, "\"user\" of ClickHouse can have no ':'.");
    if (!options->user[0] != !options->password[0])
        return error_set(error, FH_INVALID,
                         "ClickHouse has one of \"user\" and \"password\"; they go together.");
    return FH_OK;
}

enum fh_code clickhouse_options_read(const json_t *options, struct clickhouse_options *ret,
                                     struct fh_error *error)
{
    *ret = (struct clickhouse_options){0};
    enum fh_code code =
        take_clickhouse_text(options, "host", "127.0.0.1", ret->host, sizeof ret->host, error);
    if (code == FH_OK)
        code = take_clickhouse_text(options, "user", "", ret->user, sizeof ret->user, error);
    if (code == FH_OK)
        code = take_clickhouse_text(options, "password", "", ret->password, sizeof ret->password,
                                    error);
    if (code == FH_OK)
        code =
            take_clickhouse_number(options, "port", CLICKHOUSE_PORT, 1, 65535, &ret->port, error);
    if (code == FH_OK)
        code = take_clickhouse_number(options, "interval_ms", CLICKHOUSE_INTERVAL_MS, 0,
                                      CLICKHOUSE_INTERVAL_MS_MAX, &ret->interval_ms, error);
    if (code == FH_OK)
        code = take_clickhouse_number(options, "settle_s", CLICKHOUSE_SETTLE_S, 0,
                                      CLICKHOUSE_SETTLE_S_MAX, &ret->settle_s, error);
    if (code == FH_OK)
        code = store_tls_read(options, &ret->tls, error);
    return code == FH_OK ? check_clickhouse_options(ret, error) : code;
}

enum fh_code clickhouse_check(const json_t *options, struct fh_error *error)
{
    struct clickhouse_options read;
    return clickhouse_options_read(options, &read, error);
}
