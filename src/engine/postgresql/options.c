/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the configuration's "store" for PostgreSQL (docs/operate/engines/postgresql.md). */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "engine/postgresql/internal.h"

static enum fh_code postgresql_copy_option(const json_t *server, const char *name,
                                           const char *otherwise, char *ret, size_t size,
                                           struct fh_error *error)
{
    const char *text = json_string_at(server, name);
    if (!text)
        text = otherwise;
    if (!text)
        return error_set(error, FH_UNSUPPORTED,
                         "The configuration's \"store\" has no \"%s\", which PostgreSQL needs.",
                         name);
    if (strlen(text) >= size)
        return error_set(error, FH_UNSUPPORTED,
                         "\"%s\" in the configuration's \"store\" is longer than %zu characters.",
                         name, size - 1);
    memcpy(ret, text, strlen(text) + 1);
    return FH_OK;
}

static enum fh_code postgresql_number_option(const json_t *server, const char *name, int otherwise,
                                             int least, int most, int *ret, struct fh_error *error)
{
    const json_t *value = json_object_get(server, name);
    json_int_t integer = otherwise;
    if (value && (!json_is_integer(value) || (integer = json_integer_value(value)) < least ||
                  integer > most))
        return error_set(error, FH_UNSUPPORTED,
                         "\"%s\" in the configuration's \"store\" must be a number from %d to %d.",
                         name, least, most);
    *ret = (int)integer;
    return FH_OK;
}

enum fh_code postgresql_options_read(const json_t *server, struct postgresql_options *ret,
                                     struct fh_error *error)
{
    *ret = (struct postgresql_options){0};
    enum fh_code code =
        postgresql_copy_option(server, "host", "127.0.0.1", ret->host, sizeof ret->host, error);
    if (code == FH_OK)
        code = postgresql_copy_option(server, "database", NULL, ret->database, sizeof ret->database,
                                      error);
    if (code == FH_OK)
        code = postgresql_copy_option(server, "user", NULL, ret->user, sizeof ret->user, error);
    if (code == FH_OK)
        code = postgresql_copy_option(server, "password", "", ret->password, sizeof ret->password,
                                      error);
    if (code == FH_OK)
        code = postgresql_copy_option(server, "schema", "", ret->schema, sizeof ret->schema, error);
    if (code == FH_OK)
        code = postgresql_number_option(server, "port", 5432, 1, 65535, &ret->port, error);
    if (code == FH_OK)
        code = postgresql_number_option(server, "connections", POSTGRESQL_CONNECTIONS, 1,
                                        POSTGRESQL_CONNECTIONS_MAX, &ret->connections, error);
    if (code == FH_OK)
        code = postgresql_number_option(server, "idle_ms", POSTGRESQL_IDLE_MS, 100, 3600000,
                                        &ret->idle_ms, error);
    if (code == FH_OK)
        code = postgresql_number_option(server, "statement_timeout_ms", POSTGRESQL_STATEMENT_MS, 1,
                                        POSTGRESQL_STATEMENT_MS_MAX, &ret->statement_timeout_ms,
                                        error);
    const json_t *reports = json_object_get(server, "reports");
    if (code == FH_OK && reports)
        code = postgresql_copy_option(reports, "user", NULL, ret->reports_user,
                                      sizeof ret->reports_user, error);
    if (code == FH_OK && reports)
        code = postgresql_copy_option(reports, "password", "", ret->reports_password,
                                      sizeof ret->reports_password, error);
    if (code == FH_OK && strchr(ret->schema, '"'))
        code = error_set(error, FH_UNSUPPORTED, "A schema's name holds no quotation marks.");
    return code == FH_OK ? store_tls_read(server, &ret->tls, error) : code;
}
