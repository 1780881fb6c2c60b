/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's loop, and what a run's seed does to the server. See model.h.
 *
 * Links that both ends have given up are forgotten at the next turn.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/redis/model.h"

#define COMMAND_NS_MIN ((int64_t)2000)
#define COMMAND_NS_MAX ((int64_t)20000)
#define SYNC_NS_MIN ((int64_t)30000)
#define SYNC_NS_MAX ((int64_t)1500000)
#define WORDS_MAX 600000
#define CLOCK_STEP_MS_MAX 3000

/* ---- One command ---- */

static struct served_reply *answer_info(const struct served *served)
{
    char text[400];
    int64_t ms = served_now_ms(served);
    snprintf(text, sizeof text,
             "redis_version:7.0.15\r\nserver_time_usec:%lld\r\nloading:0\r\n"
             "maxmemory_policy:noeviction\r\naof_enabled:1\r\nrole:master\r\n"
             "cluster_enabled:0\r\n",
             (long long)ms * 1000);
    return served_string(text);
}

static struct served_reply *answer_settings(void)
{
    struct served_reply *list = served_list();
    served_list_add(list, served_string("appendfsync"));
    served_list_add(list, served_string("always"));
    served_list_add(list, served_string("no-appendfsync-on-rewrite"));
    served_list_add(list, served_string("no"));
    return list;
}

struct served_reply *served_serve(struct served *served, int count, const char *const *words,
                                  const size_t *lengths)
{
    char digest[SERVED_DIGEST_SIZE];
    const char *second = count > 1 ? words[1] : "";
    served->transaction++;
    if (strcmp(words[0], "INFO") == 0)
        return answer_info(served);
    if (strcmp(words[0], "PING") == 0)
        return served_status("PONG");
    if (strcmp(words[0], "CONFIG") == 0 && strcmp(second, "GET") == 0)
        return answer_settings();
    if (strcmp(words[0], "ACL") == 0 && strcmp(second, "DRYRUN") == 0)
        return served_status("OK");
    if (strcmp(words[0], "SCRIPT") == 0 && strcmp(second, "LOAD") == 0 && count == 3) {
        served_script_load(served, words[2], digest);
        return served_string(digest);
    }
    if (strcmp(words[0], "EVALSHA") == 0)
        return served_script_run(served, count, words, lengths);
    return served_do(served, count, words);
}

/* ---- The loop ---- */

/* A line "*12" or "$12" at `at`: its number, and *ret_next after it. -1: it is not whole. */
static long line_at(const struct text *input, size_t at, size_t end, char sign, size_t *ret_next)
{
    const char *data = input->data;
    const char *newline = at < end ? memchr(data + at, '\n', end - at) : NULL;
    if (!newline)
        return -1;
    FH_ASSERT(data[at] == sign);
    *ret_next = (size_t)(newline - data) + 1;
    return strtol(data + at + 1, NULL, 10);
}

/* The words of the next command that is whole. Each is ended in place: what ends its line is not
 * looked at again. */
static int next_command(struct served_link *link, const char ***ret, size_t **ret_lengths)
{
    size_t at = link->taken, end = link->input.length;
    long count = line_at(&link->input, at, end, '*', &at);
    if (count < 1)
        return 0;
    FH_ASSERT(count <= WORDS_MAX);
    const char **words = calloc((size_t)count + 1, sizeof *words);
    size_t *lengths = calloc((size_t)count, sizeof *lengths);
    FH_ASSERT(words && lengths);
    for (long i = 0; i < count; i++) {
        long length = line_at(&link->input, at, end, '$', &at);
        if (length < 0 || at + (size_t)length + 2 > end) {
            free((void *)words);
            free(lengths);
            return 0;
        }
        words[i] = link->input.data + at;
        lengths[i] = (size_t)length;
        at += (size_t)length + 2;
        link->input.data[at - 2] = '\0';
    }
    link->taken = at;
    *ret = words;
    *ret_lengths = lengths;
    return (int)count;
}

