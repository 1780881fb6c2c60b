/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_IDENTITY_H
#define CALL_IDENTITY_H

/*
 * Who calls whom, proved: short-lived tokens under a key that only the two of them have. Pure: keys
 * and time are given. docs/operate/security.md says what this protects against whom.
 *
 * A token is "1.CALLER.AUDIENCE.EXPIRES.MAC": names without dots, the wall clock's milliseconds in
 * decimal, and crypto_auth (HMAC-SHA512-256) of all before the last dot in lower-case hex.
 */

#include <stdbool.h>
#include <stdint.h>

#define IDENTITY_HEADER "Freehold-Token"
#define IDENTITY_KEY_SIZE 32
#define IDENTITY_KEY_TEXT_SIZE (2 * IDENTITY_KEY_SIZE + 1) /* in hex, and the NUL */
#define IDENTITY_NAME_LENGTH_MAX 64
#define IDENTITY_TOKEN_SIZE 256
#define IDENTITY_LIFE_MS 300000 /* of a token, from when it was made */
#define IDENTITY_SKEW_MS 60000  /* between the clocks of two machines */
#define IDENTITY_STEP_MS                                                                           \
    10000 /* a wall clock that moved more than that against the monotonic one                      \
           * was set */
#define IDENTITY_CACHE_MAX 1024 /* tokens that need not be verified again */

struct identity_key {
    unsigned char bytes[IDENTITY_KEY_SIZE];
};

/* Both clocks at one moment. */
struct identity_time {
    int64_t wall_ms, monotonic_ns;
};

bool identity_key_parse(const char *hex, struct identity_key *ret); /* `hex` may be NULL */
void identity_key_text(const struct identity_key *key, char out[static IDENTITY_KEY_TEXT_SIZE]);
void identity_token(const char *caller, const char *audience, int64_t expires_ms,
                    const struct identity_key *key, char out[static IDENTITY_TOKEN_SIZE]);

/* The caller's side: one token for each receiver, made anew when half its life is over or the clock
 * was set. */
struct identity_signer;
struct identity_signer *identity_signer_new(const char *self);
void identity_signer_free(struct identity_signer *signer);
void identity_signer_add(struct identity_signer *signer, const char *audience,
                         const struct identity_key *key);
/* Valid until the next call; NULL: there is no key for `audience`. */
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
void identity_verifier_add(struct identity_verifier *verifier, const char *caller,
                           const struct identity_key *key);
/* Called by identity_verify when a token turns out to be made with the caller's key, whether it has
 * expired or not: our wall clock is ahead of that caller's by `ahead_ms` at least (negative:
 * behind). */
void identity_verifier_hear(struct identity_verifier *verifier,
                            void (*heard)(void *context, const char *caller, int64_t ahead_ms),
                            void *context);
/* *ret_caller is the verifier's own text; set when proved. */
enum identity_verdict identity_verify(struct identity_verifier *verifier, const char *token,
                                      struct identity_time now, const char **ret_caller);
const char *identity_verdict_text(enum identity_verdict verdict); /* a whole sentence */

#endif
