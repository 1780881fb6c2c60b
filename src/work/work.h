/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_WORK_H
#define WORK_WORK_H

/*
 * The unit of work: everything one handler does to its store, in the order of docs/guide/work.md:
 *
 *   ask       GETs to other services, fh_peek; the store is not open, and the fiber may park
 *   open      at the first use of the store: first the fence (command key, cursor, saga epoch)
 *   run       the handler's reads and writes; nothing may wait for another service any more
 *   finish    the `finish` hooks registered with work_on_end: outbox, saga start; then the
 *             command's record
 *   commit    returns when durable
 *   sequence  where the store has a sequencer: fetches the positions of published events
 *   committed the `committed` hooks registered with work_on_end: answers, waking feed and runner
 *
 * A failure (work_fail and its callers) ends the handler from any depth: control returns to
 * work_run, as with PostgreSQL's ereport(ERROR). A conflict runs the handler again from its start,
 * with the answers, time and randomness recorded by the first run.
 */

#include <jansson.h>
#include <setjmp.h>
#include <unwind.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json_scan.h"
#include "base/log.h"
#include "freehold.h"
#include "shape/mark.h"
#include "shape/problem.h"
#include "store/store.h"
#include "work/trouble.h"
#include "work/user.h"
#include "world/world.h"

/* How many lines about faults are written: fault.h. Zero-initialised. */
struct fault_lines {
    struct log_pause unserved; /* 503 and 504 */
    struct log_rate faults;    /* all others of 500 and more */
};

/* Shared by all units of work of one service. Filled by layer `service`. */
struct work_context {
    struct world *world;
    struct store *store;
    const fh_service *service;
    const char *reads_as; /* the name in which it reads others' events; NULL: the service's */
    bool holds_back;      /* all events have been applied to another store: see work_reaches_out */
    const json_t *settings;        /* NULL: none */
    const struct reports *reports; /* NULL: none */
    /* Which callers may ask for what: "callers" of the configuration. */
    const json_t *callers;
    struct work_keys *keys;       /* commands in progress in this process */
    struct lease_manager *leases; /* NULL where the store has one process */
    struct event_manager *events; /* layers above: opaque here */
    struct call_manager *calls;
    struct user_verifier *users; /* NULL: no statement of a user is believed */
    struct saga_manager *sagas;
    struct timer_manager *timers; /* opaque here, too */
    /* Where requests may go outside the system; NULL: this process sends none. */
    const struct outside_rules *outside;
    struct webhook_keys *webhooks; /* what those are signed with; NULL: nothing */
    struct spans *spans;           /* what was done recently; NULL: not kept */
    bool waits;       /* a handler of this process has used fh_delay_ms: see command.c */
    int64_t position; /* of the store: the last position this process knows of */
    struct work_counters {
        uint64_t committed, refused, failed, reruns;
    } counters;
    struct trouble troubles[TROUBLE_KINDS];
    /* For tests, which end with the first one. Is told of each handler's own fault: its unit of
     * work, which is not released yet, has ended with 500, for good, so no rerun mends it. What is
     * not the handler's (a store or a service that is away, a conflict) is no 500. NULL: nobody. */
    void (*on_fault)(void *owner, const fh_work *w);
    void *fault_owner;
    struct fault_lines fault_lines;
    struct log_rate said;               /* by fh_log */
    struct meters *meters;              /* NULL: nothing is declared to be counted */
    const struct work_carried *carried; /* derived stores on servers; NULL: there are none */
    /* The store is the one that the service answers from, and no copy of it (run_start). */
    bool serves;
};

/* In whose name this process reads others' events. */
static inline const char *work_reader(const struct work_context *context)
{
    return context->reads_as ? context->reads_as : context->service->name;
}

/* What a fence found. */
enum work_verdict {
    WORK_GOES_ON,
    WORK_IS_ANSWERED, /* the fence has set the answer; the handler has nothing more to do */
    WORK_IS_OVER,     /* `error` says why */
};

static inline enum work_verdict work_verdict_of(enum fh_code code, struct fh_error *error)
{
    if (code != FH_OK)
        error->code = code;
    return code == FH_OK ? WORK_GOES_ON : WORK_IS_OVER;
}

/* The fence: the first statements of a transaction. */
struct work_fence {
    enum work_verdict (*check)(struct work_fence *fence, struct store_work *work,
                               struct fh_error *error);
    /* The last statement: after the finish hooks if the handler succeeded (w->reply_status < 400),
     * or in a transaction of its own if it refused. NULL: nothing is recorded, and a refusal needs
     * no transaction. */
    enum fh_code (*record)(fh_work *w, struct work_fence *fence, bool refused,
                           struct fh_error *error);
};

