/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each key is bound to what it may verify before any token is looked at: by its kind and curve, its
 * `use`, its `key_ops` and its `alg`. A token's `alg` then chooses among keys that fit it, and
 * never turns a key into something else.
 *
 * RSA and EC are cjose's (OpenSSL below), which gets the numbers of a key and never its JSON, and a
 * token that jws.c has read; Ed25519 is libsodium's. cjose takes the curve's and the key's word for
 * the signature's size, so the sizes are compared here first.
 */

#include "gateway/identity/jwks.h"

#include <cjose/cjose.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "gateway/identity/strict.h"

struct jwks_key {
    char *kid;                             /* NULL: none */
    const struct jws_algorithm *algorithm; /* NULL: any of its kind and curve */
    enum jws_kind kind;
    const char *curve;
    size_t signature_size;
    cjose_jwk_t *native; /* NULL: Ed25519 */
    unsigned char ed25519[crypto_sign_PUBLICKEYBYTES];
    unsigned char print[crypto_generichash_BYTES]; /* of its JSON, to tell sets apart */
};

struct jwks {
    struct jwks_key keys[JWKS_KEYS_MAX];
    size_t count;
    struct fh_error fault; /* of the first key that is left out for one; message "" for none */
};

static const struct jwks_curve {
    const char *name;
    cjose_jwk_ec_curve native;
    size_t coordinate_size;
} curves[] = {{"P-256", CJOSE_JWK_EC_P_256, 32},
              {"P-384", CJOSE_JWK_EC_P_384, 48},
              {"P-521", CJOSE_JWK_EC_P_521, 66}};

static bool decode_member(const json_t *jwk, const char *name, unsigned char *ret, size_t size,
                          size_t *ret_length)
{
    const json_t *value = json_object_get(jwk, name);
    return json_is_string(value) && json_string_length(value) &&
           jws_decode(json_string_value(value), json_string_length(value), ret, size, ret_length);
}

static size_t count_bits(const unsigned char *bytes, size_t length)
{
    size_t bits = length * 8;
    for (unsigned char first = *bytes; bits && !(first & 0x80); first = (unsigned char)(first << 1))
        bits--;
    return bits;
}

static enum fh_code read_rsa(const json_t *jwk, struct jwks_key *ret, struct fh_error *error)
{
    unsigned char n[JWS_SIGNATURE_SIZE_MAX], e[8];
    size_t n_length, e_length;
    cjose_err reason;
    if (!decode_member(jwk, "n", n, sizeof n, &n_length) ||
        !decode_member(jwk, "e", e, sizeof e, &e_length) || !n[0] || !e[0])
        return error_set(error, FH_INVALID,
                         "An RSA key's \"n\" or \"e\" is not a number in base64url, or too large.");
    size_t bits = count_bits(n, n_length);
    if (bits < JWKS_RSA_BITS_MIN || bits > JWKS_RSA_BITS_MAX)
        return error_set(error, FH_INVALID, "An RSA key has %zu bits; expected %d to %d.", bits,
                         JWKS_RSA_BITS_MIN, JWKS_RSA_BITS_MAX);
    if (!(n[n_length - 1] & 1) || !(e[e_length - 1] & 1) || (e_length == 1 && e[0] < 3))
        return error_set(error, FH_INVALID, "An RSA key's \"n\" or \"e\" is not odd.");
    ret->native = cjose_jwk_create_RSA_spec(
        &(cjose_jwk_rsa_keyspec){.e = e, .elen = e_length, .n = n, .nlen = n_length}, &reason);
    ret->signature_size = n_length;
    return ret->native ? FH_OK : error_set(error, FH_INVALID, "An RSA key can't be used.");
}

static enum fh_code read_ec(const json_t *jwk, const struct jwks_curve *curve, struct jwks_key *ret,
                            struct fh_error *error)
{
    unsigned char x[66], y[66];
    size_t x_length, y_length;
    cjose_err reason;
    if (!decode_member(jwk, "x", x, sizeof x, &x_length) ||
        !decode_member(jwk, "y", y, sizeof y, &y_length) || x_length != curve->coordinate_size ||
        y_length != curve->coordinate_size)
        return error_set(error, FH_INVALID,
                         "A key on %s has no \"x\" and \"y\" of %zu bytes each in base64url.",
                         curve->name, curve->coordinate_size);
    ret->native = cjose_jwk_create_EC_spec(
        &(cjose_jwk_ec_keyspec){
            .crv = curve->native, .x = x, .xlen = x_length, .y = y, .ylen = y_length},
        &reason);
    ret->curve = curve->name;
    ret->signature_size = 2 * curve->coordinate_size;
    return ret->native ? FH_OK
                       : error_set(error, FH_INVALID, "A key is not a point on %s.", curve->name);
}

