/* SPDX-License-Identifier: Apache-2.0 */
/* Where the server is, and who we are there, as the engine's links take it. What is wrong with an
 * option is told without repeating it: it may be the password. */

#include <string.h>

#include "base/json.h"
#include "carrier/postgresql/internal.h"
#include "store/socket.h"
#include "store/tls.h"

#define IDLE_MS                                                                                    \
    5000 /* within a transaction: a process that stands still holds nothing for longer */

static enum fh_code check_curves_text(const json_t *options, const char *name, size_t length_max,
                                      bool needed, struct fh_error *error)
{
    const json_t *value = json_object_get(options, name);
    if (needed && !json_string_length(value))
        return error_set(error, FH_INVALID,
                         "PostgreSQL has no \"%s\", which a server of series needs.", name);
    if (value && !json_is_string(value))
        return error_set(error, FH_INVALID, "\"%s\" of PostgreSQL must be a text.", name);
    if (json_string_length(value) > length_max)
        return error_set(error, FH_INVALID, "\"%s\" of PostgreSQL is longer than %zu bytes.", name,
                         length_max);
    return FH_OK;
}

static enum fh_code check_curves_port(const json_t *options, struct fh_error *error)
{
    const json_t *value = json_object_get(options, "port");
    json_int_t port = json_integer_value(value);
    if (value && (!json_is_integer(value) || port < 1 || port > 65535))
        return error_set(error, FH_INVALID,
                         "\"port\" of PostgreSQL must be a number from 1 to 65535.");
    return FH_OK;
}

enum fh_code curves_options_read(const json_t *options, json_t **ret, struct fh_error *error)
{
    static const char *const members[] = {"host",     "port", "database", "user",
                                          "password", "tls",  NULL};
    *ret = NULL;
    enum fh_code code = check_curves_text(options, "database", 63, true, error);
    if (code == FH_OK)
        code = check_curves_text(options, "user", 63, true, error);
    if (code == FH_OK)
        code = check_curves_text(options, "password", 255, false, error);
    if (code == FH_OK)
        code = check_curves_text(options, "host", STORE_HOST_SIZE - 1, false, error);
    if (code == FH_OK)
        code = check_curves_port(options, error);
    if (code != FH_OK)
        return code;
    *ret = json_pack("{s:i}", "idle_ms", IDLE_MS);
    for (const char *const *member = members; *member; member++)
        json_object_set(*ret, *member, json_object_get(options, *member));
    return FH_OK;
}

enum fh_code curves_check(const json_t *options, struct fh_error *error)
{
    json_t *read;
    struct store_tls tls;
    enum fh_code code = curves_options_read(options, &read, error);
    if (code == FH_OK && store_tls_read(read, &tls, error) != FH_OK)
        code = error->code = FH_INVALID;
    if (code == FH_OK)
        code = postgresql_links_check(read, error);
    json_decref(read);
    return code;
}
