/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stat of each program every second: cheap, and it works on every file system, whereas
 * notifications don't come from another machine or for a folder that was replaced by renaming.
 *
 * A service is due when its file has been the same for WATCH_LOOKS_SETTLED polls, and differs from
 * the one that any of its processes runs or that was last asked for its description. Those due are
 * upgraded one after another, since only one upgrade runs at a time. A program that is complete but
 * never gets ready is tried once. Nothing survives a crash of `up`: the next one starts what is
 * there.
 *
 * A process that dies while its new program is refused is restarted from the program checked
 * before, if that is still there (child.c), so that it can be asked about its sagas; until it is
 * up, the upgrade waits.
 */

#define _GNU_SOURCE
#include "system/supervise/watch.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "system/supervise/upgrade.h"

static const char *name_of_part(const struct supervisor *supervisor, size_t part)
{
    return supervisor->all[part].part->name;
}

static bool is_older(const struct supervisor *supervisor, size_t part)
{
    const struct program_file *seen = &supervisor->watch.parts[part].seen;
    return seen->inode && (!program_file_same(seen, &supervisor->all[part].part->program->file) ||
                           instances_outdated(&supervisor->all[part], seen));
}

/* ---- Migrations ---- */

static uint64_t mix_hash(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211); /* FNV-1a */
    return hash;
}

/* The sum of its files' hashes, as a folder has no order. */
static uint64_t hash_folder(const char *path)
{
    uint64_t sum = 0;
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        struct stat status;
        size_t length = strlen(entry->d_name);
        if (length < 4 || strcmp(entry->d_name + length - 4, ".sql") != 0 ||
            fstatat(dirfd(folder), entry->d_name, &status, 0) != 0)
            continue;
        uint64_t hash = mix_hash(UINT64_C(14695981039346656037), entry->d_name, length);
        hash = mix_hash(hash, &status.st_ino, sizeof status.st_ino);
        hash = mix_hash(hash, &status.st_size, sizeof status.st_size);
        sum += mix_hash(hash, &status.st_mtim, sizeof status.st_mtim);
    }
    if (folder)
        closedir(folder);
    return sum;
}

uint64_t watch_migrations(const struct supervisor *supervisor, size_t part)
{
    char variant[4352];
    if (part == supervisor->count - 1)
        return 0;
    const struct system_service *service = &supervisor->options->file->services[part];
    if (!service->migrations)
        return 0;
    snprintf(variant, sizeof variant, "%s/%s", service->migrations, service->engine);
    return hash_folder(service->migrations) * 31 + hash_folder(variant);
}

/* ---- Looking ---- */

static bool is_being_upgraded(const struct supervisor *supervisor, size_t part)
{
    return supervisor->renewal.count && supervisor->renewal.service == part;
}

/* Migrations are looked at only where they would change anything. */
static void look_at_program(struct supervisor *supervisor, size_t part)
{
    struct watched *watched = &supervisor->watch.parts[part];
    struct program_file now = program_file_look(supervisor->all[part].part->arguments[0]);
    bool migrates = watched->owed || is_being_upgraded(supervisor, part);
    uint64_t migrations = migrates ? watch_migrations(supervisor, part) : watched->migrations;
    if (!program_file_same(&now, &watched->seen) || migrations != watched->migrations) {
        watched->seen = now;
        watched->migrations = migrations;
        watched->looks = 0;
        watched->pause_ms = watched->again_ns = 0;
        watched->why[0] = '\0';
    } else if (watched->looks < WATCH_LOOKS_SETTLED) {
        watched->looks++;
    }
}

/* `by hand` means: not without a request, as long as there is another program to run. */
static bool may_be_taken(const struct supervisor *supervisor, size_t part)
{
    const struct instances *instances = &supervisor->all[part];
    bool overwritten = instances_overwritten(instances);
    return !instances->parting && /* it is being restored */
           (overwritten || !instances_restart(instances)) &&
           (overwritten || !supervisor->options->file->upgrades_by_hand);
}

static bool is_upgrade_due(const struct supervisor *supervisor, size_t part)
{
    const struct watched *watched = &supervisor->watch.parts[part];
    bool mended = watched->owed && watched->migrations != watched->failed_migrations;
    bool newer = is_older(supervisor, part) && !program_file_same(&watched->seen, &watched->failed);
    return watched->looks >= WATCH_LOOKS_SETTLED && (newer || mended) &&
           may_be_taken(supervisor, part) &&
           world_monotonic_ns(supervisor->world) >= watched->again_ns;
}

/* Whoever changes the files of a service that is just being upgraded means these. */
static bool is_superseded(const struct supervisor *supervisor, size_t part)
{
    const struct watched *watched = &supervisor->watch.parts[part];
    const struct renewal *renewal = &supervisor->renewal;
    return is_being_upgraded(supervisor, part) && watched->looks >= WATCH_LOOKS_SETTLED &&
           !supervisor->options->file->upgrades_by_hand &&
           (!program_file_same(&watched->seen, &renewal->taken) ||
            watched->migrations != renewal->migrations);
}

