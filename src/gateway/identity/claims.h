/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_IDENTITY_CLAIMS_H
#define GATEWAY_IDENTITY_CLAIMS_H

/*
 * What the claims of a verified token, or of an introspected one, must say, and the identity that
 * is made of them: the JSON object of call/user.h. Pure; times are the wall clock's.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "gateway/identity/jws.h"

#define CLAIMS_LEEWAY_S 60
#define CLAIMS_LEEWAY_S_MAX 600
#define CLAIMS_PASSED_MAX 16
#define CLAIMS_SUBJECT_LENGTH_MAX 255 /* without its prefix */
#define CLAIMS_PREFIX_LENGTH_MAX 64
#define CLAIMS_WORDS_MAX 64 /* scopes, and roles */
#define CLAIMS_WORD_LENGTH_MAX 128
#define CLAIMS_AGE_S_MAX 315360000 /* a time further away than ten years is none */

/* Borrowed from the configuration for as long as the rules are used. */
struct claims_rules {
    const char *issuer;                    /* NULL: any, for introspection */
    const char *audience;                  /* NULL: any, for introspection */
    const char *subjects;                  /* what stands before each subject; "": nothing */
    const char *scopes, *roles;            /* paths: "realm_access.roles" */
    const char *passed[CLAIMS_PASSED_MAX]; /* names of claims that are passed on */
    size_t passed_count;
    int leeway_s;
    bool expiry_optional; /* for introspection: the provider says itself what is active */
};

/* The rules of {"issuer", "audience", "subjects", "scopes", "roles", "claims": [..], "leeway_s"};
 * what is absent gets its default. */
enum fh_code claims_rules_read(const json_t *config, struct claims_rules *ret,
                               struct fh_error *error);

/* Whether a claim that says of which type the token is says Bearer, in any case, or is absent. */
bool claims_say_bearer(const json_t *type);

/* A new identity; *ret_until_s: when the credentials end, with the leeway (INT64_MAX: never).
 * FH_INVALID: a sentence for the log, without the token's own words. */
enum fh_code claims_take(const struct claims_rules *rules, const json_t *claims, const char *via,
                         int64_t now_s, json_t **ret, int64_t *ret_until_s, struct fh_error *error);

#endif
