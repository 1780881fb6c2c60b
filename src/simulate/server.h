/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_SERVER_H
#define SIMULATE_SERVER_H

/*
 * A run's server of one engine: one for all the services that have their stores there, a database
 * each. What is behind it is a model (a folder each), which puts itself in the place of what
 * the engine reaches its server by. What goes wrong with it is drawn by the run's seed.
 */

#include <jansson.h>

#include "simulate/core.h"

struct simulate_node;
struct simulate_server;

struct simulate_server_ops {
    /* The "store" of a service's configuration. */
    json_t *(*config)(const char *database);
    /* Faults go on until then, one in about so long; beside them what each message meets. */
    void (*faults_begin)(struct simulate_server *server, int64_t until_ns, int64_t pause_ns);
    void (*faults_end)(struct simulate_server *server);
    /* "7:2,9:1": what becomes of the messages from now on, by their number, as enum simulate_fate
     * has it; of all others nothing is drawn. Then nothing more, and how many there were. */
    void (*fates)(struct simulate_server *server, const char *fates);
    int64_t (*fates_end)(struct simulate_server *server);
    /* Whether something may still happen there that no client waits for any more. */
    bool (*late)(const struct simulate_server *server);
    /* How many events stand before one of their key that was committed earlier. */
    int (*disorder)(struct simulate_server *server, const char *database);
    /* A process has died; `power`: its machine, too, so nobody hears of it. */
    void (*died)(struct simulate_server *server, const struct simulate_node *node, bool power);
    /* Rows of a database, read past its sessions: what is there now. A new reference, or NULL, and
     * why not in *ret_why. */
    json_t *(*rows)(struct simulate_server *server, const char *database, const char *sql,
                    const char **ret_why);
    /* A standby takes over that lacks up to so many of the last commits; how many it lacked. NULL:
     * that is not modelled. */
    int (*lose)(struct simulate_server *server, int commits_max);
};

struct simulate_server { /* the first of a model's */
    const struct simulate_server_ops *ops;
    const char *engine;
};

typedef void simulate_server_failed(void *context, const char *why);

/* `failed` hears what the model can't do. NULL: this build has no model of that engine, which
 * `failed` hears, too. */
struct simulate_server *simulate_server_new(const char *engine, struct simulate *simulate,
                                            simulate_server_failed *failed, void *context);
bool simulate_server_is_modelled(const char *engine); /* in some build */

/* Of the build (meson.build), up to one without a name. */
typedef struct simulate_server *simulate_server_make(struct simulate *simulate,
                                                     simulate_server_failed *failed, void *context);
struct simulate_model {
    const char *engine;
    simulate_server_make *make; /* NULL: what it needs was missing where this was built */
};
extern const struct simulate_model simulate_models[];

#endif
