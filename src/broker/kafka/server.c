/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private Kafka: one node, which is its own controller. It listens on two ports of the loopback
 * address, both by TLS with a certificate by which its clients know it, and on nothing else:
 *
 *   its own            for the services, each a user of its own for each topic
 *   the controller's   for the node itself, which asks its controller by TCP although that is the
 *                      same process. It is another port at each start, and lets in nobody but
 *                      KAFKA_ADMINISTRATOR, who can't be a service
 *
 * Users and their passwords, the certificate and its key are in the file that the server reads when
 * it starts, before it listens, and that is removed afterwards. So who is no longer in it is not
 * let in. (SCRAM would have the server keep users in its log, for which there would have to be
 * another program to change them; passwords are told to the server, by TLS that has been verified.)
 * What they may do is set once it answers: rights.c.
 *
 * Its folder:  data/kafka   what Kafka keeps: its own log of topics and rights, and their messages
 *              data/tmp     what a killed one has left there is removed at the next start
 *
 * A new one is formatted in data.new, which the supervisor renames: a format that is cut short
 * begins anew. Paths are relative to the server's folder, where it runs: Kafka's files can't name
 * each of them.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "broker/kafka/internal.h"
#include "store/java.h"
#include "store/server.h"

#define KAFKA_JARS "kafka/libs" /* in a folder of PATH; as Kafka's own distribution has them */
#define KAFKA_LOG "kafka"       /* in its data */
#define CLUSTER_ID_BYTES 11     /* as hexadecimal digits as long as an id of Kafka's */
#define LOGIN_MODULE "org.apache.kafka.common.security.plain.PlainLoginModule"
#define LOGGER "-Dorg.slf4j.simpleLogger."
#define HEAP_MB 256
#define NO_PORT 1 /* what formats a node listens nowhere */

/* What bounds it, and who may come in. What is not set is as Kafka has it. */
static const char fixed_settings[] =
    "sasl.enabled.mechanisms=" KAFKA_MECHANISM "\n"
    "sasl.mechanism.inter.broker.protocol=" KAFKA_MECHANISM "\n"
    "sasl.mechanism.controller.protocol=" KAFKA_MECHANISM "\n"
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
    "super.users=User:" KAFKA_ADMINISTRATOR "\n"
    "allow.everyone.if.no.acl.found=false\n"
    "ssl.protocol=TLSv1.3\n"
    "ssl.enabled.protocols=TLSv1.3\n"
    "ssl.client.auth=none\n"
    /* Topics are made by their publishers alone. */
    "auto.create.topics.enable=false\n"
    "default.replication.factor=1\n"
    "offsets.topic.replication.factor=1\n"
    "offsets.topic.num.partitions=1\n"
    "offsets.topic.segment.bytes=16777216\n"
    "transaction.state.log.replication.factor=1\n"
    "transaction.state.log.min.isr=1\n"
    "transaction.state.log.num.partitions=1\n"
    /* So long one that was killed counts as alive, and keeps the next one waiting. */
    "broker.heartbeat.interval.ms=500\n"
    "broker.session.timeout.ms=3000\n"
    /* It writes nothing while nothing happens. */
    "metadata.max.idle.interval.ms=0\n"
    "num.network.threads=2\n"
    "num.io.threads=4\n"
    "background.threads=2\n"
    "num.recovery.threads.per.data.dir=2\n"
    /* What clients make it hold at once, in a heap of HEAP_MB. */
    "listener.name.client.max.connections=1024\n"
    "listener.name.controller.max.connections=256\n"
    "sasl.server.max.receive.size=8192\n"
    "socket.request.max.bytes=8388608\n"
    "queued.max.request.bytes=33554432\n"
    "fetch.max.bytes=8388608\n"
    "log.cleaner.dedupe.buffer.size=4194304\n"
    "log.index.size.max.bytes=2097152\n";

/* ---- what it is run with ---- */

static const char *kafka_programs(struct arena *arena)
{
    return server_java_programs(arena, KAFKA_JARS);
}

static void run_java(const struct server_own *own, struct server_command *command)
{
    static const char *const logger[] = {LOGGER "defaultLogLevel=warn", LOGGER "showDateTime=true",
                                         LOGGER "dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
                                         LOGGER "showThreadName=false", NULL};
    server_java(own, HEAP_MB, logger, command);
}

/* ---- its file ---- */

static enum fh_code add_kafka_tls(struct text *text, const struct server_own *own,
                                  struct fh_error *error)
{
    text_add(text, "ssl.keystore.type=PEM\nssl.truststore.type=PEM\n");
    enum fh_code code =
        server_java_certificate(text, "ssl.keystore.certificate.chain", own->certificate, error);
    if (!code)
        code = server_java_certificate(text, "ssl.truststore.certificates", own->ca, error);
    return code ? code : server_java_key(text, "ssl.keystore.key", own->key, error);
}

/* Names have letters, digits, '-', '_' and '@', passwords letters and digits. */
static void add_kafka_user(struct text *text, const char *name, const char *password)
{
    text_printf(text, " \"user_%s\"=\"%s\"", name, password);
}

