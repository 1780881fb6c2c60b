/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private rabbitmq-server. It listens on one port of the loopback address, with a certificate by
 * which its clients know it, and on nothing else: it is an Erlang node that no other one reaches
 * (no port of its own, no epmd), so that nobody administers it. Its environment is this file's
 * alone, and so are its folders; all of them are in its data.
 *
 * Each service is a user of its own for each topic, and may do by the names of what is there
 * (topic.c) what his part takes:
 *
 *   the publisher    make the topic's exchanges, and publish to them
 *   a subscriber     make, bind, read and delete the queues that are his by their names, and bind
 *                    them to the topic's exchange
 *
 * Who may make a thing may delete it: RabbitMQ knows no right in between.
 *
 * Users and their rights are in a file that the server reads when it starts, before it listens; it
 * is removed afterwards, and has digests of passwords. What such a file does not name stays as it
 * is, so users who were there once are named for ever, without a password and without rights: a
 * file next to the data has their names (USERS), and is written before they are made.
 */

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "broker/rabbitmq/internal.h"
#include "store/server.h"

#define PROGRAM "rabbitmq-server"
#define USERS "users.json"
#define USERS_SIZE_MAX (1 << 20)
#define SETTINGS "rabbitmq.conf"
#define PLUGINS "enabled_plugins"
#define COOKIE ".erlang.cookie"
/* A file that is not there: settings of the machine are not for this server. */
#define NOBODYS "none"
#define NODE "freehold@localhost"
#define PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define MESSAGE_MAX (BROKER_MESSAGE_SIZE_MAX + (64 << 10))
#define SALT_SIZE 4 /* of a digest, as RabbitMQ has it */
#define COOKIE_SIZE 32
#define NO_RIGHTS "^\\z"

/* The package's folder: what is in the usual ones calls it as another user. */
static const char *rabbitmq_programs(struct arena *arena)
{
    static const char *const folders[] = {"/usr/lib/rabbitmq/bin", "/usr/local/lib/rabbitmq/bin"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (access(arena_printf(arena, "%s/" PROGRAM, folders[i]), X_OK) == 0)
            return folders[i];
    }
    return NULL;
}

/* ---- users ---- */

/* The password has all the chance there is, so the salt needs none. */
static json_t *digest_of_password(const json_t *user)
{
    const char *name = server_text(user, "user"), *password = server_text(user, "password");
    unsigned char salted[SALT_SIZE + crypto_hash_sha256_BYTES], salt[crypto_generichash_BYTES_MIN];
    char text[sodium_base64_ENCODED_LEN(sizeof salted, sodium_base64_VARIANT_ORIGINAL)];
    crypto_hash_sha256_state state;
    crypto_generichash(salt, sizeof salt, (const unsigned char *)name, strlen(name), NULL, 0);
    memcpy(salted, salt, SALT_SIZE);
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, salted, SALT_SIZE);
    crypto_hash_sha256_update(&state, (const unsigned char *)password, strlen(password));
    crypto_hash_sha256_final(&state, salted + SALT_SIZE);
    sodium_bin2base64(text, sizeof text, salted, sizeof salted, sodium_base64_VARIANT_ORIGINAL);
    return json_string(text);
}

/* `digest` (taken over) "": he is let in with no password. */
static void add_rabbitmq_user(json_t *into, const char *name, json_t *digest)
{
    json_array_append_new(json_object_get(into, "users"),
                          json_pack("{s:s, s:o, s:s, s:[]}", "name", name, "password_hash", digest,
                                    "hashing_algorithm", "rabbit_password_hashing_sha256", "tags"));
}

static void add_rights(json_t *into, const char *name, const char *vhost, const char *configure,
                       const char *write, const char *read)
{
    json_array_append_new(json_object_get(into, "permissions"),
                          json_pack("{s:s, s:s, s:s, s:s, s:s}", "user", name, "vhost", vhost,
                                    "configure", configure, "write", write, "read", read));
}

static const char *vhost_of(const json_t *topic)
{
    const char *vhost = server_text(json_object_get(topic, "options"), "vhost");
    return *vhost ? vhost : "/";
}

/* Names have letters, digits, '-' and '_'. To make the exchange with its alternate one, he has to
 * be let read the first and write to the second. */
static void add_publisher(json_t *into, const json_t *topic, struct arena *arena)
{
    const json_t *user = json_object_get(topic, "publisher");
    const char *name = server_text(topic, "topic");
    const char *own = arena_printf(arena, "^freehold\\.%s(\\.%d)?\\z", name,
                                   (int)json_integer_value(json_object_get(topic, "partitions")));
    add_rabbitmq_user(into, server_text(user, "user"), digest_of_password(user));
    add_rights(into, server_text(user, "user"), vhost_of(topic), own, own,
               arena_printf(arena, "^freehold\\.%s\\z", name));
}

