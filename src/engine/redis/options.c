/* SPDX-License-Identifier: Apache-2.0 */
/* Where the server is and who we are there, from a configuration's "store". What is wrong is told
 * without repeating it: it may be the password. */

#include <string.h>

#include "base/json.h"
#include "engine/redis/internal.h"

static enum fh_code copy_option(const json_t *server, const char *name, const char *otherwise,
                                char *ret, size_t size, struct fh_error *error)
{
    const char *text = json_string_at(server, name);
    if (!text)
        text = otherwise;
    if (!text)
        return error_set(error, FH_UNSUPPORTED,
                         "The configuration's \"store\" has no \"%s\", which Redis needs.", name);
    if (strlen(text) >= size)
        return error_set(error, FH_UNSUPPORTED,
                         "\"%s\" in the configuration's \"store\" is longer than %zu characters.",
                         name, size - 1);
    memcpy(ret, text, strlen(text) + 1);
    return FH_OK;
}

static enum fh_code number_option(const json_t *server, const char *name, int otherwise, int most,
                                  int *ret, struct fh_error *error)
{
    const json_t *value = json_object_get(server, name);
    json_int_t integer = otherwise;
    if (value &&
        (!json_is_integer(value) || (integer = json_integer_value(value)) < 1 || integer > most))
        return error_set(error, FH_UNSUPPORTED,
                         "\"%s\" in the configuration's \"store\" must be a number from 1 to %d.",
                         name, most);
    *ret = (int)integer;
    return FH_OK;
}

static enum fh_code read_rest(const json_t *server, struct redis_options *ret,
                              struct fh_error *error)
{
    const char *syncs = json_string_at(server, "appendfsync");
    enum fh_code code = store_tls_read(server, &ret->tls, error);
    if (code)
        return code;
    if (ret->password[0] && ret->host[0] != '/' && !ret->tls.verify &&
        !json_string_at(server, "tls.mode"))
        return error_set(error, FH_INVALID,
                         "Whoever takes the port of the store's Redis server when that has ended "
                         "would be told the password. The configuration's \"store\" needs the "
                         "server's socket as \"host\", or \"tls\" with the \"mode\" \"verify\"; "
                         "or accept that with \"off\".");
    if (syncs && strcmp(syncs, "always") != 0 && strcmp(syncs, "everysec") != 0)
        return error_set(error, FH_UNSUPPORTED,
                         "\"appendfsync\" in the configuration's \"store\" is always or everysec.");
    ret->every_second = syncs && strcmp(syncs, "everysec") == 0;
    if (!ret->prefix[0] || strpbrk(ret->prefix, ":*?[]\\ "))
        return error_set(error, FH_UNSUPPORTED,
                         "\"database\" in the configuration's \"store\" begins all keys on Redis, "
                         "and holds no colon, space, *, ?, [, ] or \\.");
    return FH_OK;
}

enum fh_code redis_options_read(const json_t *server, struct redis_options *ret,
                                struct fh_error *error)
{
    enum fh_code code =
        copy_option(server, "host", "127.0.0.1", ret->host, sizeof ret->host, error);
    if (!code)
        code = copy_option(server, "database", NULL, ret->prefix, sizeof ret->prefix, error);
    if (!code)
        code = copy_option(server, "user", "", ret->user, sizeof ret->user, error);
    if (!code)
        code = copy_option(server, "password", "", ret->password, sizeof ret->password, error);
    if (!code)
        code = number_option(server, "port", 6379, 65535, &ret->port, error);
    if (!code)
        code = number_option(server, "connections", REDIS_CONNECTIONS, REDIS_CONNECTIONS_MAX,
                             &ret->connections, error);
    return code ? code : read_rest(server, ret, error);
}
