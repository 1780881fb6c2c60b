/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes, kills, and compares.
 *
 *     audit FREEHOLD FILE STATE WRITES KILLS SEED
 *
 * Each key belongs to one connection, which writes the key's number n + 1 only when n has been
 * acknowledged, each write under an Idempotency-Key of its own, asked again under the same key
 * until there is a 201. So afterwards each store must hold, for each key, 1 to n in that order, no
 * more and no less. Some requests are given up before their answer is read, and some that were
 * answered are made once more: the answer must be the one that there was.
 *
 * Kills are spread evenly over the writes, each at a moment of chance shortly after; who is killed
 * is chance too. The seed repeats what chance draws, not what the machine does.
 */

#define _GNU_SOURCE
#include "audit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 64
#define PAUSE_MS_MAX 200
#define TICK_MS 5
#define PROGRESS_MS 10000
#define KILL_DELAY_MS_MAX 50

enum doing { PAUSING, SENDING, AWAITING, RESTING };

struct client {
    struct exchange exchange;
    enum doing doing;
    int64_t until_ms; /* of a pause, or of an attempt */
    int pause_ms;
    uint32_t index, key, number;
    uint64_t value;
    bool again;   /* it was answered, and is asked once more */
    bool give_up; /* this attempt's answer is not waited for */
};

struct audit {
    struct client clients[CONNECTIONS];
    struct journal journal;
    struct victims victims;
    int epoll, resting;
    uint16_t port;
    int64_t wanted, taken; /* taken: acknowledged or under way */
    int kills, killed;
    int64_t kill_at_ms, last_ms, outage_ms, repeated, given_up, asked_twice, wrong;
};

static uint64_t chance_state;

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void chance_seed(uint64_t seed)
{
    chance_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

uint64_t chance(void)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return chance_state >> 11;
}

/* ---- One client: pause, send, await, and again ---- */

static void attempt(struct audit *audit, struct client *client);

static void pause_client(struct audit *audit, struct client *client)
{
    exchange_close(&client->exchange);
    audit->repeated++;
    client->doing = PAUSING;
    client->until_ms = now_ms() + 1 + (int64_t)(chance() % (uint64_t)client->pause_ms);
    client->pause_ms = client->pause_ms >= PAUSE_MS_MAX ? PAUSE_MS_MAX : client->pause_ms * 2;
}

static void write_request(struct audit *audit, struct client *client)
{
    char body[128];
    int length = snprintf(body, sizeof body,
                          "{\"series\":\"k%u\",\"number\":%u,\"value\":\"%016" PRIx64 "\"}",
                          client->key, client->number, client->value);
    int whole = snprintf(client->exchange.request, REQUEST_SIZE,
                         "POST /entries HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                         "Content-Type: application/json\r\nIdempotency-Key: k%u-%u\r\n"
                         "Content-Length: %d\r\n\r\n%s",
                         audit->port, client->key, client->number, length, body);
    client->exchange.request_length = (size_t)whole;
}

static void next_entry(struct audit *audit, struct client *client)
{
    client->pause_ms = 10;
    client->again = false;
    if (audit->taken == audit->wanted) {
        client->doing = RESTING;
        audit->resting++;
        return;
    }
    audit->taken++;
    client->key = client->index + CONNECTIONS * (uint32_t)(chance() % (KEYS / CONNECTIONS));
    client->number = audit->journal.counts[client->key] + 1;
    client->value = chance();
    write_request(audit, client);
    attempt(audit, client);
}

static void acknowledged(struct audit *audit, struct client *client, const struct answer *answer)
{
    const char *id_text = strstr(answer->body, "\"id\":");
    int64_t id = id_text ? strtoll(id_text + 5, NULL, 10) : 0;
    if (client->again) {
        if (audit->journal.entries[client->key][client->number - 1].id != id) {
            audit->wrong++;
            printf("  k%u-%u was answered with another id when it was asked again: %s\n",
                   client->key, client->number, answer->body);
        }
        next_entry(audit, client);
        return;
    }
    int64_t now = now_ms();
    if (now - audit->last_ms > audit->outage_ms)
        audit->outage_ms = now - audit->last_ms;
    audit->last_ms = now;
    journal_add(&audit->journal, client->key, id, client->value);
    client->again = chance() % CLUMSY == 0;
    audit->asked_twice += client->again;
    if (client->again)
        attempt(audit, client);
    else
        next_entry(audit, client);
}

static void answered(struct audit *audit, struct client *client, const struct answer *answer)
{
    if (client->exchange.closing)
        exchange_close(&client->exchange);
    if (answer->status == 201)
        acknowledged(audit, client, answer);
    else if (answer->status == 429 || answer->status >= 500)
        pause_client(audit, client);
    else
        die("k%u-%u was answered with %d: %s", client->key, client->number, answer->status,
            answer->body);
}

static void go_on(struct audit *audit, struct client *client)
{
    if (client->doing == SENDING) {
        enum progress progress = exchange_send(&client->exchange);
        if (progress == PROGRESS_BROKEN)
            pause_client(audit, client);
        if (progress != PROGRESS_DONE)
            return;
        client->doing = AWAITING;
        if (client->give_up) {
            audit->given_up++;
            pause_client(audit, client);
            return;
        }
    }
    if (client->doing != AWAITING)
        return;
    struct answer answer;
    enum progress progress = exchange_receive(&client->exchange, &answer);
    if (progress == PROGRESS_BROKEN)
        pause_client(audit, client);
    else if (progress == PROGRESS_DONE)
        answered(audit, client, &answer);
}