/* How many commands it was. */
static int serve_link(struct served *served, struct served_link *link)
{
    size_t piece_end = link->taken + SERVED_PIECE;
    const char **words;
    size_t *lengths;
    int commands = 0;
    for (int count;
         link->taken < piece_end && (count = next_command(link, &words, &lengths)) > 0;) {
        struct served_reply *reply = served_serve(served, count, words, lengths);
        served_reply_write(&link->output, reply);
        FH_ASSERT(!link->output.overflow && !link->input.overflow);
        served_reply_free(reply);
        free((void *)words);
        free(lengths);
        commands++;
    }
    if (link->taken == link->input.length) {
        text_clear(&link->input);
        link->taken = 0;
    }
    return commands;
}

static void on_answer(struct simulate_event *event)
{
    struct served *served = event->owner;
    served->busy = false;
    served->synced = served->transaction;
    for (struct served_link *link = served->links; link; link = link->next)
        served_link_answer(link);
    if (served->more)
        served_wake(served);
}

static void on_redis_turn(struct simulate_event *event)
{
    struct served *served = event->owner;
    int commands = 0;
    served->changed = served->more = false;
    for (struct served_link *link = served->links; link; link = link->next) {
        int count = serve_link(served, link);
        commands += count;
        served->more = served->more || (count && link->input.length);
    }
    if (!commands)
        return;
    int64_t ns =
        wire_slowed(&served->wire,
                    commands * simulate_between(served->simulate, COMMAND_NS_MIN, COMMAND_NS_MAX));
    if (served->changed)
        ns += wire_slowed(&served->wire,
                          simulate_between(served->simulate, SYNC_NS_MIN, SYNC_NS_MAX));
    served->busy = true;
    simulate_plan(served->simulate, &served->answer, served->simulate->now_ns + ns);
}

/* ---- What goes wrong ---- */

static void on_redis_up(struct simulate_event *event)
{
    struct served *served = event->owner;
    served->down = false;
    simulate_say(served->simulate, NULL, "server: takes connections again");
}

/* The process ends, and one that has kept so many transactions takes its place. */
static void end_process(struct served *served, int64_t kept)
{
    struct simulate *simulate = served->simulate;
    if (served->down)
        simulate_cancel(simulate, &served->up);
    served->down = true;
    served->busy = served->more = false;
    served->life++;
    simulate_cancel(simulate, &served->turn);
    simulate_cancel(simulate, &served->answer);
    for (struct served_link *link = served->links; link; link = link->next)
        served_link_drop(link);
    served_scripts_forget(served);
    served_restore(served, kept);
    served->up = (struct simulate_event){.fire = on_redis_up, .owner = served};
    simulate_plan(simulate, &served->up, simulate->now_ns + wire_down_ns(&served->wire));
}

static void restart_process(struct served *served)
{
    struct simulate *simulate = served->simulate;
    if (served->down)
        return;
    int64_t open = served->transaction - served->synced;
    int64_t kept = served->synced + (int64_t)simulate_below(simulate, (uint64_t)open + 1);
    simulate_say(simulate, NULL, "server: restarts, with %lld of %lld transactions unsynced",
                 (long long)(kept - served->synced), (long long)open);
    end_process(served, kept);
}

static int redis_lose(struct simulate_server *base, int commits_max)
{
    struct served *served = served_of(base);
    int wanted = 1 + (int)simulate_below(served->simulate, (uint64_t)commits_max), lost = 0;
    int64_t kept = served->synced;
    for (size_t i = served->log_count; i > 0; i--) {
        int64_t transaction = served->log[i - 1].transaction;
        if (transaction > kept)
            continue;
        if (lost == wanted)
            break;
        lost++;
        kept = transaction - 1;
    }
    simulate_say(served->simulate, NULL, "server: a replica takes over, without %d commits", lost);
    end_process(served, kept);
    return lost;
}

static struct served_link *draw_link(struct served *served)
{
    struct served_link *link = served->links;
    uint64_t count = 0;
    for (; link; link = link->next)
        count += link->connected && !link->cut;
    if (!count)
        return NULL;
    uint64_t left = simulate_below(served->simulate, count);
    for (link = served->links; !link->connected || link->cut || left-- > 0;)
        link = link->next;
    return link;
}

