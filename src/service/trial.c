/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serving process goes on meanwhile: its store is read through a connection of our own, in one
 * read transaction, as for a backup. From then on the process is in the folder of the trial, where
 * what the program's own code leaves is removed, too.
 *
 * Nothing here needs to be durable. Killed at any point, the trial has reported nothing.
 */

#define _GNU_SOURCE
#include "service/trial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/engines.h"
#include "service/task.h"

#define TRIAL_TOLD_MS 500

struct trial_copy {
    struct runtime *runtime;
    struct store_watch watch;
    struct world_timer tell;
};

static void tell_copied(struct world_timer *timer)
{
    struct trial_copy *copy = timer->owner;
    struct runtime *runtime = copy->runtime;
    struct course course = {
        .done = copy->watch.done, .total = copy->watch.total, .of = "its store, for a trial"};
    if (runtime->host->told && course.total)
        runtime->host->told(runtime, &course);
    copy->watch.stop = runtime->phase == RUNTIME_DRAINING;
    world_timer_start(runtime->world, timer, world_in_ms(runtime->world, TRIAL_TOLD_MS));
}

static enum fh_code copy_served(struct runtime *runtime, const char *folder, const char *path,
                                struct fh_error *error)
{
    struct trial_copy copy = {.runtime = runtime};
    struct store_options options = {
        .service = runtime->service->name, .folder = folder, .model = runtime->service->model};
    const struct store_ops *ops = engine_embedded()->store;
    copy.tell = (struct world_timer){.fire = tell_copied, .owner = &copy};
    world_timer_start(runtime->world, &copy.tell, world_in_ms(runtime->world, TRIAL_TOLD_MS));
    enum fh_code code = ops->copy_served(&options, runtime->world, path, &copy.watch, error);
    world_timer_stop(runtime->world, &copy.tell);
    return code;
}

enum fh_code service_try_enter(const json_t *config, struct fh_error *error)
{
    char folder[4200];
    const char *own = json_string_at(config, "folder"), *task = json_string_at(config, "task.do");
    if (!task || strcmp(task, SERVICE_TASK_TRY) != 0)
        return FH_OK;
    snprintf(folder, sizeof folder, "%s/" SERVICE_TRIAL_FOLDER, own ? own : ".");
    if ((mkdir(folder, 0700) == 0 || errno == EEXIST) && chdir(folder) == 0)
        return FH_OK;
    return error_set_errno(error, FH_UNAVAILABLE, errno, "The folder %s can't be made", folder);
}

enum fh_code service_try(struct runtime *runtime, struct fh_error *error)
{
    char folder[4200], path[4300];
    const char *own = json_string_at(runtime->config, "folder");
    json_t *config = json_copy((json_t *)(uintptr_t)runtime->config);
    const json_t *whole = runtime->config;
    FH_ASSERT(config != NULL);
    snprintf(folder, sizeof folder, "%s/" SERVICE_TRIAL_FOLDER, own ? own : ".");
    snprintf(path, sizeof path, "%s/store.db", folder);
    json_object_set_new(config, "folder", json_string(folder));
    CRASH_POINT("trial.begun");
    enum fh_code code = copy_served(runtime, own ? own : ".", path, error);
    CRASH_POINT("trial.copied");
    if (code == FH_OK) {
        runtime->config = config;
        code = runtime_try(runtime, error);
        runtime->config = whole;
    }
    CRASH_POINT("trial.tried");
    json_decref(config);
    return code;
}
