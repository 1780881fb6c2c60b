/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of an upgrade (renewal.h) are upgraded one after another: each when the one before it
 * has settled. If one does not get ready, the upgrade is abandoned, and the service goes on with
 * its older program, as far as that is still there.
 *
 * The client is told about all parts, as one change of the service that was asked for; so only one
 * upgrade runs at a time in a system.
 */

#include "system/supervise/upgrade.h"

#include <string.h>

const char *upgrade_name(const struct supervisor *supervisor)
{
    return supervisor->all[supervisor->renewal.service].part->name;
}

static bool is_renewed(const struct supervisor *supervisor, const struct instances *instances)
{
    const struct renewal *renewal = &supervisor->renewal;
    return renewal->count && &supervisor->all[renewal->parts[renewal->at]] == instances;
}

/* Upgrades the part whose turn it is. */
static enum fh_code renew_one(struct supervisor *supervisor, struct fh_error *error)
{
    struct renewal *renewal = &supervisor->renewal;
    struct instances *instances = &supervisor->all[renewal->parts[renewal->at]];
    enum fh_code code = instances_upgrade(instances, error);
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
    if (!is_renewed(supervisor, instances)) {
        /* If this is the service being upgraded, its turn comes later: not done yet. */
        if (!supervisor->renewal.count || strcmp(name, upgrade_name(supervisor)) != 0)
            control_done(supervisor->control, name, NULL);
    } else if (!renewal_next(&supervisor->renewal)) {
        control_done(supervisor->control, upgrade_name(supervisor), NULL);
    } else if (renew_one(supervisor, &error) != FH_OK) {
        control_done(supervisor->control, upgrade_name(supervisor), error.message);
    }
}

void upgrade_failed(struct supervisor *supervisor, struct instances *instances)
{
    bool back = renewal_take_back(&supervisor->renewal, supervisor->options->provision);
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "upgrade-failed", upgrade_name(supervisor),
                   "%s could not be upgraded: what was started does not get ready; see its log%s",
                   instances->part->name, back ? ". It goes on with its older program" : "");
    control_done(supervisor->control, upgrade_name(supervisor),
                 "what was started does not get ready; see its log in the state folder");
    instances_try_again(instances);
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
    for (size_t i = 0; i < renewal->count; i++) {
        if (renewal->parts[i] != service)
            supervisor_say(supervisor, SUPERVISE_STEP, "dependent-restarted",
                           upgrade_name(supervisor),
                           "%s is started again too: it learns what %s needs or offers now",
                           supervisor->all[renewal->parts[i]].part->name, upgrade_name(supervisor));
    }
    return renew_one(supervisor, error);
}
