/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_RESTORED_PARTS_H
#define SAGA_RESTORED_PARTS_H

/* What restored.c, restored_peers.c and restored_receiver.c share. */

#include "saga/restored.h"
#include "saga/manager.h"

/* `stored`: what was stored about the peer before, or NULL. */
typedef enum fh_code saga_peer_look(struct saga_manager *manager, struct saga_target *target,
                                    const json_t *stored, struct store_work *work,
                                    struct restored_news *news, struct fh_error *error);

/* restored_peers.c */
/* Adds `fields` (stolen) to what is stored about a peer, in a transaction of its own. `look`, or
 * NULL, adds to the report what it finds in the same transaction. */
enum fh_code saga_peer_store(struct saga_manager *manager, struct saga_target *target,
                             json_t *fields, saga_peer_look *look, struct fh_error *error);
/* Copies everything stored into the targets; and sets one target's incarnations, as it told
 * them. */
enum fh_code saga_peers_take(struct saga_manager *manager, struct store_work *work,
                             struct fh_error *error);
void saga_peer_lives(struct saga_manager *manager, struct saga_target *target, const char *present,
                     const json_t *ancestors);

/* restored_receiver.c */
/* Sends it again what is closed, asks for its incarnations, and reports what it has lost. True:
 * done. */
bool saga_restored_look(struct saga_manager *manager, struct saga_target *target);
/* Every saga in memory takes account of what was lost. */
void saga_restored_judge_all(struct saga_manager *manager);

#endif
