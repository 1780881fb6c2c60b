/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_SUPERVISOR_H
#define SYSTEM_SUPERVISE_SUPERVISOR_H

/* A running system: its state, shared by supervise.c, which runs it, and by those that change it on
 * request (asked.c, upgrade.c, watch.c, move/relocate.c). */

#include "system/supervise/control.h"
#include "system/supervise/instances.h"
#include "system/move/relocation.h"
#include "system/supervise/rebuild.h"
#include "system/supervise/renewal.h"
#include "system/supervise/rotation.h"
#include "system/supervise/supervise.h"
#include "system/supervise/trial.h"
#include "system/supervise/watch.h"

#define SUPERVISOR_SIGNALS 3

enum phase { SERVING, STARTING, OPENING, UP, CLOSING, STOPPING, SETTLING, OVER };

/* There are newer files than those that a service is being upgraded to. */
struct superseding {
    bool due; /* it is upgraded to these once that has ended, and it serves */
    bool force;
    size_t service;
};

struct supervisor {
    const struct supervise_options *options;
    uv_loop_t loop;
    struct world *world;
    struct child model; /* of every process */
    /* Acts on what the processes of one service or server have come to. */
    void (*heed)(struct supervisor *supervisor, struct instances *instances,
                 enum instances_news news);
    void (*advance)(struct supervisor *supervisor); /* what was waited for may have ended */
    struct control *control;
    uv_signal_t signals[SUPERVISOR_SIGNALS];
    enum phase phase;
    bool failed;
    size_t count; /* of services and the gateway, which is the last */
    struct instances all[PROVISION_PARTS_MAX];
    size_t server_count;
    struct instances servers[SYSTEM_SERVERS_MAX];
    struct renewal renewal; /* the current upgrade: only one at a time */
    struct superseding superseding;
    struct trial trial;           /* of its new program, while it runs */
    struct relocation relocation; /* the current move: only one at a time */
    struct rebuild rebuild;
    struct watch watch;
    struct rotation rotation; /* of keys: only one at a time */
};

static inline struct instances *supervisor_gateway(struct supervisor *supervisor)
{
    return &supervisor->all[supervisor->count - 1];
}

/* To the operator at the terminal of `up`, and to the clients whose request this is about: the
 * whole system's (while it stops), or that of `service` (NULL: none). */
void supervisor_say(struct supervisor *supervisor, enum supervise_level level, const char *id,
                    const char *service, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* After each change of one service's processes while the system is up. */
void supervisor_tend(struct supervisor *supervisor, struct instances *instances);
/* The processes of a part, before instances_init. */
struct instances supervisor_instances(const struct supervisor *supervisor,
                                      const struct provision_part *part);
/* The processes of a private server, perhaps none started yet; NULL with an error. */
struct instances *supervisor_server(struct supervisor *supervisor,
                                    const struct provision_part *part, struct fh_error *error);

#endif