void watch_put_off(struct supervisor *supervisor, size_t part, const char *why)
{
    struct watched *watched = &supervisor->watch.parts[part];
    snprintf(watched->why, sizeof watched->why, "%s", why);
    watched->pause_ms = watched->pause_ms ? watched->pause_ms * 2 : WATCH_AGAIN_MS_MIN;
    if (watched->pause_ms > WATCH_AGAIN_MS_MAX)
        watched->pause_ms = WATCH_AGAIN_MS_MAX;
    watched->again_ns = world_in_ms(supervisor->world, (int)watched->pause_ms);
}

static void program_refused(struct supervisor *supervisor, size_t part,
                            const struct fh_error *error)
{
    struct watched *watched = &supervisor->watch.parts[part];
    if (strcmp(watched->why, error->message) != 0)
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "program-rejected", NULL, "%s %s: %s",
                       name_of_part(supervisor, part),
                       instances_overwritten(&supervisor->all[part])
                           ? "stays down, as its program was overwritten by one that is refused"
                           : "goes on with its older program",
                       error->message);
    watch_put_off(supervisor, part, error->message);
}

static void take_program(struct supervisor *supervisor, size_t part)
{
    struct fh_error error;
    if (upgrade_begin(supervisor, part, false, &error) != FH_OK) {
        program_refused(supervisor, part, &error);
        return;
    }
    supervisor->watch.parts[part].why[0] = '\0';
    supervisor_say(supervisor, SUPERVISE_STEP, "program-replaced", NULL,
                   "the program of %s was replaced: upgrading it%s", name_of_part(supervisor, part),
                   part == supervisor->count - 1 ? "; up itself goes on with the older one" : "");
}

static void look_at_client_keys(struct supervisor *supervisor)
{
    bool looked;
    struct fh_error error;
    char *why = supervisor->watch.keys_why;
    if (client_keys_copy_look(&supervisor->options->provision->client_keys, &looked, &error) ==
        FH_OK) {
        if (looked)
            why[0] = '\0';
        return;
    }
    if (strcmp(why, error.message) != 0)
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "key-file-faulty", NULL,
                       "%s The former keys stay.", error.message);
    snprintf(why, sizeof supervisor->watch.keys_why, "%s", error.message);
}

static void look_at_programs(struct world_timer *timer)
{
    struct supervisor *supervisor = timer->owner;
    look_at_client_keys(supervisor);
    size_t due = supervisor->count;
    for (size_t i = supervisor->count; i-- > 0;) {
        look_at_program(supervisor, i);
        if (supervisor->phase == UP && is_superseded(supervisor, i))
            upgrade_supersede(supervisor, i, false);
        else if (is_upgrade_due(supervisor, i))
            due = i;
    }
    world_timer_start(supervisor->world, timer, world_in_ms(supervisor->world, WATCH_LOOK_MS));
    if (due < supervisor->count && supervisor->phase == UP && !supervisor->renewal.count &&
        supervisor->relocation.phase == RELOCATION_NONE)
        take_program(supervisor, due);
}

void watch_start(struct supervisor *supervisor)
{
    struct world_timer *timer = &supervisor->watch.timer;
    *timer = (struct world_timer){.fire = look_at_programs, .owner = supervisor};
    world_timer_start(supervisor->world, timer, world_in_ms(supervisor->world, WATCH_LOOK_MS));
}

void watch_stop(struct supervisor *supervisor)
{
    world_timer_stop(supervisor->world, &supervisor->watch.timer);
}

void watch_failed(struct supervisor *supervisor, const struct renewal *renewal, const char *why)
{
    struct watched *watched = &supervisor->watch.parts[renewal->service];
    watched->failed = renewal->taken;
    watched->owed = true;
    watched->migrations = watched->failed_migrations = renewal->migrations;
    snprintf(watched->why, sizeof watched->why, "%s", why);
}

void watch_taken(struct supervisor *supervisor, size_t part)
{
    supervisor->watch.parts[part].owed = false;
}

void watch_given_up(struct supervisor *supervisor, size_t part)
{
    struct watched *watched = &supervisor->watch.parts[part];
    if (watched->owed || is_being_upgraded(supervisor, part))
        return;
    watched->owed = true;
    watched->migrations = watched->failed_migrations = watch_migrations(supervisor, part);
}

json_t *watch_json(const struct supervisor *supervisor, size_t part)
{
    const char *why = supervisor->watch.parts[part].why;
    bool older = is_older(supervisor, part);
    return json_pack("{s:b, s:o}", "older", older, "refused",
                     older && *why ? json_string(why) : json_null());
}
