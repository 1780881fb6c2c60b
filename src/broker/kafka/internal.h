/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_KAFKA_INTERNAL_H
#define BROKER_KAFKA_INTERNAL_H

/* Within the driver: what its files share. README.md says how it works. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include "broker/broker.h"
#include "broker/kafka/library.h"
#include "broker/worker.h"
#include "store/tls.h"

#define KAFKA_PORT 9092
#define KAFKA_WORD_SIZE 256 /* a topic's or a group's name */
#define KAFKA_SETTINGS_MAX 6
/* A record: the largest message with its key and headers. */
#define KAFKA_RECORD_SIZE_MAX (BROKER_MESSAGE_SIZE_MAX + ((size_t)64 << 10))
#define KAFKA_LOST_NS INT64_C(1000000000) /* so long it may take to connect again */

struct kafka_setting {
    const char *name; /* NULL: it was not set */
    char value[64];
};

struct kafka_options {
    char host[256], user[128], password[256], mechanism[16];
    int port, replicas;
    int64_t keep_s, keep_bytes;
    int64_t outside_kept_s; /* of a publisher: its topic keeps messages for so long at least */
    struct store_tls tls;
    struct kafka_setting settings[KAFKA_SETTINGS_MAX];
};

enum fh_code kafka_options_read(const json_t *options, struct kafka_options *ret,
                                struct fh_error *error);

/* One handle of the library's, with threads of its own that call back (client.c). It lives as long
 * as they do. */
struct kafka_client {
    struct world
        *world; /* for whoever waits: not for the library's threads, nor when it is freed */
    rd_kafka_t *handle;
    bool fetches; /* only answers to fetches say that it hears from the server */
    _Atomic bool lost;
    _Atomic unsigned answers; /* of the server, so far */
    pthread_mutex_t mutex;
    char reason[160]; /* behind the mutex: the newest error, as the library words it; or "" */
    rd_kafka_resp_err_t why; /* likewise */
    int certificate_fault;   /* likewise: OpenSSL's newest one; 0: there was none */
    pthread_cond_t ended;    /* the library has ended it */
    bool is_ended, is_left;  /* behind the mutex; left: nobody waits for its end any more */
};

struct kafka_broker {
    struct broker base;
    struct kafka_options options;
    _Atomic int users;              /* each worker, until its last call */
    struct broker_worker *producer; /* publishes and declares */
    struct broker_worker *opener;   /* opens and closes consumers */
    /* Of the producer's thread alone: */
    struct kafka_client *client;
    bool publishes;          /* it is the producer: there was something to publish */
    rd_kafka_topic_t *topic; /* the last one published to, which was there; or NULL */
    char topic_name[KAFKA_WORD_SIZE];
    unsigned topic_partitions;
    /* What the last call published, if it was not told that all was delivered: see publish.c. */
    bool unfinished;
    uint64_t digest;
    int outstanding;             /* of it */
    rd_kafka_resp_err_t refused; /* the first delivery that failed */
};

static inline struct kafka_broker *kafka_of(struct broker *broker)
{
    return (struct kafka_broker *)broker;
}

/* "freehold-TOPIC" and "freehold-NAME". */
void kafka_topic_name(const struct broker_topic *topic, char ret[static KAFKA_WORD_SIZE]);
void kafka_group_name(const char *name, char ret[static KAFKA_WORD_SIZE]);
/* Milliseconds until then, at least 1 and at most `most`. */
int kafka_left_ms(struct world *world, int64_t deadline_ns, int most);

/* ---- client.c ---- */

/* What both kinds of handles have; NULL: an option is wrong. The library's own defaults are left
 * where nothing is said. */
rd_kafka_conf_t *kafka_conf_new(const struct kafka_options *options, struct fh_error *error);
enum fh_code kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                            struct fh_error *error);
/* Takes `conf`. */
enum fh_code kafka_client_new(struct world *world, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                              struct kafka_client **ret, struct fh_error *error);
/* Gives up what was not sent, and waits for the library's threads; but for some seconds only, since
 * librdkafka 2.0 now and then never ends a consumer whose topic went away. */
void kafka_client_free(struct kafka_client *client);
/* "Kafka at 127.0.0.1:9092 ...: " and the library's text. */
enum fh_code kafka_failed(const struct kafka_options *options, const char *what,
                          rd_kafka_resp_err_t err, const char *text, struct fh_error *error);
/* The same, when the newest error of the client says more than `err`. */
enum fh_code kafka_client_failed(struct kafka_client *client, const struct kafka_options *options,
                                 const char *what, rd_kafka_resp_err_t err, struct fh_error *error);
/* Whether waiting for it makes no sense: it can't log in, or is without a server, and was waited
 * for since `began_ns` for longer than it takes to connect again. */
bool kafka_client_is_lost(struct kafka_client *client, int64_t began_ns);
/* Asks a server for a topic, NULL: for none, until the deadline. *ret is to be destroyed. */
enum fh_code kafka_look(struct kafka_client *client, const struct kafka_options *options,
                        const char *topic, int64_t deadline_ns,
                        const struct rd_kafka_metadata **ret, struct fh_error *error);

