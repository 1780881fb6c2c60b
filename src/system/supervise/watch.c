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

#include "system/supervise/watch.h"

#include <stdio.h>
#include <string.h>

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

/* Migrations are looked at only where they would change anything. */
static void look_at_program(struct supervisor *supervisor, size_t part)
{
    struct watched *watched = &supervisor->watch.parts[part];
    struct program_file now = program_file_look(supervisor->all[part].part->arguments[0]);
    bool migrates = watched->owed || watch_upgrades(supervisor, part);
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
    return watch_upgrades(supervisor, part) && watched->looks >= WATCH_LOOKS_SETTLED &&
           !supervisor->options->file->upgrades_by_hand &&
           (!program_file_same(&watched->seen, &renewal->taken) ||
            watched->migrations != renewal->migrations);
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
        else if (is_upgrade_due(supervisor, i) &&
                 rebuild_lets(supervisor, i, ERROR_UNHEEDED) == FH_OK)
            due = i;
    }
    world_timer_start(supervisor->world, timer, world_in_ms(supervisor->world, WATCH_LOOK_MS));
    if (due < supervisor->count && supervisor->phase == UP && !supervisor->renewal.count &&
        supervisor->relocation.phase == RELOCATION_NONE &&
        supervisor->rebuild.phase < REBUILD_EXCHANGE)
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

json_t *watch_json(const struct supervisor *supervisor, size_t part)
{
    const char *why = supervisor->watch.parts[part].why;
    return json_pack("{s:b, s:o}", "older", is_older(supervisor, part), "refused",
                     *why ? json_string(why) : json_null());
}
