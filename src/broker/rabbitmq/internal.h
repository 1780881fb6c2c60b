/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RABBITMQ_INTERNAL_H
#define BROKER_RABBITMQ_INTERNAL_H

/* Within the driver: what its files share. README.md says how it works. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "broker/broker.h"
#include "broker/rabbitmq/library.h"
#include "broker/worker.h"
#include "store/tls.h"
#include "world/world.h"

#define RABBITMQ_PORT 5672
#define RABBITMQ_PORT_TLS 5671
#define RABBITMQ_NAME_SIZE 256 /* of a queue, an exchange or a routing key: 255 bytes */
#define RABBITMQ_CHANNEL 1     /* the only one of a connection, but where it is mended */
#define RABBITMQ_CHANNELS_MAX (2 * BROKER_PARTITIONS_MAX + 1)
#define RABBITMQ_NS_A_MS INT64_C(1000000)
#define RABBITMQ_RETRY_MS 250 /* between two attempts to connect */
#define RABBITMQ_TRY_MS 2000  /* one of them, while nobody waits for it */

struct rabbitmq_options {
    char host[256], vhost[128], user[128], password[256];
    int port, replicas;
    int64_t keep_s, keep_bytes;
    int64_t outside_kept_s; /* of a publisher: its topic has a stream that keeps them so long */
    struct store_tls tls;
};

enum fh_code rabbitmq_options_read(const json_t *options, struct rabbitmq_options *ret,
                                   struct fh_error *error);

/* ---- link.c: a connection, and what all files say of it ---- */

/* Everything is the link's thread's alone but for what is told apart. */
struct rabbitmq_link {
    const struct rabbitmq_options *options;
    amqp_connection_state_t connection; /* NULL: there is none */
    bool channel;                       /* is open */
    uint64_t channels;                  /* that were opened */
    int64_t retry_ns;                   /* when to connect next */
    bool blocked;                       /* the server takes no messages from anybody */
    _Atomic bool up;                    /* any thread */
    pthread_mutex_t mutex;
    int fd;           /* behind the mutex: the connection's, or -1 */
    char reason[256]; /* behind the mutex: why it is not up, or blocked; a whole sentence */
};

int64_t rabbitmq_now_ns(void);
int64_t rabbitmq_in_ms(int64_t ms);
void rabbitmq_link_init(struct rabbitmq_link *link, const struct rabbitmq_options *options);
void rabbitmq_link_release(struct rabbitmq_link *link); /* closes it */
/* Connects, and opens the channel. */
enum fh_code rabbitmq_link_open(struct rabbitmq_link *link, int64_t deadline_ns,
                                struct fh_error *error);
/* Opens the channel, if the server has closed it. */
enum fh_code rabbitmq_link_channel(struct rabbitmq_link *link, struct fh_error *error);
/* Forgets the connection. */
void rabbitmq_link_lose(struct rabbitmq_link *link, const char *why);
/* The next frame of a channel: 1; 0: none by then; -1: the connection is lost. It is valid until
 * the next call. */
int rabbitmq_link_frame(struct rabbitmq_link *link, amqp_frame_t *ret, int64_t until_ns);
/* The server's words, when it has closed the channel; answers it. */
void rabbitmq_link_closed(struct rabbitmq_link *link, const amqp_method_t *method, char *ret,
                          size_t size);
/* Waits until there is something to read (`reads`), or at wake_fd, or until then. */
void rabbitmq_link_wait(struct rabbitmq_link *link, int wake_fd, int64_t until_ns, bool reads);
/* Says to the server that we are here, for when nothing is read for a while. */
void rabbitmq_link_beat(struct rabbitmq_link *link);
/* Until when calls of the library may take, from now on. */
void rabbitmq_link_until(struct rabbitmq_link *link, int64_t deadline_ns);
/* How the last call of the library went that has an answer: FH_OK, or `error` says
 * "RabbitMQ at 127.0.0.1:5672 WHAT: ...". The channel or the connection is closed then. */
enum fh_code rabbitmq_link_answer(struct rabbitmq_link *link, const char *what,
                                  struct fh_error *error);

/* On any thread. FH_OK, or FH_UNAVAILABLE and `reason`. */
enum fh_code rabbitmq_link_state(struct rabbitmq_link *link, struct fh_error *error);
/* On any thread: whatever the link's thread waits for at its connection ends at once. */
void rabbitmq_link_cut(struct rabbitmq_link *link);

static inline amqp_bytes_t rabbitmq_bytes(const char *text)
{
    /* The library only reads it. */
    return (amqp_bytes_t){.len = __builtin_strlen(text), .bytes = (void *)(uintptr_t)text};
}

/* ---- server.c, trespass.c: a private server ---- */

extern const struct server_kind rabbitmq_server;
enum fh_code rabbitmq_trespass(struct broker *base, const struct broker_topic *topic, bool reads,
                               int64_t deadline_ns, char ret[static BROKER_OPEN_SIZE],
                               struct fh_error *error);

