/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_IDENTITY_INTROSPECTION_H
#define GATEWAY_IDENTITY_INTROSPECTION_H

/*
 * Opaque tokens: a provider is asked what they mean (RFC 7662), and what it says is kept for a
 * while. Requests go out by the world, which must send those with a URL outside.
 */

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "gateway/identity/claims.h"
#include "world/world.h"

#define INTROSPECTION_ASK_MS 5000     /* for an answer */
#define INTROSPECTION_ASKING_MAX 32   /* tokens that the provider is asked of at a time */
#define INTROSPECTION_WAITING_MAX 256 /* requests that wait for one of its answers */
#define INTROSPECTION_PAUSE_MS 1000   /* after a failure nothing is asked */
#define INTROSPECTION_ANSWER_SIZE_MAX ((size_t)64 << 10)
#define INTROSPECTION_GOOD_MAX 8192 /* answers that are kept, */
#define INTROSPECTION_BAD_MAX 4096  /* and those that say no */
#define INTROSPECTION_KEPT_S 60     /* for how long */
#define INTROSPECTION_KEPT_S_MAX 300
#define INTROSPECTION_AWAY_S 300 /* and a good one while the provider is away */
#define INTROSPECTION_AWAY_S_MAX 3600

struct introspection;

/* `config` (borrowed for its life) is "introspection" of the gateway's "auth":
 * docs/internals/processes.md. FH_INVALID: a sentence. */
enum fh_code introspection_new(struct world *world, const json_t *config,
                               struct introspection **ret, struct fh_error *error);
void introspection_free(
    struct introspection *introspection); /* NULL is fine; no fiber may use it */

enum introspected {
    INTROSPECTED_ACTIVE,
    INTROSPECTED_REFUSED, /* `error` says why, for the log */
    INTROSPECTED_AWAY,    /* can't be judged now */
};
/* In a fiber: may wait for the provider. `name`: under which the token is remembered (known_name).
 * On INTROSPECTED_ACTIVE *ret is a new identity, good until *ret_until_ms of the wall clock. */
enum introspected introspect(struct introspection *introspection, const char *token,
                             const char *name, json_t **ret, int64_t *ret_until_ms,
                             struct fh_error *error);

#endif