/* Who is let in at a listener, and as whom the node itself comes there. */
static void begin_kafka_users(struct text *text, const char *listener, const char *password)
{
    text_printf(text,
                "listener.name.%s.plain.sasl.jaas.config=" LOGIN_MODULE " required"
                " username=\"" KAFKA_ADMINISTRATOR "\" password=\"%s\"",
                listener, password);
    add_kafka_user(text, KAFKA_ADMINISTRATOR, password);
}

static void add_kafka_users(struct text *text, const struct server_own *own)
{
    size_t i, j;
    json_t *topic, *user;
    begin_kafka_users(text, "controller", own->password);
    text_add(text, ";\n");
    begin_kafka_users(text, "client", own->password);
    json_array_foreach ((json_t *)(uintptr_t)own->stores, i, topic) {
        user = json_object_get(topic, "publisher");
        add_kafka_user(text, server_text(user, "user"), server_text(user, "password"));
        json_array_foreach (json_object_get(topic, "subscribers"), j, user)
            add_kafka_user(text, server_text(user, "user"), server_text(user, "password"));
    }
    text_add(text, ";\n");
}

static void begin_kafka_file(struct text *text, const struct server_own *own, int controller)
{
    const char *slash = strrchr(own->data, '/');
    text_init(text, TEXT_LENGTH_MAX);
    text_printf(text,
                "process.roles=broker,controller\n"
                "node.id=1\n"
                "controller.quorum.voters=1@127.0.0.1:%d\n"
                "controller.listener.names=CONTROLLER\n"
                "listeners=CLIENT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d\n"
                "advertised.listeners=CLIENT://127.0.0.1:%d\n"
                "listener.security.protocol.map=CLIENT:SASL_SSL,CONTROLLER:SASL_SSL\n"
                "inter.broker.listener.name=CLIENT\n"
                "log.dirs=%s/" KAFKA_LOG "\n",
                controller, own->port, controller, own->port, slash ? slash + 1 : own->data);
    text_add(text, fixed_settings);
}

/* ---- making it ---- */

static enum fh_code kafka_server_make(const struct server_own *own, struct server_command *command,
                                      struct fh_error *error)
{
    unsigned char digest[CLUSTER_ID_BYTES + crypto_generichash_BYTES_MIN];
    char id[2 * CLUSTER_ID_BYTES + 1];
    struct text text;
    if (mkdir(own->data, 0700) != 0 ||
        mkdir(arena_printf(own->arena, "%s/" SERVER_JAVA_TMP, own->data), 0700) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The folder %s can't be made",
                               own->data);
    begin_kafka_file(&text, own, NO_PORT);
    enum fh_code code = server_java_secret(&text, own, FH_OK, error);
    crypto_generichash(digest, sizeof digest, (const unsigned char *)own->password,
                       strlen(own->password), (const unsigned char *)KAFKA_LOG, strlen(KAFKA_LOG));
    sodium_bin2hex(id, sizeof id, digest, CLUSTER_ID_BYTES);
    run_java(own, command);
    server_argument(command, "kafka.tools.StorageTool");
    server_argument(command, "format");
    server_argument(command, "--cluster-id");
    server_argument(command, "%s", id);
    server_argument(command, "--config");
    server_argument(command, "%s/" SERVER_SECRET, own->folder);
    return code;
}

/* ---- running it ---- */

/* A port that nobody is given by chance as long as this process lives, which so keeps it open: the
 * server can listen there all the same. */
static enum fh_code hold_controller_port(int *ret, struct fh_error *error)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool held = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                bind(fd, (struct sockaddr *)&address, length) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &length) == 0;
    int number = errno;
    if (!held && fd >= 0)
        close(fd);
    *ret = ntohs(address.sin_port);
    return held ? FH_OK
                : error_set_errno(error, FH_UNAVAILABLE, number,
                                  "No port of 127.0.0.1 can be had for Kafka's controller");
}

static enum fh_code check_formatted(const struct server_own *own, struct fh_error *error)
{
    if (access(arena_printf(own->arena, "%s/" KAFKA_LOG "/meta.properties", own->data), F_OK) ==
            0 ||
        errno != ENOENT)
        return FH_OK;
    return error_set(error, FH_INVALID,
                     "Kafka's data are not whole: remove %.170s, and it is made anew.", own->data);
}

static enum fh_code kafka_server_run(const struct server_own *own, struct server_command *command,
                                     struct fh_error *error)
{
    struct text text;
    int controller = 0;
    enum fh_code code = check_formatted(own, error);
    if (!code)
        code = hold_controller_port(&controller, error);
    if (code)
        return code;
    server_java_begin(own);
    begin_kafka_file(&text, own, controller);
    add_kafka_users(&text, own);
    code = add_kafka_tls(&text, own, error);
    code = server_java_secret(&text, own, code, error);
    run_java(own, command);
    server_argument(command, "kafka.Kafka");
    server_argument(command, "%s/" SERVER_SECRET, own->folder);
    return code;
}

const struct server_kind kafka_server = {
    .engine = "kafka",
    .settings = "",
    .install = "make servers, with Java and Maven (apt-get install default-jre-headless maven)",
    .port = KAFKA_PORT,
    .stop_signal = SIGTERM,
    .death_signal = SIGKILL,
    .programs = kafka_programs,
    .make = kafka_server_make,
    .run = kafka_server_run,
    .enter = kafka_enter,
    .settle = kafka_settle,
};