static enum fh_code read_ed25519(const json_t *jwk, struct jwks_key *ret, struct fh_error *error)
{
    size_t length;
    ret->curve = "Ed25519";
    ret->signature_size = crypto_sign_BYTES;
    if (decode_member(jwk, "x", ret->ed25519, sizeof ret->ed25519, &length) &&
        length == sizeof ret->ed25519)
        return FH_OK;
    return error_set(error, FH_INVALID, "A key on Ed25519 has no \"x\" of 32 bytes in base64url.");
}

static bool lists_verify(const json_t *operations)
{
    size_t i;
    json_t *one;
    json_array_foreach (operations, i, one) {
        if (json_is_string(one) && strcmp(json_string_value(one), "verify") == 0)
            return true;
    }
    return false;
}

/* Whether it is meant to verify signatures, as far as it says. */
static bool is_for_signatures(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use"), *operations = json_object_get(jwk, "key_ops");
    if (use && !(json_is_string(use) && strcmp(json_string_value(use), "sig") == 0))
        return false;
    return !operations || lists_verify(operations);
}

static const struct jwks_curve *curve_of(const json_t *jwk)
{
    const char *name = json_string_at(jwk, "crv");
    for (size_t i = 0; name && i < sizeof curves / sizeof *curves; i++) {
        if (strcmp(curves[i].name, name) == 0)
            return &curves[i];
    }
    return NULL;
}

/* FH_UNSUPPORTED: it is of a kind that nothing here is verified with. */
static enum fh_code read_material(const json_t *jwk, struct jwks_key *ret, struct fh_error *error)
{
    const char *kind = json_string_at(jwk, "kty"), *curve = json_string_at(jwk, "crv");
    if (!kind)
        return error_set(error, FH_INVALID, "A key does not say its kind (\"kty\").");
    if (strcmp(kind, "RSA") == 0) {
        ret->kind = JWS_RSA;
        return read_rsa(jwk, ret, error);
    }
    if (strcmp(kind, "EC") == 0 && curve_of(jwk)) {
        ret->kind = JWS_EC;
        return read_ec(jwk, curve_of(jwk), ret, error);
    }
    if (strcmp(kind, "OKP") == 0 && curve && strcmp(curve, "Ed25519") == 0) {
        ret->kind = JWS_OKP;
        return read_ed25519(jwk, ret, error);
    }
    return FH_UNSUPPORTED;
}

static bool algorithm_fits(const struct jws_algorithm *algorithm, const struct jwks_key *key)
{
    return algorithm->kind == key->kind && (!key->algorithm || key->algorithm == algorithm) &&
           (!algorithm->curve || strcmp(algorithm->curve, key->curve) == 0);
}

static void take_print(const json_t *jwk, struct jwks_key *key)
{
    char *text = json_text(jwk);
    crypto_generichash(key->print, sizeof key->print, (const unsigned char *)text, strlen(text),
                       NULL, 0);
    json_text_free(text);
}

static enum fh_code read_jwk(const json_t *jwk, struct jwks_key *ret, struct fh_error *error)
{
    const json_t *kid = json_object_get(jwk, "kid"), *named = json_object_get(jwk, "alg");
    if (!json_is_object(jwk))
        return error_set(error, FH_INVALID, "A key of the set is not an object.");
    if (json_object_get(jwk, "d"))
        return error_set(error, FH_INVALID,
                         "A key of the set has its private half (\"d\"): whoever has read the set "
                         "can sign with it. Replace that key.");
    if (!is_for_signatures(jwk))
        return FH_UNSUPPORTED;
    enum fh_code code = read_material(jwk, ret, error);
    if (code != FH_OK)
        return code;
    if (named && (!json_is_string(named) ||
                  !(ret->algorithm = jws_algorithm_named(json_string_value(named)))))
        return FH_UNSUPPORTED;
    if (ret->algorithm && !algorithm_fits(ret->algorithm, ret))
        return error_set(error, FH_INVALID, "A key's \"alg\" is not one of its kind.");
    if (kid && !json_is_string(kid))
        return error_set(error, FH_INVALID, "A key's \"kid\" is not a string.");
    ret->kid = kid ? strdup(json_string_value(kid)) : NULL;
    FH_ASSERT(!kid || ret->kid);
    take_print(jwk, ret);
    return FH_OK;
}