/* Where units of work of one kind take turns. `enter` comes before the first use of the store, may
 * park, and may fail the unit of work; `leave`, after one that was entered, when it has ended. */
struct work_entrance {
    void (*enter)(fh_work *w);
    void (*leave)(fh_work *w);
};

struct work_hook {
    enum fh_code (*finish)(fh_work *w, void *argument, struct fh_error *error);
    void (*committed)(fh_work *w, void *argument);
    void *argument;
    struct work_hook *next;
};

/* An answer of another service: see recorded.c. */
struct work_asked {
    json_t *answer;
    struct work_asked *next;
};

/* A statement whose result nobody has waited for: see relational.c. On the run's arena. */
struct work_unanswered {
    unsigned number; /* store_work.statement */
    const char *sql; /* NULL: there was no memory for it */
    struct work_unanswered *next;
};

/* What a search was answered with: which of it is personal. */
struct work_found {
    const fh_field *shape;
    const json_t *answer;
    const struct work_found *next;
};

/* The event that a handler is given: envelope and data are texts, which were checked when they came
 * (json_scan.h), and of which values are made for who asks for them; or values, where `tree` is
 * one. */
struct work_event {
    struct json_piece envelope, data;
    bool carried; /* the envelope's text is a broker's message, and `data` is what counts of it */
    json_t *tree; /* of the envelope */
};

struct work_reply_header {
    const char *name, *value;
};
#define WORK_REPLY_HEADERS_MAX 8 /* the handler's */
#define WORK_REPLY_HEADERS_OWN 4 /* Freehold's: outcome, position, saga, what is left out */

#define WORK_UNWINDINGS_MAX 8 /* one more for each catch in which a call ends the handler again */

enum work_phase { WORK_ASKING, WORK_OPEN, WORK_ENDED };

struct http_request;
struct doing;

struct fh_work {
    struct work_context *context;
    struct arena arena; /* one run of the handler */
    struct arena kept;  /* lives through all reruns */
    fh_handler *handler;
    const struct fh_route *route; /* of a request: declares what its handler may answer; or NULL */
    bool read_only;               /* GET: a snapshot, no writes */
    bool fresh;                   /* GET: read from the store's own server, not from a replica */
    bool by_store;                /* the store caused the failure */
    bool by_fence;                /* the fence refused it, so the store is not to blame */
    bool replayed;                /* its event was applied before: see work_reaches_out */
    bool repeated;                /* a command's answer is the one recorded when it was done */
    int64_t deadline_ns;
    /* GET: whether an answer may be given of what was read, asked while the snapshot that it was
     * read in is open (NULL: none was opened). NULL: it always may. `outdated` is its to set: the
     * caller runs the handler again. */
    enum fh_code (*stands)(fh_work *w, struct store_work *snapshot, struct fh_error *error);
    bool outdated;
    struct work_fence *fence;             /* or NULL */
    const struct work_entrance *entrance; /* or NULL */
    bool entered;
    const char *trace;         /* traceparent to pass on, or NULL */
    const struct doing *doing; /* what it is, for the log; NULL: a request's route, if any */
    struct work_user *user;    /* on whose behalf; NULL: nobody's. Outlives the unit of work. */
    struct work_page {         /* page.h: what the client asked for; zero: the first one */
        json_t *after;         /* the last row's values, of the columns in `by` */
        int limit;
        const char *path, *query; /* raw; NULL: there is no next page to be had */
    } page;

    const char *caller;                 /* fh_caller's; NULL: this service */
    const struct http_request *request; /* its headers; NULL: it is no request */
    void (*parks)(fh_work *w);          /* see work_parks; NULL: nobody is told */

    /* The request, on `kept`. Any may be NULL. */
    json_t *path, *query, *body;
    const char *body_bytes; /* of a route that takes other than JSON; or NULL */
    size_t body_bytes_length;
    const struct work_event *event;   /* outlives the unit of work */
    const struct ledger_timer *timer; /* what fires */
    const char *command_key;          /* of a keyed request: ids may be derived from it */
    struct fh_saga_view *saga;        /* for saga handlers; belongs to layer `saga` */
    /* What it was given if it is no request, an event's data or a saga's input and answers: which
     * of it is marked (shape/mark.h). Any may be NULL. */
    struct work_given {
        const fh_field *shape;
        const json_t *value;
        shape_given *cover; /* instead, where it is more than one value */
        const void *context;
    } given;
    /* An event in another version than its handler reads: `run`, at the beginning of each run of
     * the handler, makes data of the handler's version of it (work_cast_done). */
    struct work_cast {
        void (*run)(fh_work *w); /* NULL: the event is given as it came */
        const void *context;     /* its own */
        int from;                /* the version that it came in; 0: it does not say */
        const char *running;     /* which cast: for messages; NULL: none is */
        int version;             /* of `data` */
        json_t *data;            /* on the run's arena; NULL: not made yet */
        const fh_field *shape;   /* which of `data` is marked */
    } cast;
    json_t *undone_request, *undone_answer;

