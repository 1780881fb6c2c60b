/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles of the library's: how they are set up, and what they tell. Their threads call back for
 * each answer of a server, from which is known whether it is there, and for each line that the
 * library would log; errors wait until somebody polls.
 *
 * A handle connects by itself, and again for as long as it takes.
 */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "broker/kafka/internal.h"
#include "world/world.h"

#define LOG_LINES_MAX 10 /* of the library, in LOG_WINDOW_NS, of all handles together */
#define LOG_WINDOW_NS INT64_C(60000000000)
#define LOG_LINE_SIZE 400
#define LOG_LEVEL_TEXT "3" /* of syslog(3): errors; the others are noise */
#define LOOK_SLICE_MS 100
#define FETCH_KEY 1 /* a fetch's, in Kafka's protocol */
/* openssl/x509_vfy.h, of which nothing else here is needed. */
#define X509_HAS_EXPIRED 10
#define X509_OTHER_NAME 62
#define X509_OTHER_ADDRESS 64
#define END_S_MAX 5
#define LEFT_BEHIND_MAX 32

static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct log_rate log_lines;
static _Atomic int left_behind; /* handles that have not ended yet */

/* ---- words ---- */

void kafka_topic_name(const struct broker_topic *topic, char ret[static KAFKA_WORD_SIZE])
{
    FH_ASSERT(strlen(topic->name) <= BROKER_TOPIC_LENGTH_MAX);
    snprintf(ret, KAFKA_WORD_SIZE, "freehold-%s", topic->name);
}

void kafka_group_name(const char *name, char ret[static KAFKA_WORD_SIZE])
{
    FH_ASSERT(strlen(name) <= BROKER_NAME_LENGTH_MAX);
    snprintf(ret, KAFKA_WORD_SIZE, "freehold-%s", name);
}

int kafka_left_ms(struct world *world, int64_t deadline_ns, int most)
{
    int64_t left = (deadline_ns - world_monotonic_ns(world)) / 1000000;
    return left < 1 ? 1 : left < most ? (int)left : most;
}

