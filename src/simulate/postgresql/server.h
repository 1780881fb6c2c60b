/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_POSTGRESQL_SERVER_H
#define SIMULATE_POSTGRESQL_SERVER_H

/*
 * A run's PostgreSQL server: one for all its services, a database each. What goes wrong with it is
 * drawn by the run's seed: links that are cut before or behind a message, answers that are lost,
 * messages that come long after their link, a slow server, backends told to end, restarts.
 */

#include <jansson.h>

#include "simulate/core.h"

struct model_server;
struct model_link;
struct simulate_node;

/* Fills the table of libpq's functions. `failed` is told what the model can't do. */
struct model_server *model_server_new(struct simulate *simulate,
                                      void (*failed)(void *context, const char *why),
                                      void *context);
/* The "store" of a service's configuration. */
json_t *model_server_config(const char *database);
void model_server_faults_begin(struct model_server *server, int64_t until_ns, int64_t pause_ns);
void model_server_faults_end(struct model_server *server);
/* "7:2,9:1": what becomes of the messages from now on, by their number, as enum model_fate has it;
 * of all others nothing is drawn. Then nothing more, and how many there were. */
void model_server_fates(struct model_server *server, const char *fates);
int64_t model_server_fates_end(struct model_server *server);
/* Whether something may still happen there that no client waits for any more. */
bool model_server_late(const struct model_server *server);
/* How many events stand before one of their key that was committed earlier. */
int model_server_disorder(struct model_server *server, const char *database);
/* A process has died; `power`: its machine, too, so nobody hears of it. */
void model_server_died(struct model_server *server, const struct simulate_node *node, bool power);
/* Rows of a database, read past its sessions: the newest version. A new reference, or NULL, and why
 * not in *ret_why. */
json_t *model_server_rows(struct model_server *server, const char *database, const char *sql,
                          const char **ret_why);

#endif
