/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: no bytes but those of the one token that was made prove a caller, at no other time. */

#include "call/identity.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    static const struct identity_key key = {"a key that only two of them have"};
    static const struct identity_time now = {.wall_ms = 1000000, .monotonic_ns = 1000000};
    char *token = fuzz_rest(&data, &size), good[IDENTITY_TOKEN_SIZE];
    const char *caller = NULL;
    struct identity_key parsed;
    struct identity_verifier *verifier = identity_verifier_new("users", now);
    identity_verifier_add(verifier, "orders", &key, NULL);
    identity_token("orders", "users", now.wall_ms + IDENTITY_LIFE_MS / 2, &key, good);
    FH_ASSERT(identity_verify(verifier, good, now, &caller) == IDENTITY_PROVED);
    FH_ASSERT(strcmp(caller, "orders") == 0);
    enum identity_verdict verdict = identity_verify(verifier, token, now, &caller);
    FH_ASSERT(verdict != IDENTITY_PROVED || strcmp(token, good) == 0);
    FH_ASSERT(identity_verdict_text(verdict));
    identity_key_parse(token, &parsed);
    identity_verifier_free(verifier);
    free(token);
    return 0;
}
