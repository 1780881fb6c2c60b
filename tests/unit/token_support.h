/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TOKEN_SUPPORT_H
#define TESTS_TOKEN_SUPPORT_H

/*
 * Keys and tokens for the tests of who is asking. They are made with OpenSSL and libsodium
 * directly, and so by another hand than the code under test, which verifies with cjose. After
 * <cmocka.h>.
 */

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define TOKEN_SIZE 16384

struct token_key {
    const char *kid, *kind, *curve; /* "RSA", "EC" with "P-256", "OKP" with "Ed25519" */
    EVP_PKEY *native;               /* NULL: Ed25519 */
    unsigned char seed[crypto_sign_SECRETKEYBYTES], public[crypto_sign_PUBLICKEYBYTES];
};

/* Appends `length` bytes in base64url to `out`. */
static inline void token_encode(char *out, const unsigned char *bytes, size_t length)
{
    size_t used = strlen(out);
    assert_true(sodium_base64_encoded_len(length, sodium_base64_VARIANT_URLSAFE_NO_PADDING) <=
                TOKEN_SIZE - used);
    sodium_bin2base64(out + used, TOKEN_SIZE - used, bytes, length,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static inline struct token_key token_key_rsa(const char *kid, unsigned bits)
{
    struct token_key key = {.kid = kid, .kind = "RSA", .native = EVP_RSA_gen(bits)};
    assert_non_null(key.native);
    return key;
}

static inline struct token_key token_key_ec(const char *kid, const char *curve)
{
    struct token_key key = {.kid = kid, .kind = "EC", .curve = curve};
    key.native = EVP_EC_gen(curve);
    assert_non_null(key.native);
    return key;
}

static inline struct token_key token_key_ed25519(const char *kid)
{
    struct token_key key = {.kid = kid, .kind = "OKP", .curve = "Ed25519"};
    crypto_sign_keypair(key.public, key.seed);
    return key;
}

static inline void token_key_release(struct token_key *key)
{
    EVP_PKEY_free(key->native);
}

/* ---- A key as JSON ---- */

static inline void token_set_number(json_t *jwk, const char *name, const EVP_PKEY *native,
                                    const char *parameter, int size)
{
    BIGNUM *number = NULL;
    unsigned char bytes[1100];
    char text[TOKEN_SIZE] = "";
    assert_int_equal(EVP_PKEY_get_bn_param(native, parameter, &number), 1);
    if (!size)
        size = BN_num_bytes(number);
    assert_int_equal(BN_bn2binpad(number, bytes, size), size);
    BN_free(number);
    token_encode(text, bytes, (size_t)size);
    json_object_set_new(jwk, name, json_string(text));
}

static inline int token_coordinate_size(const struct token_key *key)
{
    return strcmp(key->curve, "P-256") == 0 ? 32 : strcmp(key->curve, "P-384") == 0 ? 48 : 66;
}

static inline json_t *token_jwk(const struct token_key *key)
{
    json_t *jwk = json_pack("{s:s}", "kty", key->kind);
    if (key->kid)
        json_object_set_new(jwk, "kid", json_string(key->kid));
    if (key->curve)
        json_object_set_new(jwk, "crv", json_string(key->curve));
    if (strcmp(key->kind, "RSA") == 0) {
        token_set_number(jwk, "n", key->native, OSSL_PKEY_PARAM_RSA_N, 0);
        token_set_number(jwk, "e", key->native, OSSL_PKEY_PARAM_RSA_E, 0);
    } else if (strcmp(key->kind, "EC") == 0) {
        token_set_number(jwk, "x", key->native, OSSL_PKEY_PARAM_EC_PUB_X,
                         token_coordinate_size(key));
        token_set_number(jwk, "y", key->native, OSSL_PKEY_PARAM_EC_PUB_Y,
                         token_coordinate_size(key));
    } else {
        char text[TOKEN_SIZE] = "";
        token_encode(text, key->public, sizeof key->public);
        json_object_set_new(jwk, "x", json_string(text));
    }
    return jwk;
}

/* ---- A token ---- */

static inline const EVP_MD *token_digest(const char *algorithm)
{
    return strstr(algorithm, "256")   ? EVP_sha256()
           : strstr(algorithm, "384") ? EVP_sha384()
                                      : EVP_sha512();
}

/* OpenSSL's DER becomes R and S, each of the curve's size. */
static inline size_t token_plain_signature(const unsigned char *der, size_t length, int size,
                                           unsigned char *ret)
{
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)length);
    assert_non_null(signature);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(signature), ret, size), size);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(signature), ret + size, size), size);
    ECDSA_SIG_free(signature);
    return 2 * (size_t)size;
}

static inline size_t token_signature(const struct token_key *key, const char *algorithm,
                                     const char *text, unsigned char ret[static 1100])
{
    const unsigned char *data = (const unsigned char *)text;
    unsigned char made[1100];
    size_t length = sizeof made;
    if (!key->native) {
        crypto_sign_detached(ret, NULL, data, strlen(text), key->seed);
        return crypto_sign_BYTES;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *of_key;
    assert_int_equal(
        EVP_DigestSignInit(context, &of_key, token_digest(algorithm), NULL, key->native), 1);
    if (algorithm[0] == 'P') {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(of_key, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(of_key, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(EVP_DigestSign(context, made, &length, data, strlen(text)), 1);
    EVP_MD_CTX_free(context);
    if (strcmp(key->kind, "EC") == 0)
        return token_plain_signature(made, length, token_coordinate_size(key), ret);
    memcpy(ret, made, length);
    return length;
}

/* HEADER.CLAIMS, both given as JSON's text. */
static inline void token_unsigned(const char *header, const char *claims,
                                  char out[static TOKEN_SIZE])
{
    out[0] = '\0';
    token_encode(out, (const unsigned char *)header, strlen(header));
    strcat(out, ".");
    token_encode(out, (const unsigned char *)claims, strlen(claims));
}

static inline void token_sign(const struct token_key *key, const char *algorithm,
                              char out[static TOKEN_SIZE])
{
    unsigned char signature[1100];
    size_t length = token_signature(key, algorithm, out, signature);
    strcat(out, ".");
    token_encode(out, signature, length);
}

/* A whole token, with `alg`, `kid` and `typ` in its header. */
static inline void token_make(const struct token_key *key, const char *algorithm,
                              const char *claims, char out[static TOKEN_SIZE])
{
    char header[512];
    if (key->kid)
        snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"JWT\"}",
                 algorithm, key->kid);
    else
        snprintf(header, sizeof header, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", algorithm);
    token_unsigned(header, claims, out);
    token_sign(key, algorithm, out);
}

#endif
