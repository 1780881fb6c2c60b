/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of an upgrade (renewal.h) are upgraded one after another: each when the one before it
 * has settled. If one does not get ready, the upgrade is abandoned, and the service goes on with
 * its older program, as far as that is still there.
 *
 * Where the service's store has one process, which has to end before the new one begins, the new
 * program is tried first (trial.h), and until then nothing is stopped: processes that die meanwhile
 * are started from the older one. A trial takes as long as it shows that it works.
 *
 * Newer files supersede an upgrade (upgrade_supersede): what is not ready is ended, and they are
 * tried once the service serves again, from whichever program.
 *
 * The client is told about all parts, as one change of the service that was asked for; so only one
 * upgrade runs at a time in a system.
 */

#define _GNU_SOURCE
#include "system/supervise/upgrade.h"

#include <stdio.h>
#include <string.h>

const char *upgrade_name(const struct supervisor *supervisor)
{
    return supervisor->all[supervisor->renewal.service].part->name;
}

static bool is_renewed(const struct supervisor *supervisor, const struct instances *instances)
{
    const struct renewal *renewal = &supervisor->renewal;
    return renewal->count && !supervisor->trial.running &&
           &supervisor->all[renewal->parts[renewal->at]] == instances;
}

static bool take_back(struct supervisor *supervisor)
{
    struct fh_error error;
    const char *name = upgrade_name(supervisor);
    bool back = renewal_take_back(&supervisor->renewal, supervisor->options->provision, &error);
    if (error.code != FH_OK)
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "upgrade-reverting-failed", name,
                       "%s has its older program back, but keys and configurations stay as the "
                       "newer one needs them: %s",
                       name, error.message);
    return back;
}

/* Upgrades the part whose turn it is. Others than the service's own are only started again. */
static enum fh_code renew_one(struct supervisor *supervisor, struct fh_error *error)
{
    struct renewal *renewal = &supervisor->renewal;
    size_t part = renewal->parts[renewal->at];
    struct instances *instances = &supervisor->all[part];
    enum fh_code code = instances_upgrade(instances, part == renewal->service, error);
    if (code == FH_OK)
        supervisor_tend(supervisor, instances);
    else
        take_back(supervisor);
    return code;
}

/* ---- Ends ---- */

static void begin_superseding(struct supervisor *supervisor)
{
    struct fh_error error;
    struct superseding next = supervisor->superseding;
    const char *name = supervisor->all[next.service].part->name;
    supervisor->superseding.due = false;
    if (upgrade_begin(supervisor, next.service, next.force, &error) == FH_OK)
        return;
    watch_put_off(supervisor, next.service, error.message);
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "program-rejected", NULL,
                   "%s goes on with its older program: %s", name, error.message);
    control_done(supervisor->control, name, error.message);
}

static bool newer_files_wait(const struct supervisor *supervisor, size_t service)
{
    return supervisor->superseding.due && supervisor->superseding.service == service;
}

/* `why`: NULL if it succeeded. Whoever has asked meanwhile for newer files waits for these. */
static void finish_upgrade(struct supervisor *supervisor, size_t service, const char *why)
{
    if (newer_files_wait(supervisor, service))
        begin_superseding(supervisor);
    else
        control_done(supervisor->control, supervisor->all[service].part->name, why);
}

void upgrade_settled(struct supervisor *supervisor, struct instances *instances)
{
    struct fh_error error;
    size_t service = supervisor->renewal.service;
    const struct superseding *next = &supervisor->superseding;
    if (!is_renewed(supervisor, instances)) {
        /* If this is the service being upgraded, its turn comes later: not done yet. */
        if (supervisor->renewal.count && instances == &supervisor->all[service])
            return;
        if (next->due && instances == &supervisor->all[next->service])
            begin_superseding(supervisor);
        else if (!rebuild_has(supervisor, instances)) /* whose clients wait for its end */
            control_done(supervisor->control, instances->part->name, NULL);
    } else if (!renewal_next(&supervisor->renewal, supervisor->options->provision)) {
        watch_taken(supervisor, service);
        finish_upgrade(supervisor, service, NULL);
    } else if (renew_one(supervisor, &error) != FH_OK) {
        finish_upgrade(supervisor, service, error.message);
    }
}

