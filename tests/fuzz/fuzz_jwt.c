/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of outside clients: whatever their bytes, they are read within bounds, and none is
 * verified by a key that has signed nothing. The first line is a set of keys, the second a token,
 * the third the claims of one whose signature was good. */

#include "fuzz.h"
#include "gateway/identity/claims.h"
#include "gateway/identity/jwks.h"
#include "gateway/identity/strict.h"

#define KNOWN                                                                                      \
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\","                               \
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"                                      \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\","                                             \
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                                       \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}"

static void verify_token(const char *token)
{
    struct jwks *known;
    struct jws jws;
    if (jws_read(token, &jws, ERROR_UNHEEDED) != FH_OK)
        return;
    FH_ASSERT(jws.length <= JWS_LENGTH_MAX && jws.signature_size <= sizeof jws.signature);
    FH_ASSERT(json_is_object(jws.header) && json_is_object(jws.claims));
    FH_ASSERT(jwks_parse(KNOWN, strlen(KNOWN), &known, ERROR_UNHEEDED) == FH_OK);
    FH_ASSERT(jwks_verify(known, &jws) != JWKS_VERIFIED);
    jwks_free(known);
    jws_release(&jws);
}

static void take_claims(const char *text)
{
    static const struct claims_rules rules = {.issuer = "i",
                                              .audience = "a",
                                              .scopes = "scope",
                                              .roles = "realm.roles",
                                              .passed = {"c", "d.e"},
                                              .passed_count = 2,
                                              .leeway_s = 60};
    json_t *claims, *identity;
    int64_t until_s;
    struct fh_error error = {0};
    if (strict_object(text, strlen(text), &claims, &error) != FH_OK)
        return;
    if (claims_take(&rules, claims, "jwt", 1700000000, &identity, &until_s, &error) == FH_OK) {
        FH_ASSERT(until_s > 1700000000 && json_string_length(json_object_get(identity, "sub")));
        json_decref(identity);
    } else {
        FH_ASSERT(error.message[0]);
    }
    json_decref(claims);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *set = fuzz_take(&data, &size, '\n'), *token = fuzz_take(&data, &size, '\n');
    char *claims = fuzz_rest(&data, &size);
    struct jwks *jwks;
    if (jwks_parse(set, strlen(set), &jwks, ERROR_UNHEEDED) == FH_OK) {
        FH_ASSERT(jwks_count(jwks) > 0 && jwks_equal(jwks, jwks));
        jwks_free(jwks);
    }
    verify_token(token);
    take_claims(claims);
    free(set);
    free(token);
    free(claims);
    return 0;
}