    /* The run. */
    enum work_phase phase;
    struct store_work *store_work; /* open: the one transaction; read-only: the snapshot */
    struct store_work *snapshot;   /* read-only: opened, and ended, by the caller of the handler */
    struct gate_member *member;    /* in a batch: its place there; see work_batch */
    bool parts;     /* in a batch: it needs a commit of its own; nobody is to blame */
    bool apart;     /* an earlier run failed: shares no transaction any more */
    bool exclusive; /* earlier runs met conflicts: now runs exclusively */
    int documents_changed;
    const char *document_changed; /* "collection/id" */
    int derived, points;          /* changes of derived stores, and of series */
    int64_t series_numbers[sizeof((fh_service *)NULL)->derives /
                           sizeof(struct fh_derived)]; /* derived_ops.measure */
    const struct work_marked *marked; /* belongs to derived_marks.c; NULL: not looked at yet */
    const struct work_found *found;   /* answers of searches with personal fields, newest first */
    struct work_hook *hooks_first, *hooks_last;
    struct work_appended *appended; /* published events: see positions.c */
    struct work_deferred *deferred;
    struct work_noted *noted; /* for meters.h, newest first */
    int runs;                 /* with this one */
    jmp_buf *fail_to;
    struct work_ending { /* belongs to unwind.c */
        struct work_unwinding {
            struct _Unwind_Exception exception; /* first: it is cast from */
            fh_work *w;
        } unwindings[WORK_UNWINDINGS_MAX];
        int count;
        const void *frame; /* the frame that calls the handler */
        int how;
    } ending;

    /* The answer. */
    bool replied;
    int reply_status;
    json_t *reply_body; /* on arena or kept; NULL: none */
    struct work_text {  /* reply_body as it was recorded, if that is `of`; on kept */
        const json_t *of;
        const char *text;
        size_t length;
    } reply_text;
    struct work_reply_header reply_headers[WORK_REPLY_HEADERS_MAX + WORK_REPLY_HEADERS_OWN];
    int reply_header_count;
    bool durable; /* a transaction was committed: the handler's, or the fence's answer */

    /* Why it failed. */
    struct fh_error failure; /* code FH_OK: it did not fail */
    int fault_status;        /* 500 and more, and nobody has told yet: fault.h; else 0 */
    const char *statement;   /* on arena: the SQL that failed; NULL: none, or nobody knows which */
    struct work_unanswered *unanswered; /* the newest first */
    int retry_after_s;                  /* with 503; 0: none */

    /* Recorded for reruns, on `kept`. */
    int64_t now_ms;
    unsigned char seed[16];
    uint64_t random_count;
    struct work_asked *asked_first, *asked_next;
};

/* To be called before it waits for anything but its store: another service, another unit of work,
 * time. Whoever has given it a place among those that work may take that back. */
static inline void work_parks(fh_work *w)
{
    if (w->parks)
        w->parks(w);
}

/* Call it on the fiber that runs it. Clears `w`, except for context and handler. */
void work_init(fh_work *w, struct work_context *context, fh_handler *handler);
/* Runs the handler, its reruns and the commit. Afterwards reply_* holds the answer, which may be
 * sent: it is durable, or a problem. Returns FH_OK, or the code of w->failure. */
enum fh_code work_run(fh_work *w);
void work_release(fh_work *w);

