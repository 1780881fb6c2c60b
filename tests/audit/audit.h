/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_H
#define AUDIT_H

/*
 * The audit: a client that believes nothing. It shares no code with the runtime and links nothing
 * of it; all it knows is HTTP and two routes. It writes entries through many connections, kills
 * processes meanwhile, keeps a journal of what was acknowledged, and compares that with what both
 * stores hold in the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KEYS 2048
#define CONNECTIONS_MAX 512
#define CLUMSY 64 /* one request in so many is given up unread, one answer asked for again */
#define ATTEMPT_MS_MAX 15000
#define STANDSTILL_MS_MAX 90000

/* Ends the program with a sentence. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
int64_t now_ms(void);
uint64_t chance(void); /* of the seed */
void chance_seed(uint64_t seed);

/* ---- journal.c: what was acknowledged ---- */

struct entry {
    int64_t id; /* as it was answered */
    uint64_t value;
};

struct journal {
    struct entry *entries[KEYS]; /* number 1 is [0] */
    uint32_t counts[KEYS], sizes[KEYS];
    int64_t total;
};

void journal_add(struct journal *journal, uint32_t key, int64_t id, uint64_t value);

/* ---- exchange.c: one request and its answer ---- */

#define REQUEST_SIZE 1024

struct answer {
    int status;
    char *body; /* ends in NUL; owned by the exchange until its next request */
    size_t length;
};

struct exchange {
    int fd; /* -1: not connected */
    char request[REQUEST_SIZE];
    size_t request_length, sent;
    char *buffer;
    size_t buffer_size, filled;
    bool closing; /* the server keeps the connection no longer */
};

enum progress { PROGRESS_MORE, PROGRESS_DONE, PROGRESS_BROKEN };

void exchange_connect(struct exchange *exchange, uint16_t port); /* without waiting */
void exchange_close(struct exchange *exchange);
/* Both do what can be done without waiting. */
enum progress exchange_send(struct exchange *exchange);
enum progress exchange_receive(struct exchange *exchange, struct answer *ret);
/* GETs until there is a 200; dies when there is none for too long. */
void exchange_get(struct exchange *exchange, uint16_t port, const char *path, struct answer *ret);

/* ---- system.c: what is started, killed and stopped ---- */

struct victims {
    const char *state;
    pid_t killed[3]; /* the last of each */
    int counts[3];
};

uint16_t system_up(const char *freehold, const char *file, const char *state, const char *profile);
void system_stop(const char *freehold, const char *state);
/* kill -9 of one process at random; false: that one is not back from the last time. */
bool system_kill(struct victims *victims);
const char *system_victim(int index);

/* ---- compare.c ---- */

/* Reads a whole store through `path` and says what of the journal is lost, doubled, out of order
 * or other than acknowledged; 0: nothing. `with_ids`: rows carry the ids that were answered. */
int64_t compare(const struct journal *journal, uint16_t port, const char *path, bool with_ids);

#endif
