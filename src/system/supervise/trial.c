/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `up` does for a trial: sees that there is room, runs it, and removes what is left. The copy
 * is made by the process itself, as the service's user and confined to its folder. Whatever ends it
 * (the program, a full disk, the death of `up`), the store was only read.
 */

#define _GNU_SOURCE
#include "system/supervise/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/json.h"
#include "service/process.h"
#include "service/task.h"
#include "system/provision/state.h"
#include "system/supervise/beside.h"

#define TRIAL_STEM "trial"
#define TRIAL_CONFIG TRIAL_STEM ".json"
#define TRIAL_LOG "trial.log"
#define LOG_LINES_SHOWN 8

/* ---- its folder ---- */

void trial_sweep(int folder_fd)
{
    state_remove(folder_fd, TRIAL_FOLDER);
    state_remove(folder_fd, TRIAL_CONFIG);
    state_remove(folder_fd, TRIAL_LOG);
}

static enum fh_code check_copy_room(const struct provision_part *part, struct fh_error *error)
{
    struct beside_room room;
    enum fh_code code = beside_look(part, true, &room, error);
    if (code != FH_OK || room.there >= room.needed)
        return code;
    return error_set(error, FH_UNAVAILABLE,
                     "%s can't be upgraded: its new program is tried on a copy of its store first, "
                     "which takes %" PRId64 " MB, and its disk has %" PRId64
                     " MB left. Make room, or let upgrade --force do without.",
                     part->name, room.needed >> 20, room.there >> 20);
}

/* ---- its end ---- */

/* What it says itself, or else how it ended. A program with an older library takes the task for
 * another one, which it can't do either while the store is served: it says so, or nothing. */
static void read_trial_result(struct trial *trial)
{
    json_t *result = NULL;
    bool told = state_read_json(trial->part.folder_fd, SERVICE_TASK_RESULT, &result,
                                ERROR_UNHEEDED) == FH_OK;
    const char *error = told && json_is_object(result) ? json_string_at(result, "error") : NULL;
    bool tried = told && json_is_true(json_object_get(result, SERVICE_TASK_TRIED));
    const struct child *child = &trial->child;
    bool done = child->exit_code == 0 && !child->exit_signal;
    trial->unknown = !tried && (error || done);
    snprintf(trial->why, sizeof trial->why, "%s",
             trial->unknown || (done && !error) ? ""
             : error                            ? error
                                                : child->why);
    text_make_plain(trial->why, strlen(trial->why));
    json_decref(result);
    unlinkat(trial->part.folder_fd, SERVICE_TASK_RESULT, 0);
}

static void report_trial(struct world_timer *timer)
{
    struct trial *trial = timer->owner;
    const struct child *child = &trial->child;
    struct text lines;
    trial->may_pass =
        !child->at_fault || (!child->exit_signal && child->exit_code == PROCESS_EXIT_UNAVAILABLE);
    read_trial_result(trial);
    text_init(&lines, 8192);
    child_last_lines(child, LOG_LINES_SHOWN, &lines);
    snprintf(trial->lines, sizeof trial->lines, "%s", lines.data ? lines.data : "");
    text_release(&lines);
    child_release(&trial->child);
    trial_sweep(trial->part.folder_fd);
    trial->running = false;
    trial->ended(trial);
}

static void trial_changed(struct child *child)
{
    struct trial *trial = (struct trial *)((char *)child - offsetof(struct trial, child));
    if (child->state == CHILD_READY) /* it serves, whatever it was told */
        trial_kill(trial);
    if (child->state != CHILD_ENDED)
        return;
    trial->report = (struct world_timer){.fire = report_trial, .owner = trial};
    world_timer_start(child->world, &trial->report, world_monotonic_ns(child->world));
}

/* ---- its beginning ---- */

static enum fh_code configure_trial(const struct provision_part *part, struct fh_error *error)
{
    json_t *config;
    enum fh_code code = state_read_json(part->folder_fd, "service.json", &config, error);
    if (code != FH_OK)
        return code;
    json_object_set_new(config, "task", json_pack("{s:s}", "do", SERVICE_TASK_TRY));
    unlinkat(part->folder_fd, SERVICE_TASK_RESULT, 0);
    code = state_write_json(part->folder_fd, TRIAL_CONFIG, config, error);
    json_decref(config);
    return code;
}

enum fh_code trial_begin(struct trial *trial, const struct provision_part *part,
                         const struct program_held *program, const struct child *model,
                         int start_ms_max, struct fh_error *error)
{
    enum fh_code code = check_copy_room(part, error);
    trial_sweep(part->folder_fd);
    if (code == FH_OK)
        code = configure_trial(part, error);
    if (code != FH_OK)
        return code;
    trial->terms = (struct start_terms){.start_ms_max = start_ms_max};
    struct child *child = &trial->child;
    beside_init(child, &trial->part, part, model, TRIAL_STEM, TRIAL_LOG);
    trial->part.program = program;
    child->terms = &trial->terms;
    child->changed = trial_changed;
    child->once = true;
    code = child_init(child, error);
    if (code != FH_OK) {
        trial_sweep(part->folder_fd);
        return code;
    }
    trial->running = true;
    child_start(child);
    return FH_OK;
}

void trial_kill(struct trial *trial)
{
    if (!trial->running)
        return;
    child_stop(&trial->child);
    child_kill(&trial->child);
}