/* For the functions that handlers call. Each succeeds or does not return. */
struct store_work *work_store_write(fh_work *w); /* opens the transaction; fails in a GET */
struct store_work *work_store_read(fh_work *w);  /* the open transaction, or a GET's snapshot */
void work_must_be_asking(fh_work *w, const char *what); /* law 3 */
void work_asks(fh_work *w);  /* before what may wait for others, or reads what is committed */
void work_waits(fh_work *w); /* before a statement whose answer is waited for */
_Noreturn void work_fail(fh_work *w, const struct fh_error *error); /* maps codes to statuses */
/* Returns to where the handler was called, over all its frames: unwind.c. `how`: for setjmp. */
_Noreturn void work_end_handler(fh_work *w, int how);
/* A fault of the handler: 500. The log says which, the client is told only that there is one. */
_Noreturn void work_fault(fh_work *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* What a handler, or this library in another file, puts into words for the client itself. */
_Noreturn void work_fail_problem(fh_work *w, int status, json_t *problem);
/* The same for what this library refuses. pointer: to what the request names; NULL: to nothing. */
_Noreturn void work_fail_as(fh_work *w, enum problem_type type, const char *pointer,
                            const char *detail);
/* Fails while a cast runs (freehold/versions.h): `what` is none of the things that it may use. */
void work_is_no_cast(fh_work *w, const char *what);
#define WORK_MEMORY_FAULT "The unit of work needs more memory than it may have."
/* The objects that a call's `...` ends with: how many there are. */
#define WORK_OBJECTS_MAX 16
int work_objects_of(fh_work *w, va_list args, json_t **objects);
void *work_alloc(fh_work *w, size_t size);
char *work_printf(fh_work *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *work_vprintf(fh_work *w, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* What was given by fh_reply_bytes, now or when the answer was recorded: malloc'ed. NULL: the
 * answer is JSON, or has no body. */
unsigned char *work_reply_bytes(const fh_work *w, size_t *ret_length);

/* Whether what a handler does besides changing its own store is done: events published, sagas
 * begun, timers set and cancelled, metrics counted. It is not for an event that is applied again,
 * since it has done all that before (event/subscribe/replay.h), nor for any event where a store is
 * filled that is to take another one's place (service/rebuild.h). Each function of that kind in
 * freehold.h checks what it is given, asks this, and then does nothing more. */
static inline bool work_reaches_out(const fh_work *w)
{
    return !w->replayed;
}

/* Hooks run in the order of registration; registering the same finish and argument again has no
 * effect. Only for what reaches out; `_always` for what changes the service's own store, too. */
void work_on_end(fh_work *w, enum fh_code (*finish)(fh_work *, void *, struct fh_error *),
                 void (*committed)(fh_work *, void *), void *argument);
void work_on_end_always(fh_work *w, enum fh_code (*finish)(fh_work *, void *, struct fh_error *),
                        void (*committed)(fh_work *, void *), void *argument);

/* Must be called with every list given to ledger_outbox_append or ledger_saga_start, allocated on
 * the run's arena: by the time the hooks after the commit run, its events have their positions (0:
 * see positions.c). */
struct ledger_event;
void work_appended(fh_work *w, struct ledger_event *events);

/* On the arena that is set, or the heap; a new reference, and a copy. NULL: there is no memory. */
json_t *work_event_envelope(const struct work_event *event);
json_t *work_event_data(const struct work_event *event);

/* Recorded answers of other services, so that a rerun sees the same ones. NULL: the next one is
 * new. */
const json_t *work_asked_again(fh_work *w);
void work_asked_record(fh_work *w, const json_t *answer);
uint64_t work_random(fh_work *w);                          /* the same in a rerun */
uint64_t work_random_at(const fh_work *w, uint64_t count); /* the one after so many, or before */
/* For what does not reach out: ends the handler if `data` holds an id that fh_id_new has made in
 * this run, and the store is filled anew: once it was another one. */
void work_refuse_drawn(fh_work *w, const char *what, const json_t *data);

/* Several units of work in one commit. Their asking parts run side by side, each on its own fiber;
 * then one transaction is opened with `fence`, and they go on in order. FH_OK: all are applied and
 * durable. On any failure none is; *ret_failed says which one failed (-1: the commit or the fence).
 * Replies are ignored.
 *
 * `habits`, if not NULL: while `asks` is false, none is expected to ask, nor to wait for a store
 * that is a server, and they run one after the other on one fiber, in the open transaction. If one
 * does after all, it is set, and all run anew, side by side. */
struct work_batch_habits { /* of batches of one origin, kept by it */
    bool asks;
    int64_t run_ns; /* of one unit of work in the last batch; 0: there was none yet */
    struct store_habits store;
};
#define WORK_BATCH_SMALL 240
#define WORK_BATCH_MAX 480
/* How many may be in the next one: WORK_BATCH_MAX where the store is embedded and they are so quick
 * that others don't wait for it for long, else WORK_BATCH_SMALL. */
int work_batch_size(const struct work_context *context, const struct work_batch_habits *habits);
enum fh_code work_batch(struct work_context *context, fh_work **works, int count,
                        struct work_fence *fence, struct work_batch_habits *habits, int *ret_failed,
                        struct fh_error *error);

/* Whether a batch's failure counts as an outage. A failed handler (NULL: none) is to blame, unless
 * it asked a service that is down (its own faults are 500), or could not even start. */
bool work_batch_is_outage(enum fh_code code, const struct fh_error *error, const fh_work *failed);

#endif
