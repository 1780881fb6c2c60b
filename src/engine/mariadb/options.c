/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the store's server is, from the service's configuration, and whether the server keeps what
 * it acknowledges. The latter is checked on each new link: a server can come back with other
 * settings.
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "engine/mariadb/internal.h"

#define PORT 3306
#define VERSION_MIN 1006 /* 10.6 */

/* ---- where it is ---- */

static enum fh_code mariadb_copy_option(const json_t *server, const char *name, bool needed,
                                        char *ret, size_t size, struct fh_error *error)
{
    const json_t *value = json_at(server, name);
    const char *text = json_string_value(value);
    ret[0] = '\0';
    if (!value && !needed)
        return FH_OK;
    if (!text || (needed && !text[0]))
        return error_set(error, FH_INVALID, "The configuration's \"store\" needs a text \"%s\".",
                         name);
    if (strlen(text) >= size)
        return error_set(error, FH_INVALID,
                         "\"%s\" of the configuration's \"store\" is longer than %zu bytes.", name,
                         size - 1);
    memcpy(ret, text, strlen(text) + 1);
    return FH_OK;
}

static enum fh_code mariadb_number_option(const json_t *server, const char *name, int otherwise,
                                          int max, int *ret, struct fh_error *error)
{
    json_int_t value = otherwise;
    if (json_object_get(server, name) &&
        (!json_integer_at(server, name, &value) || value < 1 || value > max))
        return error_set(error, FH_INVALID,
                         "\"%s\" of the configuration's \"store\" is a number from 1 to %d.", name,
                         max);
    *ret = (int)value;
    return FH_OK;
}

static enum fh_code take_socket(struct mariadb_store *store, struct fh_error *error)
{
    if (store->host[0] != '/')
        return FH_OK;
    return store_socket_path(store->host, MARIADB_SOCKET, store->socket, sizeof store->socket,
                             error);
}

static enum fh_code take_reports_user(struct mariadb_store *store, const json_t *reports,
                                      struct fh_error *error)
{
    if (!reports)
        return FH_OK;
    enum fh_code code = mariadb_copy_option(reports, "user", true, store->reports_user,
                                            sizeof store->reports_user, error);
    return code == FH_OK ? mariadb_copy_option(reports, "password", false, store->reports_password,
                                               sizeof store->reports_password, error)
                         : code;
}

enum fh_code mariadb_options(struct mariadb_store *store, const json_t *server,
                             struct fh_error *error)
{
    int port = PORT, connections = MARIADB_CONNECTIONS;
    if (!json_is_object(server))
        return error_set(error, FH_INVALID,
                         "The engine mariadb needs \"store\" in the configuration: where its "
                         "server is.");
    enum fh_code code =
        mariadb_copy_option(server, "host", true, store->host, sizeof store->host, error);
    if (code == FH_OK)
        code = mariadb_copy_option(server, "user", true, store->user, sizeof store->user, error);
    if (code == FH_OK)
        code = mariadb_copy_option(server, "password", false, store->password,
                                   sizeof store->password, error);
    if (code == FH_OK)
        code = mariadb_copy_option(server, "database", true, store->database,
                                   sizeof store->database, error);
    if (code == FH_OK)
        code = mariadb_number_option(server, "port", PORT, 65535, &port, error);
    if (code == FH_OK)
        code = mariadb_number_option(server, "connections", MARIADB_CONNECTIONS,
                                     MARIADB_CONNECTIONS_MAX, &connections, error);
    if (code == FH_OK)
        code = take_reports_user(store, json_object_get(server, "reports"), error);
    if (code == FH_OK)
        code = take_socket(store, error);
    if (code == FH_OK)
        code = store_tls_read(server, &store->tls, error);
    store->port = (unsigned)port;
    store->works = (struct mariadb_pool){.use = MARIADB_WORKS, .count_max = connections};
    store->reads = (struct mariadb_pool){.use = MARIADB_READS, .count_max = (connections + 1) / 2};
    return code;
}

/* ---- whether it is durable ---- */

struct setting {
    const char *name;
    const char *wanted; /* NULL: checked differently */
    char value[64];
};

enum { FLUSH, METHOD, BINARY_LOG, BINARY_SYNC, SETTINGS };

struct found {
    char version[64];
    struct setting settings[SETTINGS];
};

static void take_server_settings(void *context, char **row)
{
    struct found *found = context;
    snprintf(found->version, sizeof found->version, "%s", row[0] ? row[0] : "");
    for (int i = 0; i < SETTINGS; i++)
        snprintf(found->settings[i].value, sizeof found->settings[i].value, "%s",
                 row[i + 1] ? row[i + 1] : "");
}

static enum fh_code check_version(const char *version, struct fh_error *error)
{
    int major = 0, minor = 0;
    bool mariadb_server = strstr(version, "MariaDB") != NULL;
    if (!mariadb_server || sscanf(version, "%d.%d", &major, &minor) != 2 ||
        major * 100 + minor < VERSION_MIN)
        return error_set(error, FH_UNSUPPORTED,
                         "The engine mariadb needs MariaDB 10.6 or newer (it relies on INSERT ... "
                         "RETURNING and JSON_TABLE); the server is %.60s.",
                         version);
    return FH_OK;
}

static enum fh_code refuse_setting(const struct setting *setting, const char *wanted,
                                   struct fh_error *error)
{
    return error_set(error, FH_UNSUPPORTED,
                     "The store's server could lose what it has acknowledged: %s is %.40s, and has "
                     "to be %s.",
                     setting->name, setting->value, wanted);
}

enum fh_code mariadb_check(struct mariadb_connection *connection, struct fh_error *error)
{
    struct found found = {.settings = {[FLUSH] = {"innodb_flush_log_at_trx_commit", "1", ""},
                                       [METHOD] = {"innodb_flush_method", NULL, ""},
                                       [BINARY_LOG] = {"log_bin", NULL, ""},
                                       [BINARY_SYNC] = {"sync_binlog", "1", ""}}};
    enum fh_code code = mariadb_query(
        connection,
        "SELECT version(), @@global.innodb_flush_log_at_trx_commit, @@global.innodb_flush_method,"
        " @@global.log_bin, @@global.sync_binlog",
        take_server_settings, &found, error);
    if (code == FH_OK)
        code = check_version(found.version, error);
    if (code != FH_OK || connection->store->replica) /* it can fetch again whatever it loses */
        return code;
    const struct setting *settings = found.settings;
    if (strcmp(settings[FLUSH].value, "1") != 0 && strcmp(settings[FLUSH].value, "3") != 0)
        return refuse_setting(&settings[FLUSH], "1", error);
    if (strstr(settings[METHOD].value, "nosync") || strstr(settings[METHOD].value, "littlesync"))
        return refuse_setting(&settings[METHOD], "fsync or O_DIRECT", error);
    if (strcmp(settings[BINARY_LOG].value, "1") == 0 &&
        strcmp(settings[BINARY_SYNC].value, "1") != 0)
        return refuse_setting(&settings[BINARY_SYNC], "1 while log_bin is on", error);
    return FH_OK;
}
