/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_WORK_H
#define WORK_WORK_H

/*
 * The unit of work: what one handler does to its store, in the order of docs/guide/work.md:
 *
 *   ask       GETs to others, fh_peek; the store is not open and the fiber may be parked
 *   open      at the first use of the store: the fence (command key, cursor, saga epoch) first
 *   run       the handler's reads and writes; nothing may wait for anyone else any more
 *   finish    what was registered with work_on_finish: outbox, saga start; then the command record
 *   commit    returns when durable
 *   sequence  where the store has a sequencer: the positions of what was published
 *   committed what was registered with work_on_committed: answers, waking feed and runner
 *
 * A failure (work_fail and all that calls it) ends the handler from any depth: control returns to
 * work_run, as PostgreSQL's ereport(ERROR) does. A conflict runs the handler again from its start,
 * with recorded answers, time and randomness.
 */

#include <jansson.h>
#include <setjmp.h>
#include <unwind.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "freehold.h"
#include "store/store.h"
#include "work/trouble.h"
#include "world/world.h"

/* What works of one service share. Filled by room service. */
struct work_context {
    struct world *world;
    struct store *store;
    const fh_service *service;
    const json_t *settings;       /* NULL: none */
    const json_t *callers;        /* who may ask for what: "callers" of the configuration */
    struct work_keys *keys;       /* commands under way in this process */
    struct lease_manager *leases; /* NULL where the store has one process */
    struct event_manager *events; /* rooms above: opaque here */
    struct call_manager *calls;
    struct saga_manager *sagas;
    struct spans *spans; /* what was done lately; NULL: it is not kept */
    bool waits;          /* a handler of this process has used fh_delay_ms: see command.c */
    int64_t position;    /* of the store: the last one that this process knows of */
    struct work_counters {
        uint64_t committed, refused, failed, reruns;
    } counters;
    struct trouble troubles[TROUBLE_KINDS];
};

/* The fence: a work's first statements. FH_OK: go on. Anything else ends the work; a fence that
 * answers in place of the handler sets w's reply and returns with *ret_replied true. */
struct work_fence {
    enum fh_code (*check)(fh_work *w, struct work_fence *fence, bool *ret_replied,
                          struct fh_error *error);
    /* The work's last statement, after finish (handler succeeded: w->reply_status < 400) or in a
     * work of its own (it refused). NULL: nothing to record, refusals need no work. */
    enum fh_code (*record)(fh_work *w, struct work_fence *fence, bool refused,
                           struct fh_error *error);
};

struct work_hook {
    enum fh_code (*finish)(fh_work *w, void *argument, struct fh_error *error);
    void (*committed)(fh_work *w, void *argument);
    void *argument;
    struct work_hook *next;
};

struct work_reply_header {
    const char *name, *value;
};
#define WORK_REPLY_HEADERS_MAX 8 /* the handler's */
#define WORK_REPLY_HEADERS_OWN 3 /* Freehold's: outcome, position, saga */

enum work_phase { WORK_ASKING, WORK_OPEN, WORK_ENDED };

struct fh_work {
    struct work_context *context;
    struct arena arena; /* one run of the handler */
    struct arena kept;  /* the work's whole life, reruns included */
    fh_handler *handler;
    const struct fh_route *route; /* of a request: what its handler may answer; or NULL */
    bool read_only;               /* GET: a snapshot, no writes */
    bool fresh;                   /* GET: from the store's own server, not from a replica */
    bool by_store;                /* what made it fail is the store's */
    bool by_fence;                /* and not: its fence has refused it */
    int64_t deadline_ns;
    struct work_fence *fence; /* or NULL */
    const char *trace;        /* traceparent to pass on, or NULL */

    /* The request, on `kept`. Any may be NULL. */
    json_t *path, *query, *body;
    json_t *event;             /* envelope */
    const char *command_key;   /* of a keyed request: ids may be derived from it */
    struct fh_saga_view *saga; /* what saga handlers see; room saga's */
    json_t *undone_request, *undone_answer;

