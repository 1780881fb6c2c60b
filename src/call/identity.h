/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_IDENTITY_H
#define CALL_IDENTITY_H

/*
 * Proof of who calls whom: short-lived tokens, made with a key that only these two have. Pure: keys
 * and time are passed in. docs/operate/security.md says what this protects against.
 *
 * A token is "1.CALLER.AUDIENCE.EXPIRES.MAC": names without dots, the wall clock's milliseconds in
 * decimal, and crypto_auth (HMAC-SHA512-256) over everything before the last dot, in lower-case
 * hex.
 */

#include <stdbool.h>
#include <stdint.h>

#define IDENTITY_HEADER "Freehold-Token"
#define IDENTITY_KEY_SIZE 32
#define IDENTITY_KEY_TEXT_SIZE (2 * IDENTITY_KEY_SIZE + 1) /* hex digits and the NUL */
#define IDENTITY_NAME_LENGTH_MAX 64
#define IDENTITY_TOKEN_SIZE 256
#define IDENTITY_LIFE_MS 300000 /* a token's life, from when it is made */
#define IDENTITY_SKEW_MS 60000  /* tolerated between two machines' clocks */
#define IDENTITY_STEP_MS                                                                           \
    10000 /* if it moves by more than this against the monotonic clock, the wall clock was set */
#define IDENTITY_CACHE_MAX 1024 /* verified tokens that are remembered */

struct identity_key {
    unsigned char bytes[IDENTITY_KEY_SIZE];
};

/* Both clocks at the same moment. */
struct identity_time {
    int64_t wall_ms, monotonic_ns;
};

bool identity_key_parse(const char *hex, struct identity_key *ret); /* `hex` may be NULL */
void identity_key_text(const struct identity_key *key, char out[static IDENTITY_KEY_TEXT_SIZE]);
void identity_token(const char *caller, const char *audience, int64_t expires_ms,
                    const struct identity_key *key, char out[static IDENTITY_TOKEN_SIZE]);

/* The caller's side: one token per receiver, replaced when half its life is over, the clock was set
 * or the key is another. */
struct identity_signer;
struct identity_signer *identity_signer_new(const char *self);
void identity_signer_free(struct identity_signer *signer);
/* Replaces an earlier key: no token is made or used with that any more. */
void identity_signer_add(struct identity_signer *signer, const char *audience,
                         const struct identity_key *key);
/* Valid until the next call. NULL: there is no key for `audience`. */
const char *identity_sign(struct identity_signer *signer, const char *audience,
                          struct identity_time now);

/* The receiver's side. */
enum identity_verdict {
    IDENTITY_PROVED,
    IDENTITY_MALFORMED,
    IDENTITY_OTHER_AUDIENCE,
    IDENTITY_UNKNOWN_CALLER,
    IDENTITY_FORGED,
    IDENTITY_EXPIRED,
};
struct identity_verifier;
struct identity_verifier *identity_verifier_new(const char *self, struct identity_time now);
void identity_verifier_free(struct identity_verifier *verifier);
/* `also` is accepted besides it, while keys are being replaced; NULL: none. Replaces the caller's
 * earlier keys, and forgets which tokens were verified by them. */
void identity_verifier_add(struct identity_verifier *verifier, const char *caller,
                           const struct identity_key *key, const struct identity_key *also);
/* Sets a callback. identity_verify calls it for each token that was made with the caller's key,
 * expired or not: our wall clock is ahead of that caller's by at least `ahead_ms` (negative:
 * behind). */
void identity_verifier_hear(struct identity_verifier *verifier,
                            void (*heard)(void *context, const char *caller, int64_t ahead_ms),
                            void *context);
/* *ret_caller is set if the verdict is IDENTITY_PROVED, and belongs to the verifier. */
enum identity_verdict identity_verify(struct identity_verifier *verifier, const char *token,
                                      struct identity_time now, const char **ret_caller);
const char *identity_verdict_text(enum identity_verdict verdict); /* a whole sentence */

#endif
