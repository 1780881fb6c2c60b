/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of an `up` that was killed end by themselves, as their channels to it are closed;
 * one that is stopped or hangs does not. They are found by their records, and killed only under the
 * lock that an `up` holds: nobody can start the system meanwhile.
 */

#include "cli/killed.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/audit.h"
#include "system/supervise/life.h"

#define POLL_MS 10

/* "service.orders.0" is orders, "service.orders.1" orders/1. */
static void name_of_life(const char *record, struct text *ret)
{
    const char *name = strchr(record, '.'), *instance = strrchr(record, '.');
    if (!name || instance == name) {
        text_add(ret, record);
        return;
    }
    text_append(ret, name + 1, (size_t)(instance - name - 1));
    if (strcmp(instance, ".0") != 0)
        text_printf(ret, "/%s", instance + 1);
}

static void add_life(void *context, const char *record, pid_t pid)
{
    struct text name;
    text_init(&name, TEXT_LENGTH_MAX);
    name_of_life(record, &name);
    json_array_append_new(context, json_pack("{s:s, s:i}", "name", name.data, "pid", (int)pid));
    text_release(&name);
}

static void see_nothing(void *context, const char *record, pid_t pid)
{
    (void)context;
    (void)record;
    (void)pid;
}

bool killed_is_left(const struct state *state)
{
    return lives_see(state, see_nothing, NULL) > 0;
}

static void list_lives(const json_t *living, struct text *ret)
{
    size_t i;
    json_t *one;
    json_array_foreach (living, i, one)
        text_printf(ret, "%s%s (pid %lld)", i ? ", " : "", cli_text(one, "name"),
                    cli_number(one, "pid"));
}

/* The command by which it goes on, from what `up` recorded of itself. */
static void add_start(const struct state *state, struct text *ret)
{
    json_t *system = NULL;
    if (state_read_json(state->folder_fd, "system.json", &system, ERROR_UNHEEDED) != FH_OK)
        system = NULL;
    const char *file = json_string_at(system, "file"), *profile = json_string_at(system, "profile");
    text_printf(ret, "freehold up %s%s%s --state %s", file ? file : "FILE",
                profile ? " --profile " : "", profile ? profile : "", state->folder);
    json_decref(system);
}

int killed_tell(const struct state *state)
{
    struct text living, start;
    json_t *lives = json_array();
    text_init(&living, TEXT_LENGTH_MAX);
    text_init(&start, TEXT_LENGTH_MAX);
    lives_see(state, add_life, lives);
    list_lives(lives, &living);
    add_start(state, &start);
    if (json_array_size(lives))
        cli_fail(CLI_NOT_RUNNING,
                 "no system is running with the state folder %s: its up was killed, and of its "
                 "processes there are still: %s. To end them: freehold stop --state %s; to end "
                 "them and go on: %s",
                 state->folder, living.data, state->folder, start.data);
    else
        cli_fail(CLI_NOT_RUNNING,
                 "no system is running with the state folder %s: its up was killed, or the machine "
                 "went down, and nothing of it runs any more. To go on: %s",
                 state->folder, start.data);
    json_decref(lives);
    text_release(&living);
    text_release(&start);
    return CLI_NOT_RUNNING;
}

/* They may drain before they are killed: what they have under way is answered. */
static int await_lives(struct state *state)
{
    struct fh_error error;
    struct lives lives;
    size_t left = 1;
    if (lives_open(&lives, state, CGROUP_NONE, &error) != FH_OK)
        return cli_fail(CLI_FAILED, "%s", error.message);
    for (int waited_ms = 0; waited_ms < 2 * LIVES_DRAIN_MS_MAX && left; waited_ms += POLL_MS) {
        left = lives_count(&lives, waited_ms >= LIVES_DRAIN_MS_MAX);
        if (left)
            poll(NULL, 0, POLL_MS);
    }
    lives_close(&lives);
    if (left == 0)
        unlinkat(state->folder_fd, "control.sock", 0);
    return left ? cli_fail(CLI_FAILED, "%zu process%s of an up that was killed can't be ended",
                           left, left == 1 ? "" : "es")
                : CLI_DONE;
}

int killed_end(struct state *state, json_t **ret_ended)
{
    struct fh_error error;
    struct cli_act act;
    pid_t holder;
    *ret_ended = json_array();
    if (state_lock(state, &holder, &error) != FH_OK)
        return cli_fail(CLI_FAILED, "the system is being started just now: run this again");
    lives_see(state, add_life, *ret_ended);
    int code = cli_audit_begin(&act, state, "stop", NULL, NULL);
    if (code == CLI_DONE)
        code = cli_audit_end(&act, await_lives(state), NULL);
    state_unlock(state);
    return code;
}
