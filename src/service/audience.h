/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_AUDIENCE_H
#define SERVICE_AUDIENCE_H

/*
 * Who may ask a service for what: callers prove their identity with tokens (call/identity.h), and
 * each may use the routes that `up` granted it (system/check/callers.h) and no others. Deny is the
 * default.
 */

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "event/feed/grant.h"
#include "call/identity.h"
#include "freehold.h"
#include "http/server.h"
#include "world/world.h"

#define AUDIENCE_REFUSED_HEADER "Freehold-Refused" /* on each refusal; handlers can't set it */

struct audience;

/* From a configuration's "keys", "callers", "events_granted" and "open"
 * (docs/internals/processes.md); `config` must outlive it. *ret NULL with FH_OK: it has no "keys",
 * so every caller is believed. */
enum fh_code audience_new(const char *service, const json_t *config, struct world *world,
                          struct audience **ret, struct fh_error *error);
/* The same "keys" anew, while the process runs. FH_INVALID: one of them is not a key; then nothing
 * has changed. */
enum fh_code audience_take_keys(struct audience *audience, const json_t *keys,
                                struct fh_error *error);
void audience_free(struct audience *audience); /* NULL is fine */
uint64_t audience_refused(const struct audience *audience);
/* Counts what was refused after audience_judge had let it through. NULL is fine. */
void audience_count_refusal(struct audience *audience);

/* Like identity_verifier_hear. NULL is fine. */
void audience_hear(struct audience *audience,
                   void (*heard)(void *context, const char *caller, int64_t ahead_ms),
                   void *context);

/* A route as declared. */
struct audience_route {
    const char *method, *pattern;
    enum fh_audience audience;
};

#define AUDIENCE_GATEWAY "gateway"
#define AUDIENCE_OPERATOR "operator"

/* May this request use the route? `route` NULL: there is none, only the caller is checked. 0: it
 * may, and ret_caller is who asks: a service's name, or one of those above. 401: the caller did not
 * prove its identity; 403: it may not; both with a sentence. With `audience` NULL a request is
 * believed; one that names no caller is the gateway's. */
int audience_judge(struct audience *audience, const struct http_request *request,
                   const struct audience_route *route,
                   char ret_caller[static IDENTITY_NAME_LENGTH_MAX + 1], const char **ret_why);

/* Which events the sender of a request that was let through may have. Valid until the calling fiber
 * waits. With `audience` NULL: all. */
struct event_grant audience_events(struct audience *audience, const struct http_request *request);

/* Who asks, for what a request is before a route is looked for: as audience_judge believes it.
 * NULL: it does not say or prove it. Valid until `request` is answered. */
const char *audience_caller(struct audience *audience, const struct http_request *request);

#endif