/* Of an upgrade that was superseded: they are tried when the older program serves again. */
static void let_newer_files(struct supervisor *supervisor, struct instances *instances)
{
    size_t service = supervisor->renewal.service;
    bool back = take_back(supervisor);
    instances_try_again(instances);
    if (newer_files_wait(supervisor, service) &&
        (!back || instances_ready(&supervisor->all[service])))
        begin_superseding(supervisor);
}

void upgrade_failed(struct supervisor *supervisor, struct instances *instances)
{
    char why[120];
    size_t service = supervisor->renewal.service;
    const char *name = upgrade_name(supervisor);
    if (newer_files_wait(supervisor, service)) {
        let_newer_files(supervisor, instances);
        return;
    }
    const char *what =
        instances->failure.was_ready ? "ended right after it had got ready" : "does not get ready";
    snprintf(why, sizeof why, "it %s", what);
    if (instances->failure.may_pass)
        watch_put_off(supervisor, service, why);
    else
        watch_failed(supervisor, &supervisor->renewal, why);
    bool back = take_back(supervisor);
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "upgrade-failed", name,
                   "%s could not be upgraded: what was started %s; see its log%s",
                   instances->part->name, what, back ? ". It goes on with its older program" : "");
    snprintf(why, sizeof why, "what was started %s; see its log in the state folder", what);
    control_done(supervisor->control, name, why);
    instances_try_again(instances);
}

/* ---- Trials ---- */

static void quote_trial(struct supervisor *supervisor)
{
    for (char *line = supervisor->trial.lines; *line;) {
        char *end = strchrnul(line, '\n'), *next = *end ? end + 1 : end;
        *end = '\0';
        supervisor_say(supervisor, SUPERVISE_STEP, "process-log-quoted", upgrade_name(supervisor),
                       "  | %s", line);
        line = next;
    }
}

static void refuse_tried(struct supervisor *supervisor)
{
    char why[400];
    const struct trial *trial = &supervisor->trial;
    const char *name = upgrade_name(supervisor);
    snprintf(why, sizeof why, "on a copy of its store it does not get ready: %s", trial->why);
    if (!trial->may_pass)
        watch_failed(supervisor, &supervisor->renewal, why);
    else
        watch_put_off(supervisor, supervisor->renewal.service, why);
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "upgrade-rejected", name,
                   "%s goes on with its older program. The new one was tried: %s", name, why);
    quote_trial(supervisor);
    take_back(supervisor);
    control_done(supervisor->control, name, why);
}

/* `why` it was not tried; NULL: it was. */
static enum fh_code take_tried(struct supervisor *supervisor, const char *why,
                               struct fh_error *error)
{
    if (why)
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "upgrade-untried", upgrade_name(supervisor),
                       "the new program is taken without a trial: %s", why);
    renewal_go_on(&supervisor->renewal, supervisor->options->provision);
    return renew_one(supervisor, error);
}

static void trial_ended(struct trial *trial)
{
    struct fh_error error;
    struct supervisor *supervisor = trial->context;
    size_t service = supervisor->renewal.service;
    bool untried = trial->unknown || (*trial->why && trial->may_pass && supervisor->renewal.force);
    const char *why = trial->unknown ? "its library is too old to know trials" : trial->why;
    if (supervisor->phase != UP) {
        supervisor->advance(supervisor);
    } else if (newer_files_wait(supervisor, service)) {
        take_back(supervisor);
        begin_superseding(supervisor);
    } else if (*trial->why && !untried) {
        refuse_tried(supervisor);
    } else if (take_tried(supervisor, untried ? why : NULL, &error) != FH_OK) {
        finish_upgrade(supervisor, service, error.message);
    }
}