/* ---- topic.c: exchanges and queues, and their names ---- */

void rabbitmq_exchange_name(const struct broker_topic *topic, char ret[static RABBITMQ_NAME_SIZE]);
/* Of a subscriber and one of a topic's partitions. */
void rabbitmq_queue_name(const struct broker_topic *topic, unsigned partition, const char *name,
                         char ret[static RABBITMQ_NAME_SIZE]);
/* Of what is held for readers outside. */
void rabbitmq_stream_name(const struct broker_topic *topic, char ret[static RABBITMQ_NAME_SIZE]);
/* Who deletes it shuts out the consumer that has it. */
void rabbitmq_owner_name(const struct broker_topic *topic, const char *name, unsigned index,
                         unsigned of, char ret[static RABBITMQ_NAME_SIZE]);
/* FH_CONFLICT: it has another number of partitions. */
enum fh_code rabbitmq_topic_declare(struct rabbitmq_link *link, const struct broker_topic *topic,
                                    struct fh_error *error);
/* FH_UNAVAILABLE: nobody has declared it yet. */
enum fh_code rabbitmq_topic_find(struct rabbitmq_link *link, const struct broker_topic *topic,
                                 struct fh_error *error);
/* FH_CONFLICT: it is there with other properties. */
enum fh_code rabbitmq_queue_declare(struct rabbitmq_link *link, const struct broker_topic *topic,
                                    unsigned partition, const char *queue, struct fh_error *error);

/* ---- publisher.c, publish.c: a connection to publish by ---- */

struct rabbitmq_broker {
    struct broker base;
    struct rabbitmq_options options;
    struct broker_worker *worker;
    struct rabbitmq_link link;
    uint64_t confirms;  /* which of the link's channels does */
    uint64_t published; /* messages on it */
    uint64_t held;      /* on which of them the stream for readers outside was seen */
};

static inline struct rabbitmq_broker *rabbitmq_of(struct broker *broker)
{
    return (struct rabbitmq_broker *)broker;
}

enum fh_code rabbitmq_connect(struct world *world, const json_t *options, int64_t deadline_ns,
                              struct broker **ret, struct fh_error *error);
void rabbitmq_close(struct broker *base);
enum fh_code rabbitmq_declare(struct broker *base, const struct broker_topic *topic,
                              int64_t deadline_ns, struct fh_error *error);
/* Runs a call on a link's thread; what takes much longer than until the deadline is cut off. */
void rabbitmq_run(struct world *world, struct rabbitmq_link *link, struct broker_worker *worker,
                  void (*run)(void *), void *argument, int64_t deadline_ns);
enum fh_code rabbitmq_publish(struct broker *base, const struct broker_topic *topic,
                              const struct broker_message *messages, int count, int64_t deadline_ns,
                              struct fh_error *error);

/* ---- consumer.c, consume.c, mend.c, arrive.c, take.c: a connection for each consumer ---- */

#define RABBITMQ_UNACKNOWLEDGED_MAX 4096 /* of a partition; then the server sends no more */
#define RABBITMQ_WAITING_MAX 4096        /* here, until they are taken */
#define RABBITMQ_WAITING_SIZE_MAX ((size_t)8 << 20) /* likewise, in bytes */

/* A message that came and was not taken. */
struct rabbitmq_arrived {
    struct rabbitmq_arrived *next;
    unsigned partition;
    uint64_t mark;
    int64_t offset, time_ms; /* of a source */
    size_t length, headers_size;
    char data[]; /* and behind it the headers, of a source: properties.c */
};

/* What it takes of the memory for what waits. */
static inline size_t rabbitmq_arrived_size(const struct rabbitmq_arrived *arrived)
{
    return sizeof *arrived + arrived->length + arrived->headers_size;
}

/* Oldest first. */
struct rabbitmq_list {
    struct rabbitmq_arrived *first, **end;
    int count;
    size_t size; /* with all that belongs to them */
};

/* What is coming: a message's method, header and body are frames of their own. */
struct rabbitmq_coming {
    bool method, header, ours;
    unsigned partition;
    uint64_t tag;
    uint64_t size, got;
    struct rabbitmq_arrived *arrived; /* NULL: it is too large, and left out */
};

struct rabbitmq_consumer {
    struct broker_consumer base;
    struct broker_topic topic;
    char topic_name[BROKER_TOPIC_LENGTH_MAX + 1], name[BROKER_NAME_LENGTH_MAX + 1];
    unsigned index, of;
    struct broker_worker *worker;
    int wake_fd; /* of the fiber that takes */

