/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_RUN_H
#define SAGA_RUN_H

/*
 * Running sagas: the initiator's side. A service has one saga_manager. It takes over what
 * fh_saga_start committed, sends requests, stores each answer with the step that follows from it,
 * and after a restart continues what is open. decide.h, which is pure, decides what happens when;
 * here it is made durable and carried out. docs/guide/sagas.md explains sagas.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "freehold.h"
#include "saga/decide.h"
#include "store/ledger.h"
#include "work/work.h"

/* Open sagas in memory; more wait in the store, in order of number. */
#define SAGAS_LOADED_MAX 20000
#define SAGA_FIBERS_MAX 256        /* sagas storing something at once */
#define SAGA_TARGET_FLIGHT_MAX 128 /* requests to one service at once; more wait */
#define SAGA_BACKOFF_MS_MIN 100
#define SAGA_BACKOFF_MS_MAX 10000
#define SAGA_BACKOFF_OUTSIDE_MS_MAX 300000 /* services outside are asked less often */
#define SAGA_TIMEOUT_MS 5000               /* one attempt, unless the step says otherwise */
#define SAGA_DEADLINE_S 600                /* unless the definition says otherwise */
#define SAGA_CLOSING_PAUSE_MS 1000
#define SAGA_FORGET_SLICE 100 /* sagas per transaction */

/* FH_INVALID with a sentence if a saga of the service is not well-formed; nothing is started. The
 * context is kept; the caller sets context->sagas. */
enum fh_code saga_manager_new(struct work_context *context, struct saga_manager **ret,
                              struct fh_error *error);
/* Continues what is open in the store. On a fiber, before requests are served. */
enum fh_code saga_manager_start(struct saga_manager *manager, struct fh_error *error);
/* Sends nothing new, leaves answers still to come to the next start, and wakes waiters. Returns
 * when none of the manager's fibers is running. On a fiber. */
void saga_manager_stop(struct saga_manager *manager);
/* After stop, once the world's requests have ended too (http_client_free ends them). */
void saga_manager_free(struct saga_manager *manager);

/* The header that names the saga which a request has started: "Freehold-Saga: BIRTH.NUMBER"; if
 * numbers are given only after the commit, BIRTH.~START, with the id of its start event. */
#define SAGA_HEADER "Freehold-Saga"

/* For units of work that begin sagas: they give way to those under way (admission.h). */
extern const struct work_entrance saga_entrance;

/* Parks the fiber until the saga of `reference` (SAGA_HEADER's) has ended, been undone or parked,
 * or the monotonic deadline has passed. Returns its status then; SAGA_RUNNING also for an unknown
 * one. `begun_by`: the unit of work that began it, or NULL; it may know the number of a saga whose
 * reference has only its start, so that the store need not be asked. */
enum saga_status saga_wait(struct work_context *context, const char *reference,
                           const fh_work *begun_by, int64_t deadline_ns);

/* As this process knows them; and, if other instances run sagas too, as the store does (on a
 * fiber). */
void saga_counts(const struct saga_manager *manager, struct ledger_counts *ret);
void saga_counts_read(struct saga_manager *manager, struct ledger_counts *ret);

/* An operator's command for a parked saga. SAGA_RETRIED: it continues in the direction in which it
 * was going, its refused elements with a higher attempt; SAGA_SKIPPED: the same, past the current
 * step, which an operator has dealt with; SAGA_TURNED_BACK: it is undone. FH_NOT_FOUND; FH_CONFLICT
 * if it is not parked, or can't be turned back. On a fiber. */
enum fh_code saga_operate(struct saga_manager *manager, const char *birth, int64_t number,
                          enum saga_happened word, struct fh_error *error);

/* An operator gives up a parked saga, for a reason that is kept with it (SAGA_TEXT_SIZE): nothing
 * more is done or undone for it, and its receivers are notified that it is over. FH_NOT_FOUND;
 * FH_CONFLICT if it is not parked. On a fiber. */
#define SAGA_BY_LENGTH_MAX 64
struct saga_abandon {
    const char *birth;
    int64_t number;
    const char *why, *by;
};
enum fh_code saga_abandon(struct saga_manager *manager, const struct saga_abandon *abandon,
                          struct fh_error *error);

/* Removes sagas that ended long ago, a slice per transaction. On a fiber, now and then. */
struct retention;
enum fh_code saga_forget(struct saga_manager *manager, const struct retention *retention,
                         struct fh_error *error);

/* What identifies a definition to running sagas, besides its name and version: a digest of
 * everything they depend on. "" if it is not well-formed. Pure. */
#define SAGA_DIGEST_SIZE 17 /* 16 hex digits */
void saga_definition_digest(const struct fh_saga_definition *definition,
                            char out[static SAGA_DIGEST_SIZE]);
/* A definition's faults in one sentence, for `check` and at the start. Pure. */
enum fh_code saga_definition_check(const struct fh_saga_definition *definition,
                                   struct fh_error *error);

#endif
