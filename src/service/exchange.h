/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_EXCHANGE_H
#define SERVICE_EXCHANGE_H

/* One request and its answer: what the files that answer requests share. */

#include "call/identity.h"
#include "call/trace.h"
#include "service/runtime.h"

struct exchange {
    struct admission_request admitted; /* first: it is cast from */
    struct runtime *runtime;
    struct http_incoming *incoming; /* valid until http_reply, or until it is let go */
    struct undecided_request waits; /* its client, which waits for a commit */
    struct runtime_route *route;
    const char *own; /* the path of one of Freehold's own routes; NULL: it is for none */
    fh_work work;
    char caller[IDENTITY_NAME_LENGTH_MAX + 1]; /* from exchange_refused on */
    struct work_user *user;                    /* or NULL; one reference */
    json_t *unfit;                             /* a problem with which the handler must fail */
    bool told;                                 /* its answer's fault is in the log already */
    char trace[TRACE_SIZE];                    /* "" until exchange_trace is called */
    /* Of a view, on the unit of work's `kept`; NULL: not known. */
    const char *as_of, *age;
    struct level_taken *taken;
};

/* ---- exchange.c ---- */

void exchange_run(void *exchange); /* on its fiber; frees it */

/* ---- answer.c ---- */

struct http_incoming *exchange_request(struct exchange *exchange);
const char *exchange_header(const struct exchange *exchange, const char *name); /* NULL: none */
/* Until when its client waits for the answer, if it came at `came_ns`: as long as it says, and for
 * most_ms at most. */
int64_t exchange_until_ns(const struct http_incoming *incoming, int64_t came_ns, int64_t most_ms);
/* The trace that it is part of, the caller's or a new one, with a span of this exchange. */
const char *exchange_trace(struct exchange *exchange);
/* Sends the answer. `body` may be NULL and is not kept. One of 500 and more is logged here,
 * whatever it is the answer to, and gets the trace id as a member if it is a problem. */
void exchange_answer(struct exchange *exchange, int status, const char *content_type,
                     const char *body, size_t length, const struct http_header *headers,
                     size_t header_count);
void exchange_answer_json(struct exchange *exchange, int status, const json_t *body,
                          const struct http_header *headers, size_t header_count);
void exchange_problem(struct exchange *exchange, enum problem_type type, const char *detail);
/* One that begins no exchange: nothing was done for it. `elsewhere`: another process listens where
 * this one did, so the request may be sent again at once, whatever it is. */
void exchange_turn_away(struct runtime *runtime, struct http_incoming *incoming,
                        enum problem_type type, const char *why, bool elsewhere);
/* The result of a unit of work. */
void exchange_answer_work(struct exchange *exchange, fh_work *w, const struct http_header *more);
/* Answers a client that waits for an undecided commit: undecided.c. */
void exchange_answer_undecided(struct undecided_request *request);
/* 405; `allowed` is the Allow header's value. */
void exchange_wrong_method(struct exchange *exchange, const char *allowed);
/* Answers a caller that may not use this route; `route` NULL: any. False: it may use it. */
struct audience_route;
bool exchange_refused(struct exchange *exchange, const struct audience_route *route);

/* Answers a request whose user is not proved, or may not use this route. False: goes on, with
 * exchange->user. */
bool exchange_user_refused(struct exchange *exchange, const struct fh_route *route);
/* Does `.auth` concern this request? And may its user use the route? */
bool exchange_may_use(const struct exchange *exchange, const struct fh_route *route);

#endif
