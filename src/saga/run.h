/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_RUN_H
#define SAGA_RUN_H

/*
 * Running sagas: the initiator's side. A service has one saga_room; it takes over what
 * fh_saga_start committed, sends requests, stores each answer with the step that follows from it,
 * and after a restart goes on with what is open. What happens when is decided in decide.h, purely;
 * here it is made durable and carried out. The story is in docs/sagas.md.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "freehold.h"
#include "saga/decide.h"
#include "store/ledger.h"
#include "work/work.h"

/* Open ones in memory; more wait in the store, in order of number. */
#define SAGAS_LOADED_MAX 20000
#define SAGA_FIBERS_MAX 256        /* sagas that are storing something at once */
#define SAGA_TARGET_FLIGHT_MAX 128 /* requests to one service at once; more wait */
#define SAGA_BACKOFF_MS_MIN 100
#define SAGA_BACKOFF_MS_MAX 10000
#define SAGA_TIMEOUT_MS 5000 /* one attempt, unless the step says otherwise */
#define SAGA_DEADLINE_S 600  /* unless the definition says otherwise */
#define SAGA_CLOSING_PAUSE_MS 1000

/* FH_INVALID with a sentence when a saga of the service is not well-formed; nothing is started.
 * The context is kept; context->sagas is set by the caller. */
enum fh_code saga_room_new(struct work_context *context, struct saga_room **ret,
                           struct fh_error *error);
/* Goes on with what is open in the store. On a fiber, before requests are served. */
enum fh_code saga_room_start(struct saga_room *room, struct fh_error *error);
/* Nothing new is sent, answers that are still to come are left for the next start; waiters are
 * woken. Returns when no work of the room is under way. On a fiber. */
void saga_room_stop(struct saga_room *room);
/* After stop, once the world's requests have ended too (http_client_free ends them). */
void saga_room_free(struct saga_room *room);

/* The saga that a work has started says so in its answer: "Freehold-Saga: BIRTH.NUMBER". */
#define SAGA_HEADER "Freehold-Saga"

/* Parks the fiber until the saga of `reference` ("BIRTH.NUMBER") has ended, been undone or parked,
 * or the monotonic deadline has come. Returns its status then; SAGA_RUNNING also for one that is
 * not known. */
enum saga_status saga_wait(struct work_context *context, const char *reference,
                           int64_t deadline_ns);

void saga_counts(const struct saga_room *room, struct ledger_counts *ret);

/* An operator's word: a parked saga goes on in the direction in which it was going, the refused
 * elements with a higher attempt. FH_NOT_FOUND; FH_CONFLICT when it is not parked. On a fiber. */
enum fh_code saga_retry(struct saga_room *room, const char *birth, int64_t number,
                        struct fh_error *error);

/* A definition's faults in one sentence, for `check` and for the start. Pure. */
enum fh_code saga_definition_check(const struct fh_saga_definition *definition,
                                   struct fh_error *error);

#endif
