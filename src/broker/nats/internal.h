/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_NATS_INTERNAL_H
#define BROKER_NATS_INTERNAL_H

/* Within the driver: what its files share. README.md says how it works. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "broker/broker.h"
#include "broker/nats/library.h"
#include "broker/worker.h"
#include "store/tls.h"

#define NATS_PORT 4222
#define NATS_WORD_SIZE 256 /* a subject, a stream's or a consumer's name */

struct nats_options {
    char host[256], user[128], password[256], token[512];
    int port, replicas;
    int64_t keep_s, keep_bytes;
    int64_t outside_kept_s; /* of a publisher: its topic keeps messages for so long at least */
    struct store_tls tls;
};

enum fh_code nats_options_read(const json_t *options, struct nats_options *ret,
                               struct fh_error *error);

/* What the library's threads tell of a connection: it holds the connection's own lock while it
 * connects again, so the loop may call nothing of it then, not even ask for its status. */
struct nats_link {
    _Atomic bool lost;
    _Atomic int users; /* the driver, and the library until its last callback */
};

struct nats_broker {
    struct broker base;
    struct nats_link *link;
    struct nats_options options;
    struct broker_worker *worker;
    natsConnection *connection;
    jsCtx *stream; /* the worker's alone */
};

/* How many messages servers would not take, and how often a connection was lost, since the process
 * began. Of all connections, since the library may still call back for one that was freed: another
 * one's fault only has messages published once more. */
extern _Atomic uint64_t nats_refused, nats_disconnected;

static inline struct nats_broker *nats_of(struct broker *broker)
{
    return (struct nats_broker *)broker;
}

extern const struct server_kind nats_server; /* server.c */

/* Names on the server. False: too long. */
bool nats_stream_name(const struct broker_topic *topic, char ret[static NATS_WORD_SIZE]);
bool nats_subject(const struct broker_topic *topic, unsigned partition,
                  char ret[static NATS_WORD_SIZE]);
/* Of one of JetStream's consumers: `of` 1: it has all partitions. */
void nats_durable_name(const char *name, unsigned partition, unsigned of,
                       char ret[static NATS_WORD_SIZE]);

/* "NATS at 127.0.0.1:4222 ...: " and the library's text for the status, or the server's. */
enum fh_code nats_failed(const struct nats_broker *broker, const char *what, natsStatus status,
                         int code, struct fh_error *error);
/* FH_OK, or FH_UNAVAILABLE: it is lost, and the library tries to connect again. */
enum fh_code nats_is_connected(const struct nats_broker *broker, struct fh_error *error);
/* Milliseconds until then, at least 1. */
int64_t nats_left_ms(struct world *world, int64_t deadline_ns);

/* connection.c */
enum fh_code nats_connect(struct world *world, const json_t *options, int64_t deadline_ns,
                          struct broker **ret, struct fh_error *error);
void nats_close(struct broker *base);
/* Where the server is, and who we are there. */
natsStatus nats_set_address(natsOptions *options, const struct nats_options *from);

/* probe.c: the slot of a server_kind. */
enum fh_code nats_probe(const json_t *as, const json_t *topics, unsigned turn,
                        struct fh_error *error);

/* publish.c */
enum fh_code nats_declare(struct broker *base, const struct broker_topic *topic,
                          int64_t deadline_ns, struct fh_error *error);
enum fh_code nats_publish(struct broker *base, const struct broker_topic *topic,
                          const struct broker_message *messages, int count, int64_t deadline_ns,
                          struct fh_error *error);

/* consumer.c */
enum fh_code nats_consume(struct broker *base, const struct broker_topic *topic, const char *name,
                          unsigned index, unsigned of, int64_t deadline_ns,
                          struct broker_consumer **ret, struct fh_error *error);
void nats_unconsume(struct broker_consumer *base);

/* Of a source: its only pull has no name yet. NULL: no memory. On the driver's thread:
 * nats_subscribe, before anything is asked for. */