static void add_subscriber(json_t *into, const json_t *topic, const json_t *user,
                           struct arena *arena)
{
    const char *name = server_text(topic, "topic"), *readings = NULL;
    size_t i;
    json_t *reading;
    json_array_foreach (json_object_get(user, "readings"), i, reading) {
        const char *one = server_text(reading, "name");
        readings = readings ? arena_printf(arena, "%s|%s", readings, one) : one;
    }
    const char *queues = arena_printf(arena,
                                      "freehold\\.%s\\.([0-9]{1,3}\\.(%s)|owner\\.(%s)"
                                      "\\.[0-9]{1,3}-of-[0-9]{1,3})",
                                      name, readings, readings);
    const char *own = arena_printf(arena, "^%s\\z", queues);
    FH_ASSERT(readings != NULL);
    add_rabbitmq_user(into, server_text(user, "user"), digest_of_password(user));
    add_rights(into, server_text(user, "user"), vhost_of(topic), own, own,
               arena_printf(arena, "^(freehold\\.%s|%s)\\z", name, queues));
}

static bool is_user(const json_t *definitions, const char *name)
{
    size_t i;
    json_t *user;
    json_array_foreach (json_object_get(definitions, "users"), i, user) {
        if (strcmp(server_text(user, "name"), name) == 0)
            return true;
    }
    return false;
}

/* NULL: nobody. The folder is the server's, and whoever has taken that over may have put anything
 * there, such as a pipe that nobody writes to. */
static json_t *read_former_users(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    json_t *users = NULL;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size <= USERS_SIZE_MAX)
        users = json_loadfd(fd, 0, NULL);
    if (fd >= 0)
        close(fd);
    return users;
}

/* Adds the users who were there before, and remembers all that there are now. */
static enum fh_code settle_former_users(json_t *definitions, const struct server_own *own,
                                        struct fh_error *error)
{
    const char *path = arena_printf(own->arena, "%s/" USERS, own->data);
    json_t *former = read_former_users(path), *vhosts = json_object_get(definitions, "vhosts");
    json_t *all = json_array(), *user, *vhost;
    size_t i, j;
    json_array_foreach (former, i, user) {
        const char *name = json_string_value(user);
        if (!name || is_user(definitions, name))
            continue;
        add_rabbitmq_user(definitions, name, json_string(""));
        json_array_foreach (vhosts, j, vhost)
            add_rights(definitions, name, server_text(vhost, "name"), NO_RIGHTS, NO_RIGHTS,
                       NO_RIGHTS);
    }
    json_array_foreach (json_object_get(definitions, "users"), i, user)
        json_array_append(all, json_object_get(user, "name"));
    char *text = json_text(all);
    enum fh_code code = server_file(own->data, USERS, text, error);
    json_text_free(text);
    json_decref(all);
    json_decref(former);
    return code;
}

static json_t *definitions_of(const struct server_own *own)
{
    json_t *definitions =
        json_pack("{s:[{s:s}], s:[], s:[]}", "vhosts", "name", "/", "users", "permissions");
    json_t *topic, *user;
    size_t i, j;
    json_array_foreach ((json_t *)(uintptr_t)own->stores, i, topic) {
        json_array_append_new(json_object_get(definitions, "vhosts"),
                              json_pack("{s:s}", "name", vhost_of(topic)));
        add_publisher(definitions, topic, own->arena);
        json_array_foreach (json_object_get(topic, "subscribers"), j, user)
            add_subscriber(definitions, topic, user, own->arena);
    }
    return definitions;
}

static enum fh_code write_definitions(const struct server_own *own, struct fh_error *error)
{
    json_t *definitions = definitions_of(own);
    enum fh_code code = settle_former_users(definitions, own, error);
    if (!code) {
        char *text = json_text(definitions);
        code = server_secret(own, text, error);
        json_text_free(text);
    }
    json_decref(definitions);
    return code;
}

/* ---- its files ---- */

/* What is not set is as RabbitMQ has it. Its alarm about the disk is for a small one. */
static enum fh_code write_rabbitmq_settings(const struct server_own *own, struct fh_error *error)
{
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    text_printf(&text,
                "listeners.tcp = none\n"
                "listeners.ssl.1 = 127.0.0.1:%d\n"
                "ssl_options.certfile = %s\n"
                "ssl_options.keyfile = %s\n"
                "ssl_options.verify = verify_none\n"
                "ssl_options.fail_if_no_peer_cert = false\n"
                "ssl_options.versions.1 = tlsv1.3\n"
                "ssl_options.versions.2 = tlsv1.2\n"
                "load_definitions = %s/" SERVER_SECRET "\n"
                "log.file = false\n"
                "log.console = true\n"
                "log.console.stdio = stderr\n"
                "log.console.level = warning\n"
                "max_message_size = %zu\n"
                "disk_free_limit.absolute = 64MB\n"
                "vm_memory_high_watermark.absolute = 512MB\n"
                "raft.wal_max_size_bytes = 67108864\n",
                own->port, own->certificate, own->key, own->folder, MESSAGE_MAX);
    enum fh_code code =
        text.overflow
            ? error_set(error, FH_NO_MEMORY, "There is no memory for the settings of RabbitMQ.")
            : server_file(own->folder, SETTINGS, text.data, error);
    text_release(&text);
    return code;
}

