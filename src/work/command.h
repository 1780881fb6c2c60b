/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_COMMAND_H
#define WORK_COMMAND_H

/*
 * Commands: requests with an identity. This is the receiver's side of "Commands between services":
 * a request that carries an Idempotency-Key (or Freehold-Undo) takes effect once, however often it
 * arrives; its answer is recorded in the same transaction, and repeats get that answer.
 *
 * The layer that serves requests sets up `w` as for work_run, then calls command_run instead:
 *
 *     work_init(w, context, route->handler);
 *     w->path = ...; w->body = ...;
 *     code = command_run(w, &request);       // on the fiber that runs it
 *     ... answer with w->reply_* ...
 *     work_release(w);
 *
 * - A keyed request from a service is run even if its body does not fit its shape, with a handler
 *   that fails with that problem. That way the refusal is recorded and carries its outcome, and the
 *   saga that sent it compensates instead of asking until its deadline.
 * - Answers to services get Freehold-Outcome (where there is one) and Freehold-At among
 *   w->reply_headers. An answer without Freehold-Outcome means: nothing was decided, ask again.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "freehold.h"
#include "work/work.h"

#define COMMAND_KEY_LENGTH_MAX 255
#define COMMAND_STILL_OPEN_MAX 100000 /* numbers in one closing */
#define COMMAND_CLIENT_KEPT_MS ((int64_t)24 * 3600 * 1000)
/* In an answer that lacks the secrets of the first one: "secrets". */
#define COMMAND_LEFT_OUT_HEADER "Freehold-Left-Out"
#define COMMAND_EXPIRED_SLICE 500 /* outside clients' records removed at once */

/* The request as received. All text is borrowed until command_run returns. */
struct command_request {
    const char *method;
    const char *path;    /* raw, without the query */
    const char *query;   /* raw; "" or NULL when there is none */
    const char *pattern; /* the route's: keeps outside clients' keys of different routes apart */
    const char *body;    /* raw bytes; NULL: none */
    size_t body_length;
    fh_handler *undo; /* the route's undo handler; NULL: it has none */
    /* Header values, NULL where absent. */
    const char *key;     /* Idempotency-Key */
    const char *attempt; /* Freehold-Attempt */
    const char *from;    /* Freehold-From: "CALLER/INCARNATION", or "operator" */
    const char *to;      /* Freehold-To */
    const char *undone;  /* Freehold-Undo */
};

/* True when command_run must run the request, because it has a key or undoes one. All others:
 * work_run. */
static inline bool command_is(const struct command_request *request)
{
    return request->key != NULL || request->undone != NULL;
}

/* Runs `w` as that command, after waiting while an equal key is in progress in this process.
 * Returns what work_run does; w->reply_* holds the answer, which is durable, or a problem. */
enum fh_code command_run(fh_work *w, const struct command_request *request);

/* POST /_freehold/closed, in place of work_run; w->handler is not used. w->body is {"birth",
 * "closed_through", "still_open": [...]}; `from` is Freehold-From. Closings only ever close, so
 * order and repetition do not matter. Answers 200 with what is closed now. A restored caller adds
 * "cut" and "lives": see restored.h. With "asks_lives": true the answer also has this store's
 * "incarnation" and "ancestors". */
enum fh_code command_closed_run(fh_work *w, const char *from);

/* The clock by which records age; no step of the wall clock moves it. The store remembers its
 * value, and `start` continues from there; call it on a fiber, before any command is run. */
enum fh_code command_clock_start(struct work_context *context, struct fh_error *error);
int64_t command_clock_ms(struct work_context *context);

/* Deletes outside clients' records that are older than COMMAND_CLIENT_KEPT_MS, a slice at a time,
 * each in its own transaction: call it on a fiber, every few minutes. */
enum fh_code command_expire(struct work_context *context, int64_t *ret_removed,
                            struct fh_error *error);

/* Parses "CALLER/INCARNATION"; false when it is malformed. The name is copied into `name` (of
 * `size` bytes); *ret_incarnation points into `from`. */
bool command_from_parse(const char *from, char *name, size_t size, const char **ret_incarnation);
/* The value of Freehold-At, also for answers to services' requests that are not commands. On
 * w->kept. */
const char *command_at(fh_work *w, int64_t position);

/* The keys in progress in this process: work_context.keys. */
struct work_keys *work_keys_new(void);
void work_keys_free(struct work_keys *keys); /* none may be in progress */

#endif
