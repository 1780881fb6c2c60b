/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token is HEADER.CLAIMS.SIGNATURE, each in base64url. Each part has exactly one spelling here:
 * padding, line ends and left-over bits are refused, so two texts are never the same token; and
 * JSON with a member twice is refused, so nobody else can read it otherwise.
 *
 * Of the header count `alg`, `kid`, `typ` and `crit`. A header that brings its own key or says
 * where one is (`jwk`, `jku`, `x5c`, `x5u`) is not listened to: keys come from the configuration
 * alone. `crit` names extensions that must be understood, and none is. `typ` must be that of a JWT
 * or none: other kinds of tokens of the same provider (a logout token, a proof of possession) are
 * signed with the same keys, and are not meant for this.
 */

#include "gateway/identity/jws.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "gateway/identity/strict.h"

#define KID_LENGTH_MAX 256

static const struct jws_algorithm algorithms[] = {
    {"RS256", JWS_RSA, NULL, 0},     {"RS384", JWS_RSA, NULL, 0},
    {"RS512", JWS_RSA, NULL, 0},     {"PS256", JWS_RSA, NULL, 0},
    {"PS384", JWS_RSA, NULL, 0},     {"PS512", JWS_RSA, NULL, 0},
    {"ES256", JWS_EC, "P-256", 64},  {"ES384", JWS_EC, "P-384", 96},
    {"ES512", JWS_EC, "P-521", 132}, {"EdDSA", JWS_OKP, "Ed25519", crypto_sign_BYTES},
};
#define ALGORITHMS (sizeof algorithms / sizeof *algorithms)

const struct jws_algorithm *jws_algorithm_named(const char *name)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if (strcmp(algorithms[i].name, name) == 0)
            return &algorithms[i];
    }
    return NULL;
}

const struct jws_algorithm *jws_algorithm_next(const struct jws_algorithm *algorithm)
{
    if (!algorithm)
        return algorithms;
    return algorithm + 1 < algorithms + ALGORITHMS ? algorithm + 1 : NULL;
}

bool jws_decode(const char *text, size_t length, unsigned char *ret, size_t size,
                size_t *ret_length)
{
    const char *end;
    *ret_length = 0;
    return sodium_base642bin(ret, size, text, length, NULL, ret_length, &end,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
           end == text + length;
}

static bool is_base64url(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool jws_has_form(const char *token)
{
    int dots = 0;
    for (const char *at = token; *at; at++) {
        if (*at == '.')
            dots++;
        else if (!is_base64url(*at))
            return false;
    }
    return dots == 2;
}

/* One of the token's two JSON objects. */
static enum fh_code read_segment(const char *text, size_t length, const char *what, json_t **ret,
                                 struct fh_error *error)
{
    unsigned char bytes[JWS_LENGTH_MAX];
    size_t size;
    *ret = NULL;
    if (!length || !jws_decode(text, length, bytes, sizeof bytes, &size))
        return error_set(error, FH_INVALID, "The token's %s is not base64url.", what);
    if (strict_object((const char *)bytes, size, ret, ERROR_UNHEEDED) == FH_OK)
        return FH_OK;
    return error_set(
        error, FH_INVALID,
        "The token's %s is not a JSON object, has a member twice, or a NUL in a string.", what);
}

/* RFC 8725, 3.11, and RFC 9068 for access tokens. */
static bool is_type_of_jwt(const json_t *type)
{
    const char *text = json_string_value(type);
    if (!type)
        return true;
    if (!text)
        return false;
    if (strncasecmp(text, "application/", 12) == 0)
        text += 12;
    return strcasecmp(text, "JWT") == 0 || strcasecmp(text, "at+jwt") == 0;
}

static enum fh_code read_header(struct jws *jws, struct fh_error *error)
{
    const char *name = json_string_value(json_object_get(jws->header, "alg"));
    const json_t *kid = json_object_get(jws->header, "kid");
    jws->algorithm = name ? jws_algorithm_named(name) : NULL;
    if (!jws->algorithm)
        return error_set(error, FH_INVALID, "The token's algorithm is none that is taken here.");
    if (json_object_get(jws->header, "crit"))
        return error_set(error, FH_INVALID, "The token needs an extension (\"crit\").");
    if (json_object_get(jws->header, "b64") || json_object_get(jws->header, "enc") ||
        json_object_get(jws->header, "zip"))
        return error_set(error, FH_INVALID, "The token is encrypted, compressed or detached.");
    if (!is_type_of_jwt(json_object_get(jws->header, "typ")))
        return error_set(error, FH_INVALID, "The token's type is not that of a JWT.");
    if (kid && (!json_is_string(kid) || json_string_length(kid) > KID_LENGTH_MAX))
        return error_set(error, FH_INVALID,
                         "The token's key id is not a string of at most %d bytes.", KID_LENGTH_MAX);
    jws->kid = json_string_value(kid);
    return FH_OK;
}

static enum fh_code read_signature(struct jws *jws, const char *text, struct fh_error *error)
{
    size_t expected = jws->algorithm->signature_size;
    if (!jws_decode(text, strlen(text), jws->signature, sizeof jws->signature,
                    &jws->signature_size) ||
        !jws->signature_size)
        return error_set(error, FH_INVALID, "The token's signature is missing, or not base64url.");
    if (expected && jws->signature_size != expected)
        return error_set(error, FH_INVALID,
                         "The token's signature has %zu bytes, and %s makes %zu.",
                         jws->signature_size, jws->algorithm->name, expected);
    return FH_OK;
}

enum fh_code jws_read(const char *token, struct jws *ret, struct fh_error *error)
{
    *ret = (struct jws){.text = token, .length = strnlen(token, JWS_LENGTH_MAX + 1)};
    if (ret->length > JWS_LENGTH_MAX)
        return error_set(error, FH_INVALID, "The token is longer than %zu bytes.", JWS_LENGTH_MAX);
    if (!jws_has_form(token))
        return error_set(error, FH_INVALID, "The token has not the form of a JWT.");
    const char *claims = strchr(token, '.') + 1, *signature = strrchr(token, '.') + 1;
    ret->signed_length = (size_t)(signature - 1 - token);
    enum fh_code code =
        read_segment(token, (size_t)(claims - 1 - token), "header", &ret->header, error);
    if (code == FH_OK)
        code = read_header(ret, error);
    if (code == FH_OK)
        code = read_signature(ret, signature, error);
    if (code == FH_OK)
        code =
            read_segment(claims, (size_t)(signature - 1 - claims), "claims", &ret->claims, error);
    if (code != FH_OK)
        jws_release(ret);
    return code;
}

void jws_release(struct jws *jws)
{
    json_decref(jws->header);
    json_decref(jws->claims);
    *jws = (struct jws){0};
}
