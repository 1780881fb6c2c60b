/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private nats-server. It listens on a port of the loopback address, with a certificate by which
 * its clients know it: whoever takes the port in its place is told nothing.
 *
 * Each topic is an account, which sees no other account's streams, nor its interface for
 * administration. In it a user may do what his part takes, and no more:
 *
 *   the publisher    make the topic's stream, look at it, and publish to its subjects
 *   a subscriber     make, ask and remove the consumers that are his by their names, each of them
 *                    listed: a subject's wildcard stands for a whole name
 *
 * So nobody purges, changes or removes a stream, or takes another's place in it.
 *
 * All this is in the file that the server reads when it starts, which is removed afterwards; no
 * client can make a user.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "broker/nats/internal.h"
#include "broker/options.h"
#include "store/server.h"

#define PROGRAM "nats-server"
#define INFO_SIZE 4096
#define CONNECTIONS_MAX 4096
#define PAYLOAD_MAX (BROKER_MESSAGE_SIZE_MAX + (64 << 10))

static const char *nats_programs(struct arena *arena)
{
    static const char *const folders[] = {"/usr/sbin", "/usr/bin", "/usr/local/bin"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (access(arena_printf(arena, "%s/" PROGRAM, folders[i]), X_OK) == 0)
            return folders[i];
    }
    return NULL;
}

/* ---- its file ---- */

static int64_t bytes_of_topic(const json_t *topic)
{
    json_int_t bytes = BROKER_KEEP_BYTES;
    json_integer_at(topic, "options.keep_bytes", &bytes);
    return bytes;
}

static struct broker_topic nats_topic_of(const json_t *topic)
{
    return (struct broker_topic){
        .name = server_text(topic, "topic"),
        .partitions = (unsigned)json_integer_value(json_object_get(topic, "partitions"))};
}

static void begin_user(struct text *text, const json_t *user)
{
    text_printf(text, "      { user: \"%s\", password: \"%s\", permissions {\n",
                server_text(user, "user"), server_text(user, "password"));
    text_add(text, "        subscribe { allow: [\"_INBOX.>\"] }\n        publish { allow: [\n");
}

static void end_user(struct text *text)
{
    text_add(text, "        ] } } }\n");
}

static void write_publisher(struct text *text, const json_t *topic, const char *stream)
{
    begin_user(text, json_object_get(topic, "publisher"));
    text_printf(text,
                "          \"freehold.%s.*\"\n"
                "          \"$JS.API.STREAM.INFO.%s\"\n"
                "          \"$JS.API.STREAM.CREATE.%s\"\n",
                server_text(topic, "topic"), stream, stream);
    end_user(text);
}

static void write_consumer(struct text *text, const char *stream, const char *durable)
{
    text_printf(text,
                "          \"$JS.API.CONSUMER.INFO.%s.%s\"\n"
                "          \"$JS.API.CONSUMER.CREATE.%s.%s\"\n"
                "          \"$JS.API.CONSUMER.CREATE.%s.%s.>\"\n"
                "          \"$JS.API.CONSUMER.DURABLE.CREATE.%s.%s\"\n"
                "          \"$JS.API.CONSUMER.DELETE.%s.%s\"\n"
                "          \"$JS.API.CONSUMER.MSG.NEXT.%s.%s\"\n"
                "          \"$JS.ACK.%s.%s.>\"\n",
                stream, durable, stream, durable, stream, durable, stream, durable, stream, durable,
                stream, durable, stream, durable);
}

/* Those of one reading: the partitions p for which p % of == index. Returns how many. */
static int write_reading(struct text *text, const json_t *reading, const struct broker_topic *topic,
                         const char *stream)
{
    char durable[NATS_WORD_SIZE];
    const char *name = server_text(reading, "name");
    unsigned of = (unsigned)json_integer_value(json_object_get(reading, "of"));
    unsigned index = (unsigned)json_integer_value(json_object_get(reading, "index"));
    int count = 0;
    for (unsigned p = index; of && p < topic->partitions; p += of, count++) {
        nats_durable_name(name, p, of, durable);
        write_consumer(text, stream, durable);
        if (of == 1)
            return 1;
    }
    return count;
}