static void release_key(struct jwks_key *key)
{
    if (key->native)
        cjose_jwk_release(key->native);
    free(key->kid);
}

static enum fh_code read_keys(const json_t *list, struct jwks *jwks, struct fh_error *error)
{
    size_t i;
    json_t *jwk;
    if (!json_is_array(list) || json_array_size(list) > JWKS_KEYS_MAX)
        return error_set(error, FH_INVALID, "\"keys\" is not a list of at most %d keys.",
                         JWKS_KEYS_MAX);
    json_array_foreach (list, i, jwk) {
        struct jwks_key key = {0};
        struct fh_error fault = {0};
        enum fh_code code = read_jwk(jwk, &key, &fault);
        if (code == FH_OK)
            jwks->keys[jwks->count++] = key;
        else
            release_key(&key);
        if (code == FH_INVALID && !jwks->fault.message[0])
            jwks->fault = fault;
    }
    if (jwks->count)
        return FH_OK;
    return error_set(error, FH_INVALID, "%s",
                     jwks->fault.message[0] ? jwks->fault.message
                                            : "The set has no key that verifies signatures here.");
}

enum fh_code jwks_parse(const char *text, size_t length, struct jwks **ret, struct fh_error *error)
{
    json_t *set;
    *ret = NULL;
    if (length > JWKS_LENGTH_MAX)
        return error_set(error, FH_INVALID, "The set of keys is longer than %zu bytes.",
                         JWKS_LENGTH_MAX);
    enum fh_code code = strict_object(text, length, &set, error);
    if (code != FH_OK)
        return code;
    struct jwks *jwks = calloc(1, sizeof *jwks);
    FH_ASSERT(jwks != NULL);
    code = read_keys(json_object_get(set, "keys"), jwks, error);
    json_decref(set);
    if (code == FH_OK)
        *ret = jwks;
    else
        jwks_free(jwks);
    return code;
}

void jwks_free(struct jwks *jwks)
{
    if (!jwks)
        return;
    for (size_t i = 0; i < jwks->count; i++)
        release_key(&jwks->keys[i]);
    free(jwks);
}

size_t jwks_count(const struct jwks *jwks)
{
    return jwks->count;
}

const char *jwks_fault(const struct jwks *jwks)
{
    return jwks->fault.message[0] ? jwks->fault.message : NULL;
}

bool jwks_equal(const struct jwks *a, const struct jwks *b)
{
    if (!a || !b || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (memcmp(a->keys[i].print, b->keys[i].print, sizeof a->keys[i].print) != 0)
            return false;
    }
    return true;
}

static bool verify_by_cjose(const struct jwks_key *key, const struct jws *jws)
{
    cjose_err reason;
    cjose_jws_t *native = cjose_jws_import(jws->text, jws->length, &reason);
    bool verified = native && cjose_jws_verify(native, key->native, &reason);
    if (native)
        cjose_jws_release(native);
    return verified;
}

static bool key_signed(const struct jwks_key *key, const struct jws *jws)
{
    if (jws->signature_size != key->signature_size)
        return false;
    if (key->kind == JWS_OKP)
        return crypto_sign_verify_detached(jws->signature, (const unsigned char *)jws->text,
                                           jws->signed_length, key->ed25519) == 0;
    return verify_by_cjose(key, jws);
}

enum jwks_verdict jwks_verify(const struct jwks *jwks, const struct jws *jws)
{
    int tried = 0;
    for (size_t i = 0; i < jwks->count && tried < JWKS_TRIES_MAX; i++) {
        const struct jwks_key *key = &jwks->keys[i];
        if (!algorithm_fits(jws->algorithm, key))
            continue;
        if (jws->kid && !(key->kid && strcmp(key->kid, jws->kid) == 0))
            continue;
        tried++;
        if (key_signed(key, jws))
            return JWKS_VERIFIED;
    }
    return tried ? JWKS_FORGED : JWKS_UNKNOWN;
}
