/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CONFIRMS_H
#define BENCH_CONFIRMS_H

/*
 * What a broker's own client library does at its best: messages of one size from memory, as many
 * under way as it likes, until the server has confirmed every one. This is what the relay is
 * measured against; it reads no store, and writes no JSON.
 *
 *     confirms_NAME TOPIC COUNT SIZE [lone|through]
 *
 * The server is FREEHOLD_TEST_NAME's of the environment, as tools/servers tells it: {"host",
 * "port", "user", "password"}. Prints messages a second; with `through`, until a consumer that was
 * there before has got and acknowledged every one, too; with `lone`, how many milliseconds the
 * median one takes from its publisher to a consumer that waits for it, one after the other.
 * Anything that goes wrong ends it with 1.
 */

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONFIRMS_PARTITIONS 8
#define CONFIRMS_NAME_SIZE 160
#define CONFIRMS_ACKNOWLEDGED_EVERY 256

struct confirms {
    const char *topic;
    int count, size;
    char *message; /* of `size` bytes, and a NUL */
    json_t *server;
    const char *host, *user, *password;
    int port;
    bool lone, through;
    double *took_ms;  /* of each lone message */
    pthread_t reader; /* with `through` */
    double read_s;    /* when it had acknowledged all */
};

static inline _Noreturn void confirms_fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why ? why : "it does not say why");
    exit(1);
}

static inline double confirms_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline int confirms_number(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (*end || number < 1 || number > 100000000)
        confirms_fail(text, "it is no number of messages, or of bytes");
    return (int)number;
}

/* Of the n-th message. */
static inline unsigned confirms_partition(int n)
{
    return (unsigned)n % CONFIRMS_PARTITIONS;
}

static inline void confirms_begin(struct confirms *ret, int argc, char **argv, const char *variable)
{
    const char *told = getenv(variable);
    bool lone = argc == 5 && strcmp(argv[4], "lone") == 0;
    bool through = argc == 5 && strcmp(argv[4], "through") == 0;
    if ((argc != 4 && !lone && !through) || !told)
        confirms_fail(variable, "usage: TOPIC COUNT SIZE [lone|through], with that variable");
    *ret = (struct confirms){
        .topic = argv[1], .count = confirms_number(argv[2]), .size = confirms_number(argv[3])};
    ret->server = json_loads(told, 0, NULL);
    ret->host = json_string_value(json_object_get(ret->server, "host"));
    ret->user = json_string_value(json_object_get(ret->server, "user"));
    ret->password = json_string_value(json_object_get(ret->server, "password"));
    ret->port = (int)json_integer_value(json_object_get(ret->server, "port"));
    ret->message = malloc((size_t)ret->size + 1);
    ret->lone = lone;
    ret->through = through;
    ret->took_ms = calloc((size_t)ret->count, sizeof *ret->took_ms);
    if (!ret->host || !ret->user || !ret->password || !ret->message || !ret->took_ms)
        confirms_fail(variable, "it names no server, or there is no memory");
    memset(ret->message, 'x', (size_t)ret->size);
    ret->message[ret->size] = '\0';
}

/* With `through`: a thread that takes and acknowledges `count` messages; the consumer is there. */
static inline void confirms_read(struct confirms *confirms, void *(*read)(void *))
{
    if (confirms->through && pthread_create(&confirms->reader, NULL, read, confirms))
        confirms_fail("a thread", "it can't be started");
}

static inline int confirms_compare(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

static inline void confirms_end(struct confirms *confirms, double began_s)
{
    double ended_s = confirms_now_s();
    if (confirms->through) {
        pthread_join(confirms->reader, NULL);
        ended_s = confirms->read_s > ended_s ? confirms->read_s : ended_s;
    }
    qsort(confirms->took_ms, (size_t)confirms->count, sizeof *confirms->took_ms, confirms_compare);
    if (confirms->lone)
        printf("%.3f\n", confirms->took_ms[confirms->count / 2]);
    else
        printf("%.0f\n", confirms->count / (ended_s - began_s));
    free(confirms->took_ms);
    free(confirms->message);
    json_decref(confirms->server);
}

#endif
