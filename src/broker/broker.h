/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

/*
 * A broker: a server that carries events from a publisher's relay (event/relay) to subscriptions
 * (event/carried), and to whoever else may read its topics. This is the contract of a driver; each
 * has a folder of its own next to this file.
 *
 * Nothing that Freehold promises depends on a broker. The outbox is the truth: each message names
 * its position there, and that of the message before it in the same partition, so a subscription
 * sees what is missing, came twice or came late, and takes what is missing from the publisher's
 * feed. So a driver may lose, repeat and reorder messages when its server does, and need not
 * remember anything itself. It owes two things only:
 *
 * - `publish` returns FH_OK only once the server has acknowledged every message of the call. After
 *   any other result nothing is known of any of them, and the same messages are published again.
 * - What it hands out it has received: whole messages, unchanged.
 *
 * A driver should preserve the order of one partition's messages as far as its server does, since
 * readers outside of Freehold have nothing but that order.
 *
 * Topics. A publishing service has one topic, of so many partitions; an event's key decides which
 * one it belongs to (envelope_partition of event/envelope.h). What a topic and a partition are on a
 * server is the driver's business: a stream and its subjects, queues behind an exchange, a topic.
 *
 * A consumer reads the messages of one or several partitions for a named subscriber, beginning with
 * those that are published after it was first opened. The server remembers how far it has
 * acknowledged, under that name, and delivers the rest again to the next consumer of that name.
 *
 *   slot       required  parks  what it does
 *   connect    yes       yes    connects to the server, and authenticates
 *   close      yes       no     ends all that the connection does; its consumers are closed already
 *   declare    yes       yes    makes the topic with its partitions where it is missing; repeatable
 *   publish    yes       yes    sends messages, and waits until the server has acknowledged all
 *   consume    yes       yes    opens a consumer
 *   take       yes       yes    gets the next messages, or none by the deadline
 *   acknowledge yes      no     everything up to a mark need not be delivered again; may be lost
 *   unconsume  yes       no     closes a consumer, in which nobody is waiting
 *   attach     no        yes    opens a consumer of a source
 *   header     no        no     a header of a message that was taken from a source
 *
 * Sources. A topic that others than Freehold publish to, and which is there already, is read by
 * `attach`, `take` and `unconsume`. Here a driver owes more: there is no feed to ask. Whatever is
 * in a partition has an offset, which never means another message while the topic lives, and
 * messages come in the order of their offsets, beginning with the one that was asked for, without
 * leaving out any that is there. The subscription keeps the offset (event/source/bus.h); the server
 * need not know how far it is.
 *
 * A connection that is lost is made again by the driver, as long as it is open: until then,
 * `publish` and `take` return FH_UNAVAILABLE, at once or by their deadlines. Errors name the
 * server, and never a password. A driver whose library has threads starts them in `connect`; they
 * run no code but the library's and the driver's, and wake the loop.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define BROKER_MESSAGE_SIZE_MAX ((size_t)1 << 20) /* larger events travel as a reference */
#define BROKER_TOPIC_LENGTH_MAX 128               /* letters, digits, '-' and '_' */
#define BROKER_NAME_LENGTH_MAX 128                /* of a consumer: likewise */
#define BROKER_PARTITIONS_MAX 256
#define BROKER_TAKE_MAX 512
#define BROKER_OPEN_SIZE 256

struct world;
struct server_kind;     /* store/server.h */
struct broker;          /* a connection: each driver defines its own, which begins with this one */
struct broker_consumer; /* likewise */

/* A CloudEvent in structured mode (application/cloudevents+json). */
struct broker_message {
    unsigned partition;
    const char *data; /* borrowed: until publish returns, or until the next take of this consumer */
    size_t length;
    const char *id; /* to publish: the event's, for servers that drop repetitions by it */
    /* To publish: the event's key, or NULL. Readers outside see it where messages have keys; a
     * driver does not choose the partition by it. Of a source: what its publisher gave, any bytes
     * of this length, or NULL. */
    const char *key;
    size_t key_length;
    uint64_t mark;   /* taken: for acknowledge; rises within a consumer */
    int64_t offset;  /* of a source */
    int64_t time_ms; /* of a source: when it was published; 0: not known */
    const void *native;
};

#define BROKER_FROM_OLDEST INT64_C(-1)
#define BROKER_FROM_END INT64_C(-2)

/* What a partition of a source has. */
struct broker_extent {
    int64_t oldest; /* the offset of its first message, or `end` */
    int64_t end;    /* that the next message will have, or a later one */
    unsigned partitions;
    /* Another text for another topic of the same name, as far as the server can tell. */
    char identity[64];
};

struct broker_topic {
    const char *name;
    unsigned partitions;
};

