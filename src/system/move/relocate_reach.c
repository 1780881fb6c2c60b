/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a server there where a service's store is to go, and does it let the service in? That is asked
 * off the loop and before the service stops: a move to a server that is down, or with a wrong
 * password, is refused within seconds, and no request has waited. A server that is just starting
 * gets those seconds. Private ones need not be asked: `up` waits until they are ready.
 *
 *  asked → no answer      → asked again after a pause, until REACH_MS are over
 *        → anything else  → the move goes on, or is cancelled
 *
 * A move cancelled in the meantime ends this at once, or lets the attempt under way run out.
 */

#include "system/move/relocate_reach.h"

#include <stdlib.h>

#include "engine/engines.h"
#include "store/server.h"

#define REACH_MS 5000
#define PAUSE_MS 250

struct reaching {
    struct world_job job;
    struct world_timer timer;
    struct supervisor *supervisor; /* NULL: the move was cancelled */
    bool pausing;
    const struct server_kind *kind;
    json_t *store;
    void (*reached)(struct supervisor *supervisor, const struct fh_error *why);
    int64_t deadline_ns;
    enum fh_code code;
    struct fh_error error;
};

static void reaching_free(struct reaching *reaching)
{
    if (reaching->supervisor)
        reaching->supervisor->relocation.reaching = NULL;
    json_decref(reaching->store);
    free(reaching);
}

static void try_server(struct world_job *job)
{
    struct reaching *reaching = job->owner;
    reaching->code = server_try(reaching->kind, reaching->store, &reaching->error);
}

static void ask_server_again(struct world_timer *timer)
{
    struct reaching *reaching = timer->owner;
    struct supervisor *supervisor = reaching->supervisor;
    reaching->pausing = false;
    if (supervisor->phase < CLOSING)
        world_job(supervisor->world, &reaching->job);
    else
        reaching_free(reaching);
}

static void server_answered(struct world_job *job)
{
    struct reaching *reaching = job->owner;
    struct supervisor *supervisor = reaching->supervisor;
    bool goes_on = supervisor && supervisor->phase < CLOSING;
    if (goes_on && reaching->code == FH_UNAVAILABLE &&
        world_monotonic_ns(supervisor->world) < reaching->deadline_ns) {
        reaching->pausing = true;
        world_timer_start(supervisor->world, &reaching->timer,
                          world_in_ms(supervisor->world, PAUSE_MS));
        return;
    }
    enum fh_code code = reaching->code;
    struct fh_error error = reaching->error;
    void (*reached)(struct supervisor * supervisor, const struct fh_error *why) = reaching->reached;
    reaching_free(reaching);
    if (goes_on)
        reached(supervisor, code == FH_OK ? NULL : &error);
}

void relocation_reach(struct supervisor *supervisor,
                      void (*reached)(struct supervisor *supervisor, const struct fh_error *why))
{
    const struct system_service *service = relocation_service(supervisor);
    const struct server_kind *kind = server_kind(service->engine);
    json_t *store = json_object_get(supervisor->options->provision->stores, service->name);
    if (!kind || !store) {
        reached(supervisor, NULL);
        return;
    }
    struct reaching *reaching = calloc(1, sizeof *reaching);
    FH_ASSERT(reaching != NULL);
    *reaching = (struct reaching){.supervisor = supervisor,
                                  .kind = kind,
                                  .store = json_deep_copy(store),
                                  .reached = reached,
                                  .deadline_ns = world_in_ms(supervisor->world, REACH_MS)};
    reaching->job =
        (struct world_job){.run = try_server, .done = server_answered, .owner = reaching};
    reaching->timer.fire = ask_server_again;
    reaching->timer.owner = reaching;
    supervisor->relocation.reaching = reaching;
    world_job(supervisor->world, &reaching->job);
}

void relocation_reach_end(struct relocation *relocation)
{
    struct reaching *reaching = relocation->reaching;
    relocation->reaching = NULL;
    if (reaching && reaching->pausing) { /* its timer would keep a stopping `up` alive */
        world_timer_stop(reaching->supervisor->world, &reaching->timer);
        reaching->supervisor = NULL;
        reaching_free(reaching);
    } else if (reaching) {
        reaching->supervisor = NULL;
    }
}