/* Whether trying again can't help before somebody has changed something. */
static bool is_refusal(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
           err == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
           err == RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM ||
           err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
           err == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

enum fh_code kafka_failed(const struct kafka_options *options, const char *what,
                          rd_kafka_resp_err_t err, const char *text, struct fh_error *error)
{
    enum fh_code code = is_refusal(err) ? FH_INVALID : FH_UNAVAILABLE;
    if (!text || !*text)
        text = kafka.rd_kafka_err2str(err);
    size_t length = strlen(text);
    error_set(error, code, "Kafka at %.64s:%d %s: %.120s%s", options->host, options->port, what,
              text, length && text[length - 1] == '.' ? "" : ".");
    snprintf(error->native, sizeof error->native, "%s", kafka.rd_kafka_err2name(err));
    return code;
}

enum fh_code kafka_client_failed(struct kafka_client *client, const struct kafka_options *options,
                                 const char *what, rd_kafka_resp_err_t err, struct fh_error *error)
{
    char reason[sizeof client->reason];
    pthread_mutex_lock(&client->mutex);
    memcpy(reason, client->reason, sizeof reason);
    if (*reason)
        err = client->why;
    pthread_mutex_unlock(&client->mutex);
    return kafka_failed(options, what, err, reason, error);
}

/* ---- what handles tell ---- */

/* The library's texts begin with an address, as errors do here: "scheme://host:port/id: ". */
static const char *without_address(const char *text)
{
    const char *scheme = strstr(text, "://"), *end = scheme ? strstr(scheme, ": ") : NULL;
    const char *space = strchr(text, ' ');
    return end && space && space > scheme ? end + 2 : text;
}

/* The library calls it a refused login too when a server has gone in the middle of one, or did not
 * answer in time; its text has its own error then, in the place of the server's. */
static bool is_refused_by_nobody(int err, const char *text)
{
    return err == RD_KAFKA_RESP_ERR__AUTHENTICATION && strstr(text, "handshake failed: Local: ");
}

/* The library's own words for a certificate that was not taken are the same whatever was wrong. It
 * is not taken here either: this only learns why. */
static int certificate_judged(rd_kafka_t *handle, const char *server, int32_t id, int *fault,
                              int depth, const char *certificate, size_t size, char *ret_text,
                              size_t text_size, void *owner)
{
    struct kafka_client *client = owner;
    (void)handle, (void)server, (void)id, (void)depth, (void)certificate, (void)size;
    if (*fault == 0)
        return 1;
    pthread_mutex_lock(&client->mutex);
    client->certificate_fault = *fault;
    pthread_mutex_unlock(&client->mutex);
    snprintf(ret_text, text_size, "it does not hold (%d)", *fault);
    return 0;
}

/* NULL: it is not about certificates. `fault`: the newest one; an error may be told of after the
 * next connection has failed, which has another only if the server was given another certificate.
 */
static const char *certificate_words(int fault, const char *text)
{
    static const char *const unknown[] = {"alert bad certificate", "alert certificate required",
                                          "alert certificate unknown", "alert unknown ca",
                                          "client SSL authentication might be required"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        if (strstr(text, unknown[i]))
            return "it wants a certificate of the service that it knows: name it in "
                   "tls.certificate, its key in tls.key";
    }
    if (!strstr(text, "certificate verify failed"))
        return NULL;
    switch (fault) {
    case X509_HAS_EXPIRED:
        return "its certificate has expired: it must be renewed";
    case X509_OTHER_NAME:
    case X509_OTHER_ADDRESS:
        return "its certificate is of another host: it must name the one by which it is reached";
    default:
        return "its certificate is not of an authority in tls.ca, or not valid at this time";
    }
}

/* As is known for certain, or `err`. A server that dies in a handshake is away, and no more. */
static int certain_error(struct kafka_client *client, int err, const char **text)
{
    pthread_mutex_lock(&client->mutex);
    const char *words = certificate_words(client->certificate_fault, *text);
    pthread_mutex_unlock(&client->mutex);
    if (words) {
        *text = words;
        return RD_KAFKA_RESP_ERR__SSL;
    }
    if (strstr(*text, "connecting to a PLAINTEXT broker listener") ||
        strstr(*text, "unexpected eof while reading"))
        *text = "it takes no TLS (then say tls: { mode: off } where the way to it is safe), or has "
                "gone";
    return err == RD_KAFKA_RESP_ERR__SSL || is_refused_by_nobody(err, *text)
               ? RD_KAFKA_RESP_ERR__TRANSPORT
               : err;
}

static void handle_failed(rd_kafka_t *handle, int err, const char *text, void *owner)
{
    struct kafka_client *client = owner;
    (void)handle;
    if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        err = certain_error(client, err, &text);
    if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || err == RD_KAFKA_RESP_ERR__TRANSPORT ||
        err == RD_KAFKA_RESP_ERR__RESOLVE || err == RD_KAFKA_RESP_ERR__SSL ||
        is_refusal((rd_kafka_resp_err_t)err))
        atomic_store(&client->lost, true);
    if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        return; /* it says nothing of why */
    pthread_mutex_lock(&client->mutex);
    client->why = (rd_kafka_resp_err_t)err;
    snprintf(client->reason, sizeof client->reason, "%s", without_address(text));
    client->reason[strcspn(client->reason, "(")] = '\0'; /* "(after 3ms in state CONNECT)" */
    pthread_mutex_unlock(&client->mutex);
}

/* On the library's threads, which may outlive the world: it counts, and others look when. */
static rd_kafka_resp_err_t kafka_server_answered(rd_kafka_t *handle, int socket, const char *name,
                                                 int32_t id, int16_t key, int16_t version,
                                                 int32_t correlation, size_t size, int64_t rtt,
                                                 rd_kafka_resp_err_t err, void *owner)
{
    struct kafka_client *client = owner;
    (void)handle, (void)socket, (void)name, (void)id, (void)version, (void)correlation;
    (void)size, (void)rtt;
    if (err || (client->fetches && key != FETCH_KEY))
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    atomic_fetch_add(&client->answers, 1);
    atomic_store(&client->lost, false);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t add_interceptor(rd_kafka_t *handle, const rd_kafka_conf_t *conf,
                                           void *owner, char *text, size_t size)
{
    (void)conf, (void)text, (void)size;
    return kafka.rd_kafka_interceptor_add_on_response_received(handle, "freehold",
                                                               kafka_server_answered, owner);
}

/* On any thread. */
static void library_logged(const rd_kafka_t *handle, int level, const char *facility,
                           const char *text)
{
    char line[LOG_LINE_SIZE];
    unsigned more = 0;
    struct timespec now;
    (void)handle;
    if (strcmp(facility, "FAIL") == 0 || strstr(text, "verification callback failed"))
        return; /* of a connection: they come as errors too */
    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&log_mutex);
    bool passes = log_window_passes(&log_lines, LOG_LINES_MAX, LOG_WINDOW_NS,
                                    now.tv_sec * INT64_C(1000000000) + now.tv_nsec, &more);
    pthread_mutex_unlock(&log_mutex);
    if (!passes)
        return;
    int length = snprintf(line, sizeof line, "Kafka's client library says: %.300s", text);
    for (int i = 0; i < length; i++) {
        if (iscntrl((unsigned char)line[i]))
            line[i] = ' ';
    }
    if (more)
        snprintf(line + length, sizeof line - (size_t)length, " (%u more lines were left out)",
                 more);
    log_signal_safe(level <= 3 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "kafka-client", line);
}

