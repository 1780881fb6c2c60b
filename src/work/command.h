/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_COMMAND_H
#define WORK_COMMAND_H

/*
 * Commands: requests with an identity. The receiver's side of "Commands between services": a
 * request that carries an Idempotency-Key (or, for an undo, Freehold-Undo) takes effect once,
 * however often it arrives, and its answer is recorded in the same work and repeated.
 *
 * The room that serves requests sets `w` up as for work_run, then calls command_run instead:
 *
 *     work_init(w, context, route->handler);
 *     w->path = ...; w->body = ...;
 *     code = command_run(w, &request);       // on the fiber that shall run it
 *     ... answer with w->reply_* ...
 *     work_release(w);
 *
 * - A request whose body does not fit its shape is run too, when it is keyed and comes from a
 *   service, with a handler that fails with that problem: then the refusal is recorded and
 *   carries its outcome, and the saga behind it compensates instead of asking until its deadline.
 * - Answers to services get Freehold-Outcome (where there is one) and Freehold-At among
 *   w->reply_headers. An answer without Freehold-Outcome says: nothing was decided, ask again.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "freehold.h"
#include "work/work.h"

#define COMMAND_KEY_LENGTH_MAX 255
#define COMMAND_STILL_OPEN_MAX 100000 /* numbers in one closing */
#define COMMAND_CLIENT_KEPT_MS ((int64_t)24 * 3600 * 1000)
#define COMMAND_EXPIRED_SLICE 500 /* records of outside clients removed at once */

/* The request as it came. All text is borrowed until command_run returns. */
struct command_request {
    const char *method;
    const char *path;    /* raw, without the query */
    const char *query;   /* raw, "" or NULL when there is none */
    const char *pattern; /* the route's: outside clients' keys are kept apart by it */
    const char *body;    /* raw bytes, NULL: none */
    size_t body_length;
    fh_handler *undo; /* the route's undo handler, NULL: it has none */
    /* Header values, NULL where absent. */
    const char *key;     /* Idempotency-Key */
    const char *attempt; /* Freehold-Attempt */
    const char *from;    /* Freehold-From: "CALLER/INCARNATION", or "operator" */
    const char *to;      /* Freehold-To */
    const char *undone;  /* Freehold-Undo */
};

/* True when it is to be run by command_run: it has a key, or undoes one. Others: work_run. */
static inline bool command_is(const struct command_request *request)
{
    return request->key != NULL || request->undone != NULL;
}

/* Runs `w` as that command, waiting first while an equal key is under way in this process.
 * Returns what work_run does; w->reply_* holds the answer, which is durable, or a problem. */
enum fh_code command_run(fh_work *w, const struct command_request *request);

/* POST /_freehold/closed, instead of work_run; w->handler is not used. w->body is {"birth",
 * "closed_through", "still_open": [...]}; `from` is Freehold-From. A closing only closes: order
 * and repetition do not matter. Answers 200 with what is closed now. A caller that was restored
 * adds "cut" and "lives": restored.h. With "asks_lives": true the answer has this store's
 * "incarnation" and "ancestors" too. */
enum fh_code command_closed_run(fh_work *w, const char *from);

/* The clock by which records age: no step of the wall clock moves it. The store remembers where
 * it stood; `start` goes on from there, on a fiber, before any command is run. */
enum fh_code command_clock_start(struct work_context *context, struct fh_error *error);
int64_t command_clock_ms(struct work_context *context);

/* Forgets records of outside clients that are older than COMMAND_CLIENT_KEPT_MS, a slice at a
 * time, in works of its own: call it on a fiber, every few minutes. */
enum fh_code command_expire(struct work_context *context, int64_t *ret_removed,
                            struct fh_error *error);

/* "CALLER/INCARNATION": false when it is neither a service nor well-formed. The name is copied
 * into `name` (of `size` bytes); *ret_incarnation points into `from`. */
bool command_from_parse(const char *from, char *name, size_t size, const char **ret_incarnation);
/* The value of Freehold-At, for answers to services that are no commands. On w's arena. */
const char *command_at(fh_work *w, int64_t position);

/* The keys that are under way in this process: work_context.keys. */
struct work_keys *work_keys_new(void);
void work_keys_free(struct work_keys *keys); /* none is under way */

#endif
