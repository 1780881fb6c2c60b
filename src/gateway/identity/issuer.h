/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_IDENTITY_ISSUER_H
#define GATEWAY_IDENTITY_ISSUER_H

/*
 * A provider of tokens: its rules, and its keys as they are fetched, kept and renewed. Requests go
 * out by the world, which must send those with a URL outside.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "gateway/identity/claims.h"
#include "gateway/identity/jwks.h"
#include "world/world.h"

#define ISSUER_FETCH_MS 5000     /* for each of the two requests of a refresh */
#define ISSUER_WAIT_MS 3000      /* a client's request waits for a refresh */
#define ISSUER_WAITING_MAX 256   /* and so many of them do */
#define ISSUER_ASKED_MAX 3       /* refreshes that unknown key ids ask for in a row, */
#define ISSUER_PAUSE_MS 5000     /* and then one in such a time */
#define ISSUER_RETRY_MS_MIN 1000 /* after a refresh that failed, doubling */
#define ISSUER_RETRY_MS_MAX 60000
#define ISSUER_FRESH_S 3600 /* keys are fetched again, unless Cache-Control says when */
#define ISSUER_FRESH_S_MIN 60
#define ISSUER_FRESH_S_MAX 86400

struct issuer;

/* `config` (borrowed for the issuer's life) is an element of "jwt" of the gateway's "auth":
 * docs/internals/processes.md. Starts to fetch the keys; FH_INVALID: a sentence. */
enum fh_code issuer_new(struct world *world, const json_t *config, struct issuer **ret,
                        struct fh_error *error);
void issuer_free(struct issuer *issuer); /* no fiber may use it */
const char *issuer_name(const struct issuer *issuer);
/* Changes whenever the keys do: what was verified by older keys is to be verified again. */
const uint64_t *issuer_generation(const struct issuer *issuer);
/* 0: there are none, so tokens can't be judged. */
size_t issuer_key_count(const struct issuer *issuer);

enum issuer_verdict {
    ISSUER_PROVED,
    ISSUER_REFUSED, /* `error` says why, for the log */
    ISSUER_AWAY,    /* can't be judged now: the provider does not answer */
};
/* In a fiber: may wait for a refresh. On ISSUER_PROVED *ret is a new identity, good until
 * *ret_until_s of the wall clock. */
enum issuer_verdict issuer_judge(struct issuer *issuer, const struct jws *jws, json_t **ret,
                                 int64_t *ret_until_s, struct fh_error *error);

/* Whether a secret may be sent to this URL and keys be taken from it: "https://...", or "http://"
 * with a loopback address, and a host without user or blank. */
bool issuer_url_is_safe(const char *url);

#endif