/* ---- connection.c ---- */

enum fh_code kafka_connect(struct world *world, const json_t *options, int64_t deadline_ns,
                           struct broker **ret, struct fh_error *error);
void kafka_close(struct broker *base);
/* A new client in place of the former one: the producer, or one that only asks. On the producer's
 * thread. */
enum fh_code kafka_client_renew(struct kafka_broker *broker, bool publishes,
                                struct fh_error *error);

/* ---- topic.c ---- */

enum fh_code kafka_declare(struct broker *base, const struct broker_topic *topic,
                           int64_t deadline_ns, struct fh_error *error);

/* ---- publish.c ---- */

enum fh_code kafka_publish(struct broker *base, const struct broker_topic *topic,
                           const struct broker_message *messages, int count, int64_t deadline_ns,
                           struct fh_error *error);

/* ---- consumer.c, take.c, attach.c ---- */

enum fh_code kafka_consume(struct broker *base, const struct broker_topic *topic, const char *name,
                           unsigned index, unsigned of, int64_t deadline_ns,
                           struct broker_consumer **ret, struct fh_error *error);
void kafka_unconsume(struct broker_consumer *base);
enum fh_code kafka_take(struct broker_consumer *base, struct broker_message *messages, int max,
                        int64_t deadline_ns, int *ret_count, struct fh_error *error);
void kafka_wake(struct broker_consumer *base);
void kafka_acknowledge(struct broker_consumer *base, uint64_t mark);

#define KAFKA_MARKS_MAX                                                                            \
    16384 /* taken and not acknowledged; of older ones there is nothing known                      \
           */

/* Up to `mark`, a partition's messages before `next` need not come again. */
struct kafka_mark {
    uint64_t mark;
    int64_t next;
    int32_t partition;
};

struct kafka_consumer {
    struct broker_consumer base;
    struct kafka_client *client;
    rd_kafka_queue_t *queue;
    char topic[KAFKA_WORD_SIZE], group[KAFKA_WORD_SIZE];
    unsigned partitions, index, of;
    int wake_fd;
    rd_kafka_message_t *taken[BROKER_TAKE_MAX]; /* until the next take */
    int taken_count;
    struct kafka_mark *marks; /* a ring of KAFKA_MARKS_MAX */
    unsigned first_mark, mark_count;
    uint64_t mark;
    unsigned answers;           /* of the server, when they were last looked at, */
    int64_t quiet_ns;           /* and when there were others than before, or something to take */
    rd_kafka_resp_err_t failed; /* of a partition; not told yet */
    bool acknowledged;          /* something, since the last failure */
    bool source;                /* it reads a source, and keeps nothing at the server */
};

enum fh_code kafka_attach(struct broker *base, const char *topic, unsigned partition, int64_t from,
                          int64_t deadline_ns, struct broker_extent *ret_extent,
                          struct broker_consumer **ret, struct fh_error *error);
const char *kafka_header(const struct broker_message *message, const char *name,
                         size_t *ret_length);

/* What both ways to open a consumer do, on the opener's thread. */
struct kafka_opening {
    struct kafka_broker *broker;
    struct kafka_consumer *consumer;
    int64_t deadline_ns;
    enum fh_code code;
    struct fh_error *error;
};
typedef rd_kafka_resp_err_t kafka_offsets(rd_kafka_t *handle, rd_kafka_topic_partition_list_t *list,
                                          int timeout_ms);
/* Of the partitions p of so many for which p % of == index; its topic and group are to be named.
 * NULL: no memory. */
struct kafka_consumer *kafka_consumer_new(struct kafka_broker *broker, unsigned partitions,
                                          unsigned index, unsigned of);
enum fh_code kafka_open_client(struct kafka_opening *opening);
enum fh_code kafka_count_partitions(struct kafka_opening *opening, unsigned *ret);
enum fh_code kafka_ask_offsets(struct kafka_opening *opening, kafka_offsets *ask,
                               rd_kafka_topic_partition_list_t *list);
enum fh_code kafka_begin_at(struct kafka_opening *opening,
                            const rd_kafka_topic_partition_list_t *list);

/* The partitions that it reads, without offsets; NULL: no memory. */
rd_kafka_topic_partition_list_t *kafka_partitions_of(const struct kafka_consumer *consumer);

/* ---- server.c, rights.c, trespass.c: a private server ---- */

#define KAFKA_ADMINISTRATOR "@freehold" /* no service's user: their names begin with a letter */
#define KAFKA_MECHANISM "PLAIN"

extern const struct server_kind kafka_server;

/* As store/server.h has them; the user is KAFKA_ADMINISTRATOR whatever `as` says, and its "tls" is
 * to verify. Both block. */
enum fh_code kafka_enter(const json_t *as, struct fh_error *error);
enum fh_code kafka_settle(const json_t *as, const json_t *topics, struct fh_error *error);
enum fh_code kafka_trespass(struct broker *base, const struct broker_topic *topic, bool reads,
                            int64_t deadline_ns, char ret[static BROKER_OPEN_SIZE],
                            struct fh_error *error);

#endif
