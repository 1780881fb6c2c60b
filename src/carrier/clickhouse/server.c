/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private ClickHouse listens on one port of the loopback address, by TLS, with a certificate by
 * which its service knows it, and on nothing else: its own protocol, and what replicas would ask
 * it, are not configured. Its users are the administrator and the one service that it serves, which
 * may do there whatever ClickHouse lets it: 18.16 shows each user all tables by `system`.
 *
 * Users are in a file that only the server can read, by the hashes of their passwords: ClickHouse
 * reads it again and again, and keeps a copy with its data. Its log has what nobody else could
 * tell, and no more: errors quote statements and values.
 *
 * Its folder: config.xml, users.xml; data/ what ClickHouse keeps.
 */

#define _GNU_SOURCE
#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "carrier/ask.h"
#include "carrier/clickhouse/internal.h"
#include "store/server.h"

#define CLICKHOUSE_PROGRAM "clickhouse-server"
#define HTTP_UNAUTHORIZED 401
#define HTTP_OK 200

/* What bounds it. What is not set is as ClickHouse has it. */
static const char clickhouse_bounds[] =
    "<default_profile>default</default_profile><default_database>default</default_database>"
    "<timezone>UTC</timezone><max_connections>256</max_connections>"
    "<max_concurrent_queries>100</max_concurrent_queries>"
    "<keep_alive_timeout>10</keep_alive_timeout><mark_cache_size>67108864</mark_cache_size>"
    /* Whatever is there is derived, and dropped by its service when it is made anew. */
    "<max_table_size_to_drop>0</max_table_size_to_drop>"
    "<max_partition_size_to_drop>0</max_partition_size_to_drop>\n";

static const char clickhouse_profile[] =
    "<profiles><default><max_memory_usage>1000000000</max_memory_usage>"
    "<max_memory_usage_for_all_queries>2000000000</max_memory_usage_for_all_queries>"
    "<background_pool_size>4</background_pool_size></default></profiles>"
    "<quotas><default/></quotas>\n";

static const char *clickhouse_programs(struct arena *arena)
{
    static const char *const folders[] = {"/usr/sbin", "/usr/bin", "/usr/local/bin"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (access(arena_printf(arena, "%s/" CLICKHOUSE_PROGRAM, folders[i]), X_OK) == 0)
            return folders[i];
    }
    return NULL;
}

static void add_xml(struct text *text, const char *name, const char *value)
{
    text_printf(text, "<%s>", name);
    for (; *value; value++) {
        if (*value == '&' || *value == '<')
            text_add(text, *value == '&' ? "&amp;" : "&lt;");
        else
            text_append(text, value, 1);
    }
    text_printf(text, "</%s>", name);
}

/* Names have letters, digits, '-' and '_', and begin with a letter. */
static void add_clickhouse_user(struct text *text, const char *name, const char *password)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char digits[2 * sizeof hash + 1];
    crypto_hash_sha256(hash, (const unsigned char *)password, strlen(password));
    sodium_bin2hex(digits, sizeof digits, hash, sizeof hash);
    text_printf(text, "<%s>", name);
    add_xml(text, "password_sha256_hex", digits);
    text_printf(text,
                "<networks><ip>127.0.0.1</ip></networks><profile>default</profile>"
                "<quota>default</quota></%s>\n",
                name);
}

static enum fh_code end_clickhouse_file(struct text *text, const struct server_own *own,
                                        const char *name, struct fh_error *error)
{
    enum fh_code code = text->overflow
                            ? error_set(error, FH_NO_MEMORY, "There is no memory for ClickHouse.")
                            : server_file(own->folder, name, text->data, error);
    text_release(text);
    return code;
}

static enum fh_code write_clickhouse_users(const struct server_own *own, struct fh_error *error)
{
    struct text text;
    size_t i;
    json_t *user;
    text_init(&text, TEXT_SMALL_MAX);
    text_add(&text, "<yandex>");
    text_add(&text, clickhouse_profile);
    text_add(&text, "<users>");
    add_clickhouse_user(&text, SERVER_SUPERUSER, own->password);
    json_array_foreach ((json_t *)(uintptr_t)own->stores, i, user)
        add_clickhouse_user(&text, server_text(user, "user"), server_text(user, "password"));
    text_add(&text, "</users></yandex>\n");
    return end_clickhouse_file(&text, own, "users.xml", error);
}

static enum fh_code write_clickhouse_config(const struct server_own *own, struct fh_error *error)
{
    struct text text;
    text_init(&text, TEXT_SMALL_MAX);
    text_add(&text, "<yandex><logger><level>critical</level><console>1</console></logger>");
    text_printf(&text, "<listen_host>127.0.0.1</listen_host><https_port>%d</https_port>\n",
                own->port);
    text_add(&text, "<openSSL><server>");
    add_xml(&text, "certificateFile", own->certificate);
    add_xml(&text, "privateKeyFile", own->key);
    text_add(&text, "<verificationMode>none</verificationMode>"
                    "<loadDefaultCAFile>false</loadDefaultCAFile>"
                    "<disableProtocols>sslv2,sslv3,tlsv1,tlsv1_1</disableProtocols>"
                    "<preferServerCiphers>true</preferServerCiphers></server></openSSL>\n");
    add_xml(&text, "path", arena_printf(own->arena, "%s/", own->data));
    add_xml(&text, "tmp_path", arena_printf(own->arena, "%s/tmp/", own->data));
    add_xml(&text, "user_files_path", arena_printf(own->arena, "%s/user_files/", own->data));
    add_xml(&text, "format_schema_path", arena_printf(own->arena, "%s/schemas/", own->data));
    add_xml(&text, "users_config", arena_printf(own->arena, "%s/users.xml", own->folder));
    text_add(&text, clickhouse_bounds);
    text_add(&text, "</yandex>\n");
    return end_clickhouse_file(&text, own, "config.xml", error);
}

static enum fh_code clickhouse_server_run(const struct server_own *own,
                                          struct server_command *command, struct fh_error *error)
{
    enum fh_code code = write_clickhouse_users(own, error);
    if (!code)
        code = write_clickhouse_config(own, error);
    server_argument(command, "/usr/bin/env");
    server_argument(command, "-i");
    server_argument(command, "PATH=/usr/local/bin:/usr/bin:/bin");
    server_argument(command, "LANG=C.UTF-8");
    server_argument(command, "HOME=%s", own->data);
    server_argument(command, "%s/" CLICKHOUSE_PROGRAM, own->programs);
    server_argument(command, "--config-file=%s/config.xml", own->folder);
    return code;
}

static enum fh_code clickhouse_enter(const json_t *as, struct fh_error *error)
{
    struct carried_ask ask = {.method = "GET", .path = "/?query=SELECT%201"};
    enum fh_code code = carried_ask(as, &ask, error);
    if (code)
        return code;
    if (ask.status == HTTP_UNAUTHORIZED)
        return error_set(error, FH_CONFLICT, "ClickHouse does not let %.64s in.",
                         server_text(as, "user"));
    return ask.status == HTTP_OK
               ? FH_OK
               : error_set(error, FH_UNAVAILABLE, "ClickHouse is not ready: it answers %ld.",
                           ask.status);
}

const struct server_kind clickhouse_server = {
    .engine = "clickhouse",
    .settings = "",
    .install = "apt-get install clickhouse-server",
    .port = CLICKHOUSE_PORT,
    .connects_nowhere = true,
    .stop_signal = SIGTERM,
    .death_signal = SIGKILL,
    .programs = clickhouse_programs,
    .make = server_make_folder,
    .run = clickhouse_server_run,
    .enter = clickhouse_enter,
};
