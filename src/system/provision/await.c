/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an `up` that was killed has left: its processes drain, since their control pairs are closed,
 * and are killed if they linger. They may hold stores' locks and the gateway's address.
 *
 * A state folder of a version that kept no records has locks instead, in the services' folders,
 * which its processes hold. They are respected until none is held; then the files are removed, and
 * only then is the folder for records made: with it, no lock in a service's folder counts again.
 */

#include "system/provision/provision.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "system/provision/instance.h"

#define POLL_MS 10

struct life provision_life(const struct provision_part *part, int instance)
{
    struct life life = {.folder = part->folder, .user = part->user};
    snprintf(life.name, sizeof life.name, "%s.%s.%d", part->stem, part->name, instance);
    return life;
}

/* ---- Locks of earlier versions ---- */

static size_t count_locked(const struct provision_part *part, int instance, bool kill_them)
{
    pid_t pid = part->folder_fd >= 0 ? instance_survivor(part->folder_fd, instance) : 0;
    if (pid > 0 && kill_them)
        kill(pid, SIGKILL);
    return pid != 0;
}

static void unlink_lock(const struct provision_part *part, int instance)
{
    char name[INSTANCE_FILE_SIZE];
    instance_file(name, "pid", instance, "");
    if (part->folder_fd >= 0)
        unlinkat(part->folder_fd, name, 0);
}

static size_t count_all_locked(const struct provision *provision, bool kill_them)
{
    size_t count = 0;
    for (size_t i = 0; i < provision->part_count; i++) {
        /* One more than the maximum: an upgrade's. */
        for (int instance = 0; instance <= SYSTEM_INSTANCES_MAX; instance++)
            count += count_locked(&provision->parts[i], instance, kill_them);
    }
    for (size_t i = 0; i < provision->server_count; i++)
        count += count_locked(&provision->servers[i], 0, kill_them);
    return count;
}

static void unlink_all_locks(const struct provision *provision)
{
    for (size_t i = 0; i < provision->part_count; i++) {
        for (int instance = 0; instance <= SYSTEM_INSTANCES_MAX; instance++)
            unlink_lock(&provision->parts[i], instance);
    }
    for (size_t i = 0; i < provision->server_count; i++)
        unlink_lock(&provision->servers[i], 0);
}

/* ---- Waiting ---- */

static size_t count_lives(const struct provision *provision, bool kill_them)
{
    return lives_count(&provision->lives, kill_them);
}

static enum fh_code await_none(const struct provision *provision,
                               size_t (*count_them)(const struct provision *provision,
                                                    bool kill_them),
                               struct fh_error *error)
{
    const struct provision_options *options = &provision->options;
    size_t count = count_them(provision, false);
    char text[128];
    if (count == 0)
        return FH_OK;
    snprintf(text, sizeof text, "waiting for %zu process%s of an earlier up to end", count,
             count == 1 ? "" : "es");
    if (options->say)
        options->say(options->context, "survivors-awaited", text);
    for (int waited_ms = 0; waited_ms < 2 * LIVES_DRAIN_MS_MAX; waited_ms += POLL_MS) {
        if (count_them(provision, waited_ms >= LIVES_DRAIN_MS_MAX) == 0)
            return FH_OK;
        poll(NULL, 0, POLL_MS);
    }
    return error_set(error, FH_UNAVAILABLE, "%zu process%s of an earlier up can't be ended.", count,
                     count == 1 ? "" : "es");
}

enum fh_code provision_await(struct provision *provision, struct fh_error *error)
{
    bool before_records = !lives_are_kept(&provision->state);
    enum fh_code code = before_records ? await_none(provision, count_all_locked, error) : FH_OK;
    if (before_records && code == FH_OK)
        unlink_all_locks(provision);
    if (code == FH_OK)
        code = lives_open(&provision->lives, &provision->state, CGROUP_ANY, error);
    return code == FH_OK ? await_none(provision, count_lives, error) : code;
}