static void attempt(struct audit *audit, struct client *client)
{
    if (client->exchange.fd < 0) {
        exchange_connect(&client->exchange, audit->port);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = client};
        if (client->exchange.fd >= 0 &&
            epoll_ctl(audit->epoll, EPOLL_CTL_ADD, client->exchange.fd, &event) != 0)
            die("epoll: %s.", strerror(errno));
    }
    client->doing = SENDING;
    client->give_up = chance() % CLUMSY == 0;
    client->until_ms = now_ms() + ATTEMPT_MS_MAX;
    enum progress progress = exchange_send(&client->exchange);
    if (progress == PROGRESS_BROKEN)
        pause_client(audit, client);
    else if (progress == PROGRESS_DONE && !client->give_up)
        client->doing = AWAITING;
    else if (progress == PROGRESS_DONE)
        go_on(audit, client);
}

/* ---- All of it ---- */

static void look_at_the_time(struct audit *audit)
{
    int64_t now = now_ms();
    for (int i = 0; i < CONNECTIONS; i++) {
        struct client *client = &audit->clients[i];
        if (client->doing == RESTING || now < client->until_ms)
            continue;
        if (client->doing == PAUSING)
            attempt(audit, client);
        else
            pause_client(audit, client);
    }
    if (now - audit->last_ms > STANDSTILL_MS_MAX)
        die("Nothing was acknowledged for %d s.", STANDSTILL_MS_MAX / 1000);
    bool due = audit->killed < audit->kills &&
               audit->journal.total >= audit->wanted / (audit->kills + 1) * (audit->killed + 1);
    if (due && !audit->kill_at_ms)
        audit->kill_at_ms = now + (int64_t)(chance() % KILL_DELAY_MS_MAX);
    if (due && now >= audit->kill_at_ms && system_kill(&audit->victims)) {
        audit->killed++;
        audit->kill_at_ms = 0;
    }
}

static void write_and_kill(struct audit *audit)
{
    struct epoll_event events[CONNECTIONS];
    int64_t looked_ms = 0, shown_ms = now_ms(), begun_ms = shown_ms;
    audit->last_ms = shown_ms;
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        audit->clients[i] = (struct client){.exchange.fd = -1, .index = i};
        next_entry(audit, &audit->clients[i]);
    }
    while (audit->resting < CONNECTIONS) {
        int count = epoll_wait(audit->epoll, events, CONNECTIONS, TICK_MS);
        for (int i = 0; i < count; i++)
            go_on(audit, events[i].data.ptr);
        int64_t now = now_ms();
        if (now - looked_ms >= TICK_MS)
            look_at_the_time(audit);
        looked_ms = now - looked_ms >= TICK_MS ? now : looked_ms;
        if (now - shown_ms >= PROGRESS_MS) {
            shown_ms = now;
            printf("  %" PRId64 " of %" PRId64 " writes, %d of %d kills, %" PRId64 " s\n",
                   audit->journal.total, audit->wanted, audit->killed, audit->kills,
                   (now - begun_ms) / 1000);
            fflush(stdout);
        }
    }
    int64_t took_ms = now_ms() - begun_ms;
    printf("%" PRId64 " writes acknowledged in %" PRId64 " s (%" PRId64 "/s), %d kill -9 (",
           audit->journal.total, took_ms / 1000, audit->journal.total * 1000 / (took_ms + 1),
           audit->killed);
    for (int i = 0; i < 3; i++)
        printf("%s%s %d", i ? ", " : "", system_victim(i), audit->victims.counts[i]);
    printf(")\n%" PRId64 " attempts repeated, %" PRId64 " given up unread, %" PRId64
           " asked again when answered, longest outage %" PRId64 " ms\n",
           audit->repeated, audit->given_up, audit->asked_twice, audit->outage_ms);
    fflush(stdout);
}

static int64_t number(const char *text, int64_t least)
{
    char *end;
    long long found = strtoll(text, &end, 10);
    if (*end || end == text || found < least)
        die("%s: expected a number from %" PRId64 " on.", text, least);
    return found;
}

int main(int count, char **arguments)
{
    static struct audit audit;
    if (count != 7 && count != 8)
        die("Usage: audit FREEHOLD FILE STATE WRITES KILLS SEED [PROFILE]");
    audit.wanted = number(arguments[4], 1);
    audit.kills = (int)number(arguments[5], 0);
    chance_seed((uint64_t)number(arguments[6], 0));
    audit.victims.state = arguments[3];
    audit.epoll = epoll_create1(EPOLL_CLOEXEC);
    printf("seed %s\n", arguments[6]);
    audit.port = system_up(arguments[1], arguments[2], arguments[3], arguments[7]);
    write_and_kill(&audit);
    int64_t wrong = audit.wrong;
    if (audit.killed < audit.kills) {
        printf("%d kills were wanted, %d came about\n", audit.kills, audit.killed);
        wrong++;
    }
    wrong += compare(&audit.journal, audit.port, "/entries", true);
    wrong += compare(&audit.journal, audit.port, "/heard", false);
    system_stop(arguments[1], arguments[3]);
    printf("%s\n", wrong ? "The audit has FAILED." : "What was acknowledged is there, in order.");
    return wrong ? 1 : 0;
}