/* ---- setting up ---- */

enum fh_code kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                            struct fh_error *error)
{
    char text[160] = "";
    if (kafka.rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return FH_OK;
    return error_set(error, FH_INVALID, "Kafka's client library does not take %s: %.150s.", name,
                     text);
}

static enum fh_code set_security(rd_kafka_conf_t *conf, const struct kafka_options *from,
                                 struct fh_error *error)
{
    bool user = from->user[0] != '\0', tls = from->tls.verify;
    const char *protocol = user ? tls ? "sasl_ssl" : "sasl_plaintext" : tls ? "ssl" : "plaintext";
    enum fh_code code = kafka_conf_set(conf, "security.protocol", protocol, error);
    if (!code && user)
        code = kafka_conf_set(conf, "sasl.mechanism", from->mechanism, error);
    if (!code && user)
        code = kafka_conf_set(conf, "sasl.username", from->user, error);
    if (!code && user)
        code = kafka_conf_set(conf, "sasl.password", from->password, error);
    if (!code && tls)
        code = kafka_conf_set(conf, "ssl.ca.location", from->tls.ca, error);
    if (!code && tls)
        code = kafka_conf_set(conf, "ssl.endpoint.identification.algorithm", "https", error);
    if (!code && tls && from->tls.certificate[0])
        code = kafka_conf_set(conf, "ssl.certificate.location", from->tls.certificate, error);
    if (!code && tls && from->tls.certificate[0])
        code = kafka_conf_set(conf, "ssl.key.location", from->tls.key, error);
    return code;
}

static enum fh_code set_common(rd_kafka_conf_t *conf, const struct kafka_options *from,
                               struct fh_error *error)
{
    static const char *const fixed[][2] = {
        {"client.id", "freehold"},
        {"log_level", LOG_LEVEL_TEXT},
        {"log.connection.close", "false"},
        {"reconnect.backoff.ms", "50"},
        {"reconnect.backoff.max.ms", "500"},
        {"socket.timeout.ms", "10000"},
        {"socket.connection.setup.timeout.ms", "5000"},
        {"socket.keepalive.enable", "true"},
        {"allow.auto.create.topics", "false"}, /* with the settings of its server, and not ours */
    };
    char address[sizeof from->host + 32];
    snprintf(address, sizeof address, strchr(from->host, ':') ? "[%s]:%d" : "%s:%d", from->host,
             from->port);
    enum fh_code code = kafka_conf_set(conf, "bootstrap.servers", address, error);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed && !code; i++)
        code = kafka_conf_set(conf, fixed[i][0], fixed[i][1], error);
    for (size_t i = 0; i < KAFKA_SETTINGS_MAX && !code; i++) {
        if (from->settings[i].name)
            code = kafka_conf_set(conf, from->settings[i].name, from->settings[i].value, error);
    }
    return code ? code : set_security(conf, from, error);
}

rd_kafka_conf_t *kafka_conf_new(const struct kafka_options *options, struct fh_error *error)
{
    rd_kafka_conf_t *conf = kafka.rd_kafka_conf_new();
    if (set_common(conf, options, error) == FH_OK)
        return conf;
    kafka.rd_kafka_conf_destroy(conf);
    return NULL;
}

static void init_waiting(struct kafka_client *client)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&client->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&client->ended, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void free_client_memory(struct kafka_client *client)
{
    pthread_cond_destroy(&client->ended);
    pthread_mutex_destroy(&client->mutex);
    free(client);
}