struct broker_driver {
    const char *name;  /* as system files spell it */
    const char *title; /* as people write it */
    /* For system files; may be missing. */
    int port;            /* the usual one */
    int port_tls;        /* the usual one of links by TLS; 0: the same */
    const char *options; /* those it has besides host, port, user, password, tls and partitions,
                            separated by spaces */
    /* How a password is shown to a private one, as the option "mechanism" says it; NULL: there is
     * no such option. */
    const char *mechanism;
    /* Whether `options` are right, and the client library is there; connects to nobody.
     * FH_INVALID: they are wrong; FH_UNSUPPORTED: the library is not there. */
    enum fh_code (*check)(const json_t *options, struct fh_error *error);
    /* FH_OK, or FH_UNAVAILABLE: the connection is lost and being made again, as publish and take
     * would say now. Does not wait. May be missing. */
    enum fh_code (*connected)(struct broker *broker, struct fh_error *error);
    /* Tries what only others may do in a topic that the connection's user has no right to, or may
     * only read (`reads`), without doing it: what it could do, in words; "" when everything was
     * refused. Parks. May be missing: then nobody is told that users are kept apart. */
    enum fh_code (*trespass)(struct broker *broker, const struct broker_topic *topic, bool reads,
                             int64_t deadline_ns, char ret[BROKER_OPEN_SIZE],
                             struct fh_error *error);
    /* How a private one is run, which listens on a port; NULL: there are none. */
    const struct server_kind *server;

    /* `options` is a service's configuration of the bus (service/buses.h). FH_UNAVAILABLE: try
     * again later; FH_INVALID: it never will; FH_UNSUPPORTED: the library is not there. */
    enum fh_code (*connect)(struct world *world, const json_t *options, int64_t deadline_ns,
                            struct broker **ret, struct fh_error *error);
    void (*close)(struct broker *broker);
    /* FH_CONFLICT: the topic is there with another number of partitions. */
    enum fh_code (*declare)(struct broker *broker, const struct broker_topic *topic,
                            int64_t deadline_ns, struct fh_error *error);
    enum fh_code (*publish)(struct broker *broker, const struct broker_topic *topic,
                            const struct broker_message *messages, int count, int64_t deadline_ns,
                            struct fh_error *error);
    /* Reads the partitions p of the topic for which p % of == index. */
    enum fh_code (*consume)(struct broker *broker, const struct broker_topic *topic,
                            const char *name, unsigned index, unsigned of, int64_t deadline_ns,
                            struct broker_consumer **ret, struct fh_error *error);
    /* At most `max` (of BROKER_TAKE_MAX) messages; *ret_count 0: none came by the deadline. */
    enum fh_code (*take)(struct broker_consumer *consumer, struct broker_message *messages, int max,
                         int64_t deadline_ns, int *ret_count, struct fh_error *error);
    /* A take that waits looks again. */
    void (*wake)(struct broker_consumer *consumer);
    void (*acknowledge)(struct broker_consumer *consumer, uint64_t mark);
    void (*unconsume)(struct broker_consumer *consumer);

    /* Of sources: both, or neither. Begins with the message at `from`, or, where that is gone, with
     * the first one behind it; BROKER_FROM_OLDEST and BROKER_FROM_END. Once the extent is known it
     * is set, whatever is returned.
     * FH_CONFLICT: `from` lies beyond the end; FH_INVALID: the topic is of a kind that can't be a
     * source. When `take` fails it may be because messages were removed before they were taken:
     * then a new consumer shows which are left. */
    enum fh_code (*attach)(struct broker *broker, const char *topic, unsigned partition,
                           int64_t from, int64_t deadline_ns, struct broker_extent *ret_extent,
                           struct broker_consumer **ret, struct fh_error *error);
    /* NULL: it has none of this name, which is any of HTTP's or a CloudEvent's attribute with
     * `attributes` before it. Until the consumer's next take. */
    const char *(*header)(const struct broker_message *message, const char *name,
                          size_t *ret_length);
    const char *attributes; /* "ce_" */
    /* Where messages were removed before a consumer took them `take` does not fail, but goes on
     * behind them: whoever misses an offset has to attach again to see whether that was so. */
    bool skips;
};

struct broker {
    const struct broker_driver *driver;
    struct world *world;
};

struct broker_consumer {
    struct broker *broker;
    int64_t end; /* of a source: the newest extent's, as far as `take` has learnt it */
    bool cancelled;
};

/* From now on no take waits, and one that does ends as at its deadline. */
static inline void broker_cancel(struct broker_consumer *consumer)
{
    consumer->cancelled = true;
    consumer->broker->driver->wake(consumer);
}

/* For `trespass`: adds what could be done to `open`. */
static inline void broker_open_add(char open[static BROKER_OPEN_SIZE], const char *what)
{
    size_t length = strlen(open);
    snprintf(open + length, BROKER_OPEN_SIZE - length, "%s%s", length ? ", " : "", what);
}

/* From the build (src/broker/meson.build); the last one is NULL. */
extern const struct broker_driver *const brokers_built_in[];
/* Names of the drivers that this build lacks, ending with NULL. */
extern const char *const brokers_lacking[];

/* Adds a driver, as simulations and tests do. Ends the process if a slot is missing or the name is
 * taken. Call it before there are threads. */
void broker_register(const struct broker_driver *driver);
/* NULL: not built in. */
const struct broker_driver *broker_driver_named(const char *name);
/* The driver after this one (NULL: the first); NULL: no more. */
const struct broker_driver *broker_driver_next(const struct broker_driver *driver);

#endif