    /* The run. */
    enum work_phase phase;
    struct store_work *store_work; /* open: the one work; read-only: the snapshot */
    struct store_work *snapshot;   /* read-only: whoever runs it has opened this, and ends it */
    struct work_gate *gate;        /* in a batch: who may be open now; see work_batch */
    bool apart;                    /* an earlier run failed: not in others' transaction again */
    bool exclusive;                /* the group of an earlier run failed */
    int documents_changed;
    const char *document_changed; /* "collection/id" */
    struct work_hook *hooks_first, *hooks_last;
    struct work_appended *appended; /* events, for their positions: see positions.c */
    struct work_deferred *deferred;
    jmp_buf *fail_to;
    struct work_ending { /* of unwind.c */
        struct _Unwind_Exception exception;
        const void *frame; /* which calls the handler */
        int how;
    } ending;

    /* The answer. */
    bool replied;
    int reply_status;
    json_t *reply_body; /* of arena or kept; NULL: none */
    struct work_reply_header reply_headers[WORK_REPLY_HEADERS_MAX + WORK_REPLY_HEADERS_OWN];
    int reply_header_count;
    bool durable; /* a work was committed: the handler's, or that of the fence's own words */

    /* Why it ended otherwise. */
    struct fh_error failure; /* code FH_OK: it did not */
    int retry_after_s;       /* with 503: 0: none */

    /* Recorded for reruns, on `kept`. */
    int64_t now_ms;
    unsigned char seed[16];
    uint64_t random_count;
    struct work_asked *asked_first, *asked_next;
};

/* On the fiber that shall run it. `w` comes cleared but for context, handler and request. */
void work_init(fh_work *w, struct work_context *context, fh_handler *handler);
/* Runs handler, reruns and commit. Afterwards reply_* holds the answer, which may be told to
 * anyone: it is durable, or a problem. Returns FH_OK, or the code of w->failure. */
enum fh_code work_run(fh_work *w);
void work_release(fh_work *w);

/* For what handlers call. Each succeeds or does not return. */
struct store_work *work_store_write(fh_work *w); /* opens the work; 405-like misuse in GET fails */
struct store_work *work_store_read(fh_work *w);  /* opened work, or the snapshot of a GET */
void work_must_be_asking(fh_work *w, const char *what);             /* law 3 */
_Noreturn void work_fail(fh_work *w, const struct fh_error *error); /* maps codes to statuses */
/* Goes back to where the handler was called, over its frames: unwind.c. `how`: for setjmp. */
_Noreturn void work_end_handler(fh_work *w, int how);
_Noreturn void work_fail_problem(fh_work *w, int status, json_t *problem);
#define WORK_MEMORY_FAULT "The work needs more memory than it may have."
void *work_alloc(fh_work *w, size_t size);
char *work_printf(fh_work *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *work_vprintf(fh_work *w, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Hooks run in the order in which they were registered; those with the same argument once. */
void work_on_end(fh_work *w, enum fh_code (*finish)(fh_work *, void *, struct fh_error *),
                 void (*committed)(fh_work *, void *), void *argument);

/* To be told with every list given to ledger_outbox_append or ledger_saga_start, of the run's
 * arena: when the hooks behind the commit run, its events have their positions (0: see
 * positions.c). */
struct ledger_event;
void work_appended(fh_work *w, struct ledger_event *events);

/* Answers of others, remembered so that a rerun hears the same: NULL when this one is new. */
const json_t *work_asked_again(fh_work *w);
void work_asked_record(fh_work *w, const json_t *answer);
uint64_t work_random(fh_work *w); /* the same in a rerun */

/* Several works, one commit: their asking parts run side by side, each on a fiber of its own; then
 * one work is opened with `fence`, and they go on in order. FH_OK: all applied and durable. Any
 * failure: none is; *ret_failed says which (-1: the commit or fence). Replies are ignored. */
enum fh_code work_batch(struct work_context *context, fh_work **works, int count,
                        struct work_fence *fence, int *ret_failed, struct fh_error *error);

#endif
