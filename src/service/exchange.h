/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_EXCHANGE_H
#define SERVICE_EXCHANGE_H

/* One request and its answer: what the files that answer requests share. */

#include "call/identity.h"
#include "call/trace.h"
#include "service/runtime.h"

struct exchange {
    struct runtime *runtime;
    struct http_incoming *incoming; /* valid until http_reply, or until it is let go */
    struct undecided_request waits; /* its client, which waits for a commit */
    struct runtime_route *route;
    fh_work work;
    char caller[IDENTITY_NAME_LENGTH_MAX + 1]; /* from exchange_refused on */
    struct work_user *user;                    /* or NULL; one reference */
    json_t *unfit;                             /* a problem with which the handler must fail */
    char trace[TRACE_SIZE];
};

/* ---- answer.c ---- */

struct http_incoming *exchange_request(struct exchange *exchange);
const char *exchange_header(const struct exchange *exchange, const char *name); /* NULL: none */
/* Sends the answer. `body` may be NULL and is not kept. */
void exchange_answer(struct exchange *exchange, int status, const char *content_type,
                     const char *body, size_t length, const struct http_header *headers,
                     size_t header_count);
void exchange_answer_json(struct exchange *exchange, int status, const json_t *body,
                          const struct http_header *headers, size_t header_count);
void exchange_problem(struct exchange *exchange, enum problem_type type, const char *detail);
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
