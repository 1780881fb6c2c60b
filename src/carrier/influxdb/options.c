/* SPDX-License-Identifier: Apache-2.0 */
/* Where the server is, and who we are there. What is wrong with an option is told without repeating
 * it: it may be the password. */

#include <arpa/inet.h>
#include <string.h>

#include "base/json.h"
#include "carrier/influxdb/internal.h"

static enum fh_code influxdb_option_text(const json_t *options, const char *name,
                                         const char *otherwise, char *ret, size_t size,
                                         struct fh_error *error)
{
    const json_t *value = json_object_get(options, name);
    if (value && !json_is_string(value))
        return error_set(error, FH_INVALID, "\"%s\" of InfluxDB must be a text.", name);
    const char *text = value ? json_string_value(value) : otherwise;
    if (strlen(text) >= size)
        return error_set(error, FH_INVALID, "\"%s\" of InfluxDB is longer than %zu bytes.", name,
                         size - 1);
    memcpy(ret, text, strlen(text) + 1);
    return FH_OK;
}

static enum fh_code influxdb_option_port(const json_t *options, int *ret, struct fh_error *error)
{
    const json_t *value = json_object_get(options, "port");
    json_int_t port = value ? json_integer_value(value) : INFLUXDB_PORT;
    if ((value && !json_is_integer(value)) || port < 1 || port > 65535)
        return error_set(error, FH_INVALID,
                         "\"port\" of InfluxDB must be a number from 1 to 65535.");
    *ret = (int)port;
    return FH_OK;
}

/* A ':' is of an address of IPv6 alone. */
static bool is_influxdb_host(const char *host)
{
    unsigned char address[16];
    return inet_pton(AF_INET6, host, address) == 1 || (*host && !strpbrk(host, "/:@?#\\[] "));
}

static enum fh_code check_influxdb_options(const struct influxdb_options *options,
                                           struct fh_error *error)
{
    if (!is_influxdb_host(options->host))
        return error_set(error, FH_INVALID,
                         "\"host\" of InfluxDB must be a host's name or address, without a "
                         "scheme, a user or a port.");
    if (strchr(options->user, ':'))
        return error_set(error, FH_INVALID, "\"user\" of InfluxDB can have no ':'.");
    if (!options->user[0] != !options->password[0])
        return error_set(error, FH_INVALID,
                         "InfluxDB has one of \"user\" and \"password\"; they go together.");
    return FH_OK;
}

enum fh_code influxdb_options_read(const json_t *options, struct influxdb_options *ret,
                                   struct fh_error *error)
{
    *ret = (struct influxdb_options){0};
    enum fh_code code =
        influxdb_option_text(options, "host", "127.0.0.1", ret->host, sizeof ret->host, error);
    if (code == FH_OK)
        code = influxdb_option_text(options, "user", "", ret->user, sizeof ret->user, error);
    if (code == FH_OK)
        code = influxdb_option_text(options, "password", "", ret->password, sizeof ret->password,
                                    error);
    if (code == FH_OK)
        code = influxdb_option_port(options, &ret->port, error);
    if (code == FH_OK)
        code = store_tls_read(options, &ret->tls, error);
    return code == FH_OK ? check_influxdb_options(ret, error) : code;
}

enum fh_code influxdb_check(const json_t *options, struct fh_error *error)
{
    struct influxdb_options read;
    return influxdb_options_read(options, &read, error);
}