enum fh_code kafka_client_new(struct world *world, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                              struct kafka_client **ret, struct fh_error *error)
{
    char text[160] = "";
    if (atomic_load(&left_behind) >= LEFT_BEHIND_MAX) {
        kafka.rd_kafka_conf_destroy(conf);
        return error_set(error, FH_UNAVAILABLE,
                         "Kafka's client library has not ended %d former connections: no more are "
                         "made before it does.",
                         LEFT_BEHIND_MAX);
    }
    struct kafka_client *client = calloc(1, sizeof *client);
    if (!client) {
        kafka.rd_kafka_conf_destroy(conf);
        return error_set(error, FH_NO_MEMORY, "There is no memory for a connection to Kafka.");
    }
    client->world = world;
    client->fetches = type == RD_KAFKA_CONSUMER;
    init_waiting(client);
    kafka.rd_kafka_conf_set_opaque(conf, client);
    kafka.rd_kafka_conf_set_error_cb(conf, handle_failed);
    kafka.rd_kafka_conf_set_log_cb(conf, library_logged);
    kafka.rd_kafka_conf_set_ssl_cert_verify_cb(conf, certificate_judged);
    kafka.rd_kafka_conf_interceptor_add_on_new(conf, "freehold", add_interceptor, client);
    client->handle = kafka.rd_kafka_new(type, conf, text, sizeof text);
    if (client->handle) {
        *ret = client;
        return FH_OK;
    }
    kafka.rd_kafka_conf_destroy(conf);
    free_client_memory(client);
    return error_set(error, FH_INVALID, "Kafka's client library can't be used so: %.150s.", text);
}

/* ---- ending ---- */

/* Whoever comes second frees it. */
static void *end_kafka_client(void *argument)
{
    struct kafka_client *client = argument;
    kafka.rd_kafka_destroy_flags(client->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    pthread_mutex_lock(&client->mutex);
    bool left = client->is_left;
    client->is_ended = true;
    pthread_cond_signal(&client->ended);
    pthread_mutex_unlock(&client->mutex);
    if (left) {
        free_client_memory(client);
        atomic_fetch_sub(&left_behind, 1);
    }
    return NULL;
}

/* True: it has ended. */
static bool wait_for_end(struct kafka_client *client)
{
    struct timespec until;
    int failed = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += END_S_MAX;
    pthread_mutex_lock(&client->mutex);
    while (!client->is_ended && !failed)
        failed = pthread_cond_timedwait(&client->ended, &client->mutex, &until);
    bool ended = client->is_ended;
    if (!ended) {
        atomic_fetch_add(&left_behind, 1);
        client->is_left = true;
    }
    pthread_mutex_unlock(&client->mutex);
    return ended;
}

void kafka_client_free(struct kafka_client *client)
{
    if (!client)
        return;
    if (broker_thread_start(end_kafka_client, client) != 0)
        end_kafka_client(client);
    if (wait_for_end(client))
        free_client_memory(client);
    else
        log_signal_safe(LOG_LEVEL_WARNING, "kafka-client",
                        "Kafka's client library does not end a connection, which is left behind.");
}

/* ---- looking ---- */

bool kafka_client_is_lost(struct kafka_client *client, int64_t began_ns)
{
    if (!atomic_load(&client->lost))
        return false;
    pthread_mutex_lock(&client->mutex);
    rd_kafka_resp_err_t why = client->why;
    pthread_mutex_unlock(&client->mutex);
    return is_refusal(why) || why == RD_KAFKA_RESP_ERR__SSL ||
           world_monotonic_ns(client->world) - began_ns > KAFKA_LOST_NS;
}

enum fh_code kafka_look(struct kafka_client *client, const struct kafka_options *options,
                        const char *topic, int64_t deadline_ns,
                        const struct rd_kafka_metadata **ret, struct fh_error *error)
{
    rd_kafka_topic_t *asked = topic ? kafka.rd_kafka_topic_new(client->handle, topic, NULL) : NULL;
    int64_t began_ns = world_monotonic_ns(client->world);
    rd_kafka_resp_err_t err;
    do {
        err = kafka.rd_kafka_metadata(client->handle, 0, asked, ret,
                                      kafka_left_ms(client->world, deadline_ns, LOOK_SLICE_MS));
        kafka.rd_kafka_poll(client->handle, 0);
    } while (err && !kafka_client_is_lost(client, began_ns) &&
             world_monotonic_ns(client->world) < deadline_ns);
    if (asked)
        kafka.rd_kafka_topic_destroy(asked);
    if (err)
        return kafka_client_failed(client, options, "can't be reached", err, error);
    return FH_OK;
}
