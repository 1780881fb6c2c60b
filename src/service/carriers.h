/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_CARRIERS_H
#define SERVICE_CARRIERS_H

/*
 * The service's derived stores that lie on servers, as its configuration says:
 *
 *     "derives": {"products": {"driver": "opensearch", "host": ..., ...}}
 *
 * Each is what the driver takes as its options (carrier/driver.h), and "kept": true where the
 * server alone is to have its facts (carriers_kept.c). What is not named there lies in
 * the service's own store. Each has a carrier (carrier/carrier.h) with a fiber that takes turns,
 * from when the process answers requests until it drains: in a copy of a store, which a trial or a
 * rebuild has, there is none. Of several instances the one that has its lease carries.
 */

#include "base/log.h"
#include "base/text.h"
#include "carrier/carrier.h"
#include "carrier/driver.h"
#include "service/runtime.h"
#include "work/carried.h"

#define CARRIERS_MAX ((int)(sizeof((fh_service *)NULL)->derives / sizeof(struct fh_derived)))

struct carriers;

struct carrying_fiber {
    struct carriers *carriers;
    struct derived_carrier carrier;
    const struct carried_driver *driver;
    struct lease lease;
    bool running, woken;
    bool busy;                /* a turn is under way */
    struct log_pause refused; /* of the line about refused values */
    int failures;             /* in a row */
    int losses;               /* since there was nothing left to do */
    bool stopped;             /* the last failure needs somebody */
    char why[256];            /* of the last failure */
    uint64_t failed;          /* in all */
    int64_t settled;          /* of facts that the server alone has: up to here it has them */
    /* Everything that was there at level_ns is carried. What was there at seen_ns, when the turn
     * before began, is up to seen_position. */
    int64_t level_ns, seen_ns, seen_position;
};

struct carriers {
    struct work_carried carried; /* first: it is cast from */
    struct runtime *runtime;
    struct carrying_fiber fibers[CARRIERS_MAX];
    int count;
    struct fiber_queue idle, resting;
    struct store_listener listener; /* of what other instances commit */
};

/* 1u << i: service->derives[i] lies on a server. */
unsigned carriers_declared(const fh_service *service, const json_t *config);
/* Something is derived in the service's own store: points and facts are there besides, unless the
 * server alone has them. */
bool carriers_needs_own(const fh_service *service, const json_t *config);
/* Opens the connections and sets context->carried, before the store is opened; does nothing where
 * all derived stores lie in it. FH_INVALID, FH_UNSUPPORTED: the configuration does not fit. */
enum fh_code carriers_take(struct runtime *runtime, struct fh_error *error);
/* Notes in the store what is carried from now on. On a fiber. */
enum fh_code carriers_prepare(struct runtime *runtime, struct fh_error *error);
/* carriers_alike.c: of a service of which several instances write, before it joins them, and before
 * anything is derived once it has. FH_UNAVAILABLE, and so on. On a fiber. */
void carriers_alike_watch(struct runtime *runtime);
enum fh_code carriers_alike_join(struct runtime *runtime, struct fh_error *error);
void carriers_alike_free(struct runtime *runtime);
/* A carrier has read whether what this program derives is noted. */
void carriers_alike_looked(struct runtime *runtime, bool noted);
/* Once requests are answered. FH_NO_MEMORY: one has no fiber, and nobody would ever carry to it. */
enum fh_code carriers_start(struct runtime *runtime, struct fh_error *error);
/* No turn begins any more. */
void carriers_drain(struct runtime *runtime);
/* Requests to servers that are in progress fail. */
void carriers_silence(struct runtime *runtime);
bool carriers_ended(const struct runtime *runtime);
void carriers_free(struct runtime *runtime);

static inline struct carriers *carriers_of(const struct work_context *context)
{
    return (struct carriers *)(uintptr_t)context->carried;
}

/* The next turns are taken at once. */
static inline void carriers_wake(struct carriers *carriers)
{
    for (int i = 0; i < carriers->count; i++)
        carriers->fibers[i].woken = true;
    fiber_wake_all(&carriers->idle);
}

/* The same of those that rest after a failure, too. */
static inline void carriers_hurry(struct carriers *carriers)
{
    carriers_wake(carriers);
    fiber_wake_all(&carriers->resting);
}

/* carriers_kept.c: facts that a server alone has. Whether the driver and what is declared can be
 * so. FH_INVALID. */
enum fh_code carriers_kept_check(const struct carried_driver *driver,
                                 const struct fh_derived *declared, struct fh_error *error);
/* Where the service serves: notes from where on a server alone has facts, before a request is
 * answered. On a fiber. */
enum fh_code carriers_kept_begin(struct runtime *runtime, struct fh_error *error);
/* Of each derived store, before anything is derived: whether its facts are where they are now
 * declared to be. FH_UNSUPPORTED: they are not. `own`: the service's own store is looked into, too,
 * once derived_prepare is done. On a fiber. */
enum fh_code carriers_kept_prepare(struct runtime *runtime, bool own, struct fh_error *error);
/* work_carried.takes */
enum fh_code carriers_kept_take(struct work_context *context, const struct fh_derived *declared,
                                int64_t at_ms, struct fh_error *error);
/* *ret: {"name", "after", "to"}: which positions were given up. FH_NOT_FOUND, FH_CONFLICT. On a
 * fiber. */
enum fh_code carriers_accept_loss(struct runtime *runtime, const char *name, json_t **ret,
                                  struct fh_error *error);

/* carriers_show.c. NULL: it is no derived store on a server; of the second an operator asks,
 * FH_NOT_FOUND. */
struct carrying_fiber *carriers_find(const struct work_context *context, const char *name);
struct carrying_fiber *carriers_ask_for(struct runtime *runtime, const char *name,
                                        struct fh_error *error);
/* Begins another generation; *ret: {"name"}. FH_NOT_FOUND, FH_CONFLICT. On a fiber. */
enum fh_code carriers_make_anew(struct runtime *runtime, const char *name, json_t **ret,
                                struct fh_error *error);
/* [{"name", "server", "state", "serves", "depth", "age_ms", "refused": [{"key",
 * "position", "reason"}], "kept", "reason"}], for the service's state; NULL: it has none. New
 * reference. */
json_t *carriers_state(const struct runtime *runtime);
void carriers_write_metrics(struct text *text, const struct runtime *runtime);

#endif