/* Returns how many consumers they may have. */
static int write_subscribers(struct text *text, const json_t *topic, const char *stream)
{
    const struct broker_topic known = nats_topic_of(topic);
    int count = 0;
    size_t i, j;
    json_t *subscriber, *reading;
    json_array_foreach (json_object_get(topic, "subscribers"), i, subscriber) {
        begin_user(text, subscriber);
        json_array_foreach (json_object_get(subscriber, "readings"), j, reading)
            count += write_reading(text, reading, &known, stream);
        end_user(text);
    }
    return count;
}

static void write_account(struct text *text, const json_t *topic)
{
    const struct broker_topic known = nats_topic_of(topic);
    char stream[NATS_WORD_SIZE];
    nats_stream_name(&known, stream);
    text_printf(text, "  \"%s\" {\n    users: [\n", known.name);
    write_publisher(text, topic, stream);
    int consumers = write_subscribers(text, topic, stream);
    text_printf(text,
                "    ]\n    jetstream { max_mem: 0, max_file: %lld, max_streams: 1, "
                "max_consumers: %d }\n  }\n",
                (long long)bytes_of_topic(topic), consumers + 1);
}

static void write_nats_file(struct text *text, const struct server_own *own)
{
    int64_t bytes = 0;
    size_t i;
    json_t *topic;
    json_array_foreach ((json_t *)(uintptr_t)own->stores, i, topic)
        bytes += bytes_of_topic(topic);
    text_printf(text,
                "listen: \"127.0.0.1:%d\"\n"
                "max_payload: %zu\n"
                "max_connections: %d\n"
                "tls { cert_file: \"%s\", key_file: \"%s\", timeout: 5 }\n"
                "jetstream { store_dir: \"%s\", max_mem: 1MB, max_file: %lld }\n"
                "accounts {\n",
                own->port, PAYLOAD_MAX, CONNECTIONS_MAX, own->certificate, own->key, own->data,
                (long long)bytes);
    json_array_foreach ((json_t *)(uintptr_t)own->stores, i, topic)
        write_account(text, topic);
    text_add(text, "}\n");
}

static enum fh_code nats_run(const struct server_own *own, struct server_command *command,
                             struct fh_error *error)
{
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    write_nats_file(&text, own);
    enum fh_code code =
        text.overflow ? error_set(error, FH_NO_MEMORY, "There is no memory for the file of NATS.")
                      : server_secret(own, text.data, error);
    text_release(&text);
    server_argument(command, "%s/" PROGRAM, own->programs);
    server_argument(command, "--config");
    server_argument(command, "%s/" SERVER_SECRET, own->folder);
    return code;
}

/* ---- whether it answers ---- */

/* The first thing it says, before TLS: INFO and an object. */
static bool says_jetstream(int fd)
{
    char said[INFO_SIZE];
    size_t length = 0;
    ssize_t got;
    while (length < sizeof said - 1 && !memchr(said, '\n', length) &&
           (got = recv(fd, said + length, sizeof said - 1 - length, 0)) > 0)
        length += (size_t)got;
    said[length] = '\0';
    return strncmp(said, "INFO ", 5) == 0 && strstr(said, "\"jetstream\":true") != NULL;
}

/* It opens its port once all streams are recovered. */
static enum fh_code nats_enter(const json_t *as, struct fh_error *error)
{
    struct timeval patience = {.tv_sec = SERVER_CONNECT_S_MAX};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server_port(as, NATS_PORT)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool reached =
        fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && says_jetstream(fd);
    if (fd >= 0)
        close(fd);
    return reached ? FH_OK
                   : error_set(error, FH_UNAVAILABLE, "NATS does not answer at 127.0.0.1:%d.",
                               server_port(as, NATS_PORT));
}

const struct server_kind nats_server = {
    .engine = "nats",
    .settings = "",
    .install = "apt-get install nats-server",
    .port = NATS_PORT,
    .stop_signal = SIGTERM,
    .death_signal = SIGKILL,
    .programs = nats_programs,
    .make = server_make_folder,
    .run = nats_run,
    .enter = nats_enter,
    .probe = nats_probe,
};