struct nats_pull;
struct nats_consumer;
struct nats_consumer *nats_source_new(struct nats_broker *broker, const char *stream);
natsStatus nats_subscribe(struct nats_broker *broker, struct nats_pull *pull);

/* attach.c */
enum fh_code nats_attach(struct broker *base, const char *topic, unsigned partition, int64_t from,
                         int64_t deadline_ns, struct broker_extent *ret_extent,
                         struct broker_consumer **ret, struct fh_error *error);
const char *nats_header(const struct broker_message *message, const char *name, size_t *ret_length);
/* False: something is missing before it, or it is none of JetStream's. */
bool nats_take_of_source(struct nats_consumer *consumer, natsMsg *message,
                         struct broker_message *ret);
/* FH_UNAVAILABLE: what comes from now on may not be all of it. */
enum fh_code nats_source_is_whole(const struct nats_consumer *consumer, struct fh_error *error);

/* take.c */
enum fh_code nats_take(struct broker_consumer *base, struct broker_message *messages, int max,
                       int64_t deadline_ns, int *ret_count, struct fh_error *error);
void nats_wake(struct broker_consumer *base);
void nats_acknowledge(struct broker_consumer *base, uint64_t mark);

/* trespass.c */
enum fh_code nats_trespass(struct broker *base, const struct broker_topic *topic, bool reads,
                           int64_t deadline_ns, char ret[static BROKER_OPEN_SIZE],
                           struct fh_error *error);

/* ---- a consumer: consumer.c opens and closes it, take.c reads ---- */

#define NATS_ASKED_MAX 256                       /* messages that one request asks for */
#define NATS_SOURCE_ASKED_MAX 64                 /* the same of a source, of any size */
#define NATS_ASKED_BYTES_MAX "2097152"           /* and bytes: twice the largest message */
#define NATS_REQUEST_MS INT64_C(30000)           /* the server gives up a request after this */
#define NATS_UNACKNOWLEDGED_MAX 16384            /* of a pull; then the server sends no more */
#define NATS_ACKNOWLEDGE_NS INT64_C(60000000000) /* else they are delivered again */

/* One of JetStream's consumers, for one partition or for all. */
struct nats_pull {
    struct nats_consumer *consumer;
    natsSubscription *subscription;
    char durable[NATS_WORD_SIZE], filter[NATS_WORD_SIZE];
    char request[3 * NATS_WORD_SIZE]; /* the subject that asks for messages */
    natsInbox *inbox;
    _Atomic int asked;  /* messages asked for that have not come */
    int64_t asked_ns;   /* the last request */
    _Atomic bool gone;  /* the server has it no more: for sources, others are asked for again */
    char *acknowledges; /* within nats_acknowledge: the newest message's reply subject */
};

/* A message that was taken and not acknowledged. */
struct nats_unacknowledged {
    uint64_t mark;
    struct nats_pull *pull;
    char *reply;
    struct nats_unacknowledged *next;
};

/* What came and was not taken: filled by the library's threads. */
struct nats_arrived {
    natsMsg *message;
    struct nats_pull *pull;
    struct nats_arrived *next;
};

struct nats_consumer {
    struct broker_consumer base;
    struct broker_topic topic;
    char topic_name[BROKER_TOPIC_LENGTH_MAX + 1], stream[NATS_WORD_SIZE];
    _Atomic int users; /* the driver, and each subscription that may still call back */
    int wake_fd;
    pthread_mutex_t mutex;
    struct nats_arrived *first, **end; /* behind the mutex */
    natsMsg *taken[BROKER_TAKE_MAX];   /* until the next take */
    int taken_count;
    struct nats_unacknowledged *oldest, **newest;
    uint64_t mark;
    bool source, failed; /* it reads a source; something did not come */
    uint64_t losses;     /* nats_disconnected, when it was opened */
    unsigned pull_count;
    struct nats_pull pulls[];
};

/* The last user frees it. On any thread. */
void nats_consumer_left(struct nats_consumer *consumer);
void nats_consumer_wake(struct nats_consumer *consumer); /* of any thread */

#endif
