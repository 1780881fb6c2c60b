/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of an upgrade (renewal.h) are upgraded one after another: each when the one before it
 * has settled. If one does not get ready, the upgrade is abandoned, and the service goes on with
 * its older program, as far as that is still there.
 *
 * Where the service's store has one process, which has to end before the new one begins, the new
 * program is tried first (trial.h), and until then nothing is stopped: processes that die meanwhile
 * are started from the older one. A trial takes as long as it shows that it works; newer files end
 * it (upgrade_supersede).
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
        renewal_take_back(renewal, supervisor->options->provision);
    return code;
}

void upgrade_settled(struct supervisor *supervisor, struct instances *instances)
{
    struct fh_error error;
    const char *name = instances->part->name;
    size_t service = supervisor->renewal.service;
    if (!is_renewed(supervisor, instances)) {
        /* If this is the service being upgraded, its turn comes later: not done yet. */
        if (!supervisor->renewal.count || strcmp(name, upgrade_name(supervisor)) != 0)
            control_done(supervisor->control, name, NULL);
    } else if (!renewal_next(&supervisor->renewal)) {
        watch_taken(supervisor, service);
        control_done(supervisor->control, upgrade_name(supervisor), NULL);
    } else if (renew_one(supervisor, &error) != FH_OK) {
        control_done(supervisor->control, upgrade_name(supervisor), error.message);
    }
}

void upgrade_failed(struct supervisor *supervisor, struct instances *instances)
{
    watch_failed(supervisor, &supervisor->renewal, "it does not get ready");
    bool back = renewal_take_back(&supervisor->renewal, supervisor->options->provision);
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "upgrade-failed", upgrade_name(supervisor),
                   "%s could not be upgraded: what was started does not get ready; see its log%s",
                   instances->part->name, back ? ". It goes on with its older program" : "");
    control_done(supervisor->control, upgrade_name(supervisor),
                 "what was started does not get ready; see its log in the state folder");
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
    size_t service = supervisor->renewal.service;
    snprintf(why, sizeof why, "on a copy of its store it does not get ready: %s", trial->why);
    if (!trial->may_pass)
        watch_failed(supervisor, &supervisor->renewal, why);
    else
        watch_put_off(supervisor, service, why);
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "upgrade-rejected", upgrade_name(supervisor),
                   "%s goes on with its older program. The new one was tried: %s",
                   upgrade_name(supervisor), why);
    quote_trial(supervisor);
    renewal_take_back(&supervisor->renewal, supervisor->options->provision);
    control_done(supervisor->control, upgrade_name(supervisor), why);
}

static void begin_superseding(struct supervisor *supervisor)
{
    struct fh_error error;
    size_t service = supervisor->renewal.service;
    bool force = supervisor->renewal.force;
    renewal_take_back(&supervisor->renewal, supervisor->options->provision);
    if (upgrade_begin(supervisor, service, force, &error) == FH_OK)
        return;
    watch_put_off(supervisor, service, error.message);
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "program-rejected", NULL,
                   "%s goes on with its older program: %s", supervisor->all[service].part->name,
                   error.message);
    control_done(supervisor->control, supervisor->all[service].part->name, error.message);
}

static void trial_ended(struct trial *trial)
{
    struct fh_error error;
    struct supervisor *supervisor = trial->context;
    if (supervisor->phase != UP) {
        supervisor->advance(supervisor);
    } else if (supervisor->renewal.superseded) {
        begin_superseding(supervisor);
    } else if (*trial->why) {
        refuse_tried(supervisor);
    } else {
        renewal_go_on(&supervisor->renewal, supervisor->options->provision);
        if (renew_one(supervisor, &error) != FH_OK)
            control_done(supervisor->control, upgrade_name(supervisor), error.message);
    }
}

bool upgrade_supersede(struct supervisor *supervisor, size_t service, bool force)
{
    struct renewal *renewal = &supervisor->renewal;
    const struct instances *instances = &supervisor->all[service];
    struct program_file now = program_file_look(instances->part->arguments[0]);
    if (!renewal->count || renewal->service != service ||
        (program_file_same(&now, &renewal->taken) &&
         watch_migrations(supervisor, service) == renewal->migrations))
        return false;
    if (supervisor->trial.running && !renewal->superseded) {
        supervisor_say(supervisor, SUPERVISE_STEP, "upgrade-superseded", upgrade_name(supervisor),
                       "the trial of %s is ended: it is superseded by newer files",
                       upgrade_name(supervisor));
        renewal->superseded = true;
        trial_kill(&supervisor->trial);
    } else if (!supervisor->trial.running && renewal->parts[renewal->at] == service) {
        instances_abandon_upgrade(&supervisor->all[service]);
    }
    renewal->force |= force;
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
    bool force = renewal->force;
    renewal_put_off(renewal, supervisor->options->provision);
    trial->ended = trial_ended;
    trial->context = supervisor;
    enum fh_code code = trial_begin(trial, instances->part, &renewal->newer, &supervisor->model,
                                    instances_start_ms_max(instances), error);
    if (code == FH_OK)
        return code;
    if (force) {
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "upgrade-untried", upgrade_name(supervisor),
                       "the new program is taken without a trial: %s", error->message);
        renewal_go_on(renewal, supervisor->options->provision);
        return renew_one(supervisor, error);
    }
    renewal_take_back(renewal, supervisor->options->provision);
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
    enum renewal_sagas sagas = force                                        ? RENEWAL_PARK_ALL
                               : instances_ready(&supervisor->all[service]) ? RENEWAL_ASK
                                                                            : RENEWAL_NOBODY;
    enum fh_code code = service == supervisor->count - 1
                            ? renewal_begin_gateway(renewal, provision, error)
                            : renewal_begin(renewal, provision, service, sagas, error);
    if (code != FH_OK)
        return code;
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