/* Erlang would make one by itself, of what can be guessed. */
static enum fh_code write_cookie(const struct server_own *own, struct fh_error *error)
{
    unsigned char digest[COOKIE_SIZE];
    char text[2 * COOKIE_SIZE + 1];
    crypto_generichash(digest, sizeof digest, (const unsigned char *)own->password,
                       strlen(own->password), (const unsigned char *)COOKIE, strlen(COOKIE));
    sodium_bin2hex(text, sizeof text, digest, sizeof digest);
    enum fh_code code = server_file(own->data, COOKIE, text, error);
    sodium_memzero(text, sizeof text);
    return code;
}

static enum fh_code rabbitmq_server_run(const struct server_own *own,
                                        struct server_command *command, struct fh_error *error)
{
    enum fh_code code = write_rabbitmq_settings(own, error);
    if (!code)
        code = server_file(own->folder, PLUGINS, "[].\n", error);
    if (!code)
        code = write_cookie(own, error);
    if (!code)
        code = write_definitions(own, error);
    if (code)
        return code;
    server_argument(command, "/usr/bin/env");
    server_argument(command, "-i");
    server_argument(command, "PATH=" PATH);
    server_argument(command, "LANG=C.UTF-8");
    server_argument(command, "HOME=%s", own->data);
    server_argument(command, "RABBITMQ_NODENAME=" NODE);
    server_argument(command, "RABBITMQ_MNESIA_BASE=%s", own->data);
    server_argument(command, "RABBITMQ_LOG_BASE=%s", own->data);
    server_argument(command, "RABBITMQ_LOGS=-stderr");
    server_argument(command, "RABBITMQ_CONFIG_FILE=%s/" SETTINGS, own->folder);
    server_argument(command, "RABBITMQ_ADVANCED_CONFIG_FILE=%s/" NOBODYS, own->folder);
    server_argument(command, "RABBITMQ_CONF_ENV_FILE=%s/" NOBODYS, own->folder);
    server_argument(command, "RABBITMQ_ENABLED_PLUGINS_FILE=%s/" PLUGINS, own->folder);
    server_argument(command, "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-sname " NODE
                             " -dist_listen false -start_epmd false -erl_epmd_port 1");
    /* A minute later it would start an epmd by another Erlang node, which has these flags too. */
    server_argument(command, "ERL_AFLAGS=-start_epmd false");
    /* The script becomes the server then, and does not stay around it. */
    server_argument(command, "RUNNING_UNDER_SYSTEMD=true");
    server_argument(command, "%s/" PROGRAM, own->programs);
    return FH_OK;
}

/* ---- whether it answers ---- */

/* It listens once it has read its users, and its queues are recovered. Who ends a connection before
 * a word of AMQP is not even logged. */
static enum fh_code rabbitmq_enter(const json_t *as, struct fh_error *error)
{
    struct timeval patience = {.tv_sec = SERVER_CONNECT_S_MAX};
    int port = server_port(as, RABBITMQ_PORT_TLS);
    enum fh_code code = rabbitmq_library_load(error);
    if (code)
        return code;
    amqp_connection_state_t connection = rabbitmq.amqp_new_connection();
    amqp_socket_t *socket = connection ? rabbitmq.amqp_ssl_socket_new(connection) : NULL;
    bool reached = false;
    if (socket) {
        rabbitmq.amqp_ssl_socket_set_verify_peer(socket, 0);
        rabbitmq.amqp_ssl_socket_set_verify_hostname(socket, 0);
        reached = rabbitmq.amqp_socket_open_noblock(socket, "127.0.0.1", port, &patience) ==
                  AMQP_STATUS_OK;
    }
    if (connection)
        rabbitmq.amqp_destroy_connection(connection);
    return reached ? FH_OK
                   : error_set(error, FH_UNAVAILABLE, "RabbitMQ does not answer at 127.0.0.1:%d.",
                               port);
}

const struct server_kind rabbitmq_server = {
    .engine = "rabbitmq",
    .settings = "",
    .install = "apt-get install rabbitmq-server",
    .port = RABBITMQ_PORT_TLS,
    .stop_signal = SIGTERM,
    .death_signal = SIGKILL,
    .programs = rabbitmq_programs,
    .make = server_make_folder,
    .run = rabbitmq_server_run,
    .stays_broken = true,
    .enter = rabbitmq_enter,
};