static void on_redis_fault(struct simulate_event *event)
{
    struct served *served = event->owner;
    struct simulate *simulate = served->simulate;
    struct served_link *link = draw_link(served);
    uint64_t kind = simulate_below(simulate, 20);
    if (simulate->now_ns >= served->until_ns)
        return;
    if (kind < 2)
        restart_process(served);
    else if (kind == 2)
        wire_slow_down(&served->wire);
    else if (kind == 3)
        served_scripts_forget(served);
    else if (kind == 4)
        served->clock_ms += simulate_between(simulate, -CLOCK_STEP_MS_MAX, CLOCK_STEP_MS_MAX);
    else if (link)
        served_link_cut(link, simulate_chance(simulate, 200000));
    simulate_plan(simulate, &served->fault,
                  simulate->now_ns + simulate_between(simulate, 1, served->pause_ns * 2));
}

static void redis_faults_begin(struct simulate_server *base, int64_t until_ns, int64_t pause_ns)
{
    struct served *served = served_of(base);
    struct simulate *simulate = served->simulate;
    wire_faults_draw(&served->wire);
    served->until_ns = until_ns;
    served->pause_ns = pause_ns;
    served->fault = (struct simulate_event){.fire = on_redis_fault, .owner = served};
    if (simulate_chance(simulate, 700000))
        simulate_plan(simulate, &served->fault, simulate->now_ns + pause_ns);
}

static void redis_faults_end(struct simulate_server *base)
{
    struct served *served = served_of(base);
    wire_faults_end(&served->wire);
    simulate_cancel(served->simulate, &served->fault);
}

static void redis_fates_begin(struct simulate_server *base, const char *fates)
{
    wire_fates(&served_of(base)->wire, fates);
}

static int64_t redis_fates_end(struct simulate_server *base)
{
    return wire_fates_end(&served_of(base)->wire);
}

/* ---- From outside ---- */

static void redis_client_died(struct simulate_server *base, const struct simulate_node *node,
                              bool power)
{
    for (struct served_link *link = served_of(base)->links; link; link = link->next) {
        if (link->node == node)
            served_link_close(link, !power);
    }
}

static bool redis_is_late(const struct simulate_server *base)
{
    const struct served *served = (const struct served *)base;
    return served->down || served->simulate->now_ns < served->late_until_ns + WIRE_LATE_NS;
}

/* Positions are given out by the commits themselves, in their order. */
static int redis_disorder(struct simulate_server *base, const char *database)
{
    (void)base, (void)database;
    return 0;
}

static json_t *redis_model_config(const char *database)
{
    return json_pack("{s:s, s:s, s:i}", "host", "127.0.0.1", "database", database, "connections",
                     3);
}

static const struct simulate_server_ops server_ops = {
    .config = redis_model_config,
    .faults_begin = redis_faults_begin,
    .faults_end = redis_faults_end,
    .fates = redis_fates_begin,
    .fates_end = redis_fates_end,
    .late = redis_is_late,
    .disorder = redis_disorder,
    .died = redis_client_died,
    .rows = served_rows,
    .lose = redis_lose,
};

struct simulate_server *simulate_redis_new(struct simulate *simulate,
                                           simulate_server_failed *failed, void *context)
{
    struct served *served = calloc(1, sizeof *served);
    char why[200];
    FH_ASSERT(served != NULL);
    served->base.ops = &server_ops;
    served->wire.simulate = simulate;
    served->simulate = simulate;
    served->failed = failed;
    served->context = context;
    served->logging = true;
    map_init(&served->data);
    map_init(&served->scripts);
    served->turn = (struct simulate_event){.fire = on_redis_turn, .owner = served};
    served->answer = (struct simulate_event){.fire = on_answer, .owner = served};
    served_begin(served);
    served_sockets();
    if (!served_lua_load(why, sizeof why))
        served_fail(served, "%s", why);
    return &served->base;
}