bool upgrade_supersede(struct supervisor *supervisor, size_t service, bool force)
{
    const struct renewal *renewal = &supervisor->renewal;
    struct instances *instances = &supervisor->all[service];
    struct program_file now = program_file_look(instances->part->arguments[0]);
    bool under_way = renewal->count && renewal->service == service;
    bool same = program_file_same(&now, &renewal->taken) &&
                watch_migrations(supervisor, service) == renewal->migrations;
    if (!newer_files_wait(supervisor, service)) {
        if (!under_way || same)
            return false;
        supervisor_say(supervisor, SUPERVISE_STEP, "upgrade-superseded", upgrade_name(supervisor),
                       "the upgrade of %s is superseded by newer files", upgrade_name(supervisor));
        supervisor->superseding = (struct superseding){.due = true, .service = service};
    }
    supervisor->superseding.force |= force;
    if (supervisor->trial.running)
        trial_kill(&supervisor->trial);
    else if (under_way && renewal->parts[renewal->at] == service)
        instances_abandon_upgrade(instances);
    return true;
}

/* Whether the old process has to end before the new one can begin, and there is one that serves. */
static bool needs_trial(const struct supervisor *supervisor, size_t service)
{
    const struct instances *instances = &supervisor->all[service];
    return !instances->many && !instances->beside && instances_ready(instances);
}

/* The renewal is under way. */
static enum fh_code begin_trial(struct supervisor *supervisor, struct fh_error *error)
{
    struct renewal *renewal = &supervisor->renewal;
    struct trial *trial = &supervisor->trial;
    const struct instances *instances = &supervisor->all[renewal->service];
    renewal_put_off(renewal, supervisor->options->provision);
    trial->ended = trial_ended;
    trial->context = supervisor;
    enum fh_code code = trial_begin(trial, instances->part, &renewal->newer, &supervisor->model,
                                    instances_start_ms_max(instances), error);
    if (code == FH_OK)
        return code;
    if (renewal->force)
        return take_tried(supervisor, error->message, error);
    take_back(supervisor);
    return code;
}

enum fh_code upgrade_begin(struct supervisor *supervisor, size_t service, bool force,
                           struct fh_error *error)
{
    struct renewal *renewal = &supervisor->renewal;
    struct provision *provision = supervisor->options->provision;
    if (renewal->count)
        return error_set(error, FH_CONFLICT, "%s is being upgraded; wait for its end.",
                         upgrade_name(supervisor));
    if (supervisor->relocation.phase != RELOCATION_NONE)
        return error_set(error, FH_CONFLICT, "%s is being moved; wait for its end.",
                         supervisor->all[supervisor->relocation.service].part->name);
    if (rebuild_lets(supervisor, service, error) != FH_OK)
        return error->code;
    if (supervisor->rebuild.phase >= REBUILD_EXCHANGE)
        return rebuild_lets(supervisor, supervisor->rebuild.service, error);
    enum renewal_sagas sagas = force                                        ? RENEWAL_PARK_ALL
                               : instances_ready(&supervisor->all[service]) ? RENEWAL_ASK
                                                                            : RENEWAL_NOBODY;
    enum fh_code code = service == supervisor->count - 1
                            ? renewal_begin_gateway(renewal, provision, error)
                            : renewal_begin(renewal, provision, service, sagas, error);
    if (code != FH_OK)
        return code;
    if (newer_files_wait(supervisor, service))
        supervisor->superseding.due = false;
    renewal->force = force;
    renewal->migrations = watch_migrations(supervisor, service);
    for (size_t i = 0; i < renewal->count; i++) {
        if (renewal->parts[i] != service)
            supervisor_say(supervisor, SUPERVISE_STEP, "dependent-restarted",
                           upgrade_name(supervisor),
                           "%s is started again too: it learns what %s needs or offers now",
                           supervisor->all[renewal->parts[i]].part->name, upgrade_name(supervisor));
    }
    return needs_trial(supervisor, service) ? begin_trial(supervisor, error)
                                            : renew_one(supervisor, error);
}