    /* the thread's */
    struct rabbitmq_options options;
    struct rabbitmq_link link;
    bool source; /* it reads a stream of others: attach.c */
    char stream[RABBITMQ_NAME_SIZE];
    int64_t from;             /* this offset on */
    bool bound;               /* its queues were there once */
    bool superseded;          /* by another one of its name, or its connection is lost: for ever */
    unsigned asked, attached; /* of its queues: to be read, and those of them that are */
    int64_t attach_ns;        /* since when the next of them is waited for */
    uint64_t base_mark;       /* of the delivery tag 0 of this connection */
    uint64_t newest_mark;     /* of all that came */
    uint64_t acknowledged;    /* the newest mark */
    struct rabbitmq_coming coming;
    struct rabbitmq_list read; /* of this look at the connection, and not handed over yet */
    int64_t handed_over_ns;    /* when messages were, last */
    int64_t gather_until_ns;   /* until then they are left to the connection; 0: they come slowly */

    /* any thread's */
    _Atomic uint64_t acknowledge; /* up to this mark */
    pthread_mutex_t mutex;        /* for the rest */
    struct rabbitmq_list waiting;
    bool lost; /* `reason` says why */
    char reason[256];

    /* the loop's */
    struct rabbitmq_arrived *taken[BROKER_TAKE_MAX]; /* until the next take */
    int taken_count;
    uint64_t handed; /* the newest mark that was taken */
};

enum fh_code rabbitmq_consume(struct broker *base, const struct broker_topic *topic,
                              const char *name, unsigned index, unsigned of, int64_t deadline_ns,
                              struct broker_consumer **ret, struct fh_error *error);
void rabbitmq_unconsume(struct broker_consumer *base);
/* On the thread, while there is nothing else to do: reads, acknowledges and connects again. */
void rabbitmq_consumer_idle(void *argument, int wake_fd);
/* On the thread: finds its topic, makes its queues, and shuts out another one of this name. */
enum fh_code rabbitmq_consumer_open(struct rabbitmq_consumer *consumer, int64_t deadline_ns,
                                    struct fh_error *error);
/* On the thread: bounds what is delivered to it, from the next call on. */
enum fh_code rabbitmq_consumer_bound(struct rabbitmq_link *link, int64_t deadline_ns,
                                     struct fh_error *error);
/* On the thread, without its connection: deletes those of its queues that do not answer. */
void rabbitmq_consumer_mend(struct rabbitmq_consumer *consumer);
/* On the thread: tells the server what was acknowledged. */
void rabbitmq_consumer_acknowledge(struct rabbitmq_consumer *consumer);
/* On the thread: what was read waits for `take` from now on. */
void rabbitmq_consumer_hand_over(struct rabbitmq_consumer *consumer);
/* On the thread: forgets what came by a connection that is lost, and says why it is. */
void rabbitmq_consumer_lost(struct rabbitmq_consumer *consumer, const char *why);
void rabbitmq_consumer_wake(struct rabbitmq_consumer *consumer); /* the fiber */

/* ---- attach.c, properties.c: sources ---- */

#define RABBITMQ_STREAM_OFFSET "x-stream-offset"
#define RABBITMQ_STREAM_LENGTH_MAX 240 /* of a source's topic */

enum fh_code rabbitmq_attach(struct broker *base, const char *topic, unsigned partition,
                             int64_t from, int64_t deadline_ns, struct broker_extent *ret_extent,
                             struct broker_consumer **ret, struct fh_error *error);
const char *rabbitmq_header(const struct broker_message *message, const char *name,
                            size_t *ret_length);
/* A consumer of one partition that is not open yet: rabbitmq_unconsume frees it. */
enum fh_code rabbitmq_source_new(struct broker *base, unsigned partition,
                                 struct rabbitmq_consumer **ret, struct fh_error *error);
bool rabbitmq_is_text(amqp_bytes_t bytes, const char *text);
/* A message's offset; negative: it has none. */
int64_t rabbitmq_offset_of(const amqp_basic_properties_t *properties);
int64_t rabbitmq_time_of(const amqp_basic_properties_t *properties);
/* Its headers, and their size; `ret` NULL: the size alone. */
size_t rabbitmq_headers(const amqp_basic_properties_t *properties, char *ret);

/* How many queues it has, and the name of one of them; returns its partition. */
unsigned rabbitmq_consumer_queues(const struct rabbitmq_consumer *consumer);
unsigned rabbitmq_consumer_queue(const struct rabbitmq_consumer *consumer, unsigned number,
                                 char ret[static RABBITMQ_NAME_SIZE]);

#define RABBITMQ_OWNER_TAG                                                                         \
    "owner" /* of the queue that says whose the consumer's partitions are                          \
             */

/* On the thread: a frame of the channel. False: the connection is to be given up, and *ret_why says
 * why. */
bool rabbitmq_consumer_frame(struct rabbitmq_consumer *consumer, const amqp_frame_t *frame,
                             char *ret_why, size_t size);
enum fh_code rabbitmq_take(struct broker_consumer *base, struct broker_message *messages, int max,
                           int64_t deadline_ns, int *ret_count, struct fh_error *error);
void rabbitmq_wake(struct broker_consumer *base);
void rabbitmq_acknowledge(struct broker_consumer *base, uint64_t mark);

#endif
