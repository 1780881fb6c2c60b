/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of outside clients: which are taken, and that no other is. The good ones are signed by
 * every algorithm that is known; the forged ones, some 12,000, are made of good ones by everything
 * that has ever fooled a reader of tokens, and by changing every single character.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/identity/claims.h"
#include "gateway/identity/jwks.h"
#include "token_support.h"

#define NOW_S 1700000000
#define ISSUER "https://id.example.org"
#define CLAIMS                                                                                     \
    "{\"iss\":\"" ISSUER "\",\"aud\":\"shop\",\"sub\":\"alice\",\"exp\":1700000600,"               \
    "\"iat\":1700000000,\"scope\":\"orders:read orders:write\",\"email\":\"a@example.org\"}"

static const char *const algorithms[] = {"RS256", "RS384", "RS512", "PS256", "PS384",
                                         "PS512", "ES256", "ES384", "ES512", "EdDSA"};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct keys {
    struct token_key rsa, p256, p384, p521, ed25519, other_rsa, other_p256, other_ed25519;
    struct jwks *set;
} keys;

static const struct claims_rules rules = {.issuer = ISSUER,
                                          .audience = "shop",
                                          .scopes = "scope",
                                          .roles = "realm_access.roles",
                                          .passed = {"email"},
                                          .passed_count = 1,
                                          .leeway_s = 60};

static struct jwks *set_of(json_t *list)
{
    struct jwks *jwks = NULL;
    struct fh_error error = {0};
    json_t *set = json_pack("{s:o}", "keys", list);
    char *text = json_text(set);
    if (jwks_parse(text, strlen(text), &jwks, &error) != FH_OK)
        print_message("%s\n", error.message);
    json_text_free(text);
    json_decref(set);
    return jwks;
}

static int make_keys(void **state)
{
    (void)state;
    json_memory_init();
    assert_int_not_equal(sodium_init(), -1);
    keys.rsa = token_key_rsa("rsa", 2048);
    keys.other_rsa = token_key_rsa("rsa", 2048);
    keys.p256 = token_key_ec("p256", "P-256");
    keys.other_p256 = token_key_ec("p256", "P-256");
    keys.p384 = token_key_ec("p384", "P-384");
    keys.p521 = token_key_ec("p521", "P-521");
    keys.ed25519 = token_key_ed25519("ed");
    keys.other_ed25519 = token_key_ed25519("ed");
    keys.set =
        set_of(json_pack("[o, o, o, o, o]", token_jwk(&keys.rsa), token_jwk(&keys.p256),
                         token_jwk(&keys.p384), token_jwk(&keys.p521), token_jwk(&keys.ed25519)));
    assert_non_null(keys.set);
    assert_int_equal(jwks_count(keys.set), 5);
    return 0;
}

static int release_keys(void **state)
{
    (void)state;
    struct token_key *all[] = {&keys.rsa,       &keys.p256,       &keys.p384,   &keys.p521,
                               &keys.other_rsa, &keys.other_p256, &keys.ed25519};
    for (size_t i = 0; i < COUNT(all); i++)
        token_key_release(all[i]);
    jwks_free(keys.set);
    return 0;
}

static const struct token_key *key_for(const char *algorithm)
{
    if (strcmp(algorithm, "ES256") == 0)
        return &keys.p256;
    if (strcmp(algorithm, "ES384") == 0)
        return &keys.p384;
    if (strcmp(algorithm, "ES512") == 0)
        return &keys.p521;
    return strcmp(algorithm, "EdDSA") == 0 ? &keys.ed25519 : &keys.rsa;
}

/* The identity, or NULL with the reason in `error`. */
static json_t *take_token(const char *token, struct fh_error *error)
{
    struct jws jws;
    json_t *identity = NULL;
    int64_t until_s;
    *error = (struct fh_error){0};
    if (jws_read(token, &jws, error) != FH_OK)
        return NULL;
    enum jwks_verdict verdict = jwks_verify(keys.set, &jws);
    if (verdict == JWKS_VERIFIED)
        claims_take(&rules, jws.claims, "jwt", NOW_S, &identity, &until_s, error);
    else
        error_set(error, FH_INVALID, "%s", verdict == JWKS_UNKNOWN ? "unknown key" : "forged");
    jws_release(&jws);
    return identity;
}

static bool is_taken(const char *token)
{
    struct fh_error error;
    json_t *identity = take_token(token, &error);
    json_decref(identity);
    return identity != NULL;
}

/* ---- Good ones ---- */

static void every_algorithm_is_verified(void **state)
{
    (void)state;
    static char token[TOKEN_SIZE];
    struct fh_error error;
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        token_make(key_for(algorithms[i]), algorithms[i], CLAIMS, token);
        json_t *identity = take_token(token, &error);
        if (!identity)
            print_message("%s: %s\n", algorithms[i], error.message);
        assert_non_null(identity);
        char *text = json_text(identity);
        assert_string_equal(text, "{\"sub\":\"alice\",\"via\":\"jwt\",\"iat\":1700000000,"
                                  "\"iss\":\"" ISSUER "\",\"exp\":1700000600,"
                                  "\"scopes\":[\"orders:read\",\"orders:write\"],\"roles\":[],"
                                  "\"claims\":{\"email\":\"a@example.org\"}}");
        json_text_free(text);
        json_decref(identity);
    }
}

static void a_token_without_key_id_is_tried_with_keys_that_fit(void **state)
{
    (void)state;
    static char token[TOKEN_SIZE];
    struct token_key nameless = keys.rsa;
    nameless.kid = NULL;
    token_make(&nameless, "PS256", CLAIMS, token);
    assert_true(is_taken(token));
    nameless = keys.other_rsa;
    nameless.kid = NULL;
    token_make(&nameless, "PS256", CLAIMS, token);
    assert_false(is_taken(token));
}

static void an_unknown_key_id_asks_for_newer_keys(void **state)
{
    (void)state;
    static char token[TOKEN_SIZE];
    struct token_key newer = keys.rsa;
    struct jws jws;
    newer.kid = "rsa-2";
    token_make(&newer, "RS256", CLAIMS, token);
    assert_int_equal(jws_read(token, &jws, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(jwks_verify(keys.set, &jws), JWKS_UNKNOWN);
    jws_release(&jws);
    /* A key that is there and did not sign it: no newer set will help. */
    token_make(&keys.other_rsa, "RS256", CLAIMS, token);
    assert_int_equal(jws_read(token, &jws, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(jwks_verify(keys.set, &jws), JWKS_FORGED);
    jws_release(&jws);
}

/* ECDSA signatures have a twin that verifies too, and providers sign with either. Nothing here may
 * tell two requests apart by their tokens' texts; what both say is the same. */
static void the_twin_of_an_ec_signature_says_the_same(void **state)
{
    (void)state;
    static char token[TOKEN_SIZE];
    unsigned char signature[64];
    size_t length;
    token_make(&keys.p256, "ES256", CLAIMS, token);
    char *text = strrchr(token, '.') + 1;
    assert_true(jws_decode(text, strlen(text), signature, sizeof signature, &length));
    BIGNUM *order = NULL, *s = BN_bin2bn(signature + 32, 32, NULL);
    assert_true(
        BN_hex2bn(&order, "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551"));
    assert_true(BN_sub(s, order, s));
    assert_int_equal(BN_bn2binpad(s, signature + 32, 32), 32);
    BN_free(s);
    BN_free(order);
    *text = '\0';
    token_encode(token, signature, 64);
    struct fh_error error;
    json_t *identity = take_token(token, &error);
    assert_string_equal(json_string_at(identity, "sub"), "alice");
    json_decref(identity);
}

/* ---- Forged ones ---- */

static unsigned forged;

static void assert_refused(const char *token)
{
    forged++;
    if (is_taken(token)) {
        print_message("taken: %s\n", token);
        fail();
    }
}

/* Every character of a good token replaced, by one that differs in few bits and one in many. */
static void no_token_with_a_changed_character_is_taken(void **state)
{
    (void)state;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static const char *const tried[] = {"RS256", "PS384", "ES256", "ES512", "EdDSA"};
    static char token[TOKEN_SIZE];
    for (size_t i = 0; i < COUNT(tried); i++) {
        token_make(key_for(tried[i]), tried[i], CLAIMS, token);
        for (char *at = token; *at; at++) {
            const char kept = *at, *digit = strchr(digits, kept);
            size_t place = digit ? (size_t)(digit - digits) : 0;
            static const unsigned flips[] = {1, 2, 32};
            for (size_t j = 0; j < COUNT(flips); j++) {
                *at = digits[(place ^ flips[j]) % 64];
                assert_refused(token);
            }
            *at = kept;
        }
        assert_true(is_taken(token));
    }
}

static void no_part_of_a_token_is_taken(void **state)
{
    (void)state;
    static char token[TOKEN_SIZE], cut[TOKEN_SIZE + 8];
    static const char *const ends[] = {"=",  "==", ".",  "..",  "A", " ",
                                       "\n", "\t", ".A", "%00", "~"};
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        token_make(key_for(algorithms[i]), algorithms[i], CLAIMS, token);
        size_t length = strlen(token);
        for (size_t end = 0; end < length; end++) {
            snprintf(cut, sizeof cut, "%.*s", (int)end, token);
            assert_refused(cut);
        }
        for (size_t start = 1; start < length; start += 7)
            assert_refused(token + start);
        for (size_t j = 0; j < COUNT(ends); j++) {
            snprintf(cut, sizeof cut, "%s%s", token, ends[j]);
            assert_refused(cut);
        }
        snprintf(cut, sizeof cut, " %s", token);
        assert_refused(cut);
    }
}

/* The last digit of each part may have bits that decode to nothing: they must be 0. */
static void each_token_has_one_spelling(void **state)
{
    (void)state;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static char token[TOKEN_SIZE];
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        token_make(key_for(algorithms[i]), algorithms[i], CLAIMS, token);
        char *ends[] = {strchr(token, '.') - 1, strrchr(token, '.') - 1, token + strlen(token) - 1};
        for (size_t j = 0; j < COUNT(ends); j++) {
            const char kept = *ends[j];
            for (unsigned bits = 1; bits < 16; bits++) {
                *ends[j] = digits[((size_t)(strchr(digits, kept) - digits) ^ bits) % 64];
                assert_refused(token);
            }
            *ends[j] = kept;
        }
        /* The other alphabet. */
        for (char *at = token; *at; at++) {
            if (*at == '-' || *at == '_') {
                const char kept = *at;
                *at = kept == '-' ? '+' : '/';
                assert_refused(token);
                *at = kept;
            }
        }
    }
}

/* Signs `header` as it is, by the algorithm that fits the key. */
static void assert_header_refused(const struct token_key *key, const char *algorithm,
                                  const char *header)
{
    static char token[TOKEN_SIZE];
    token_unsigned(header, CLAIMS, token);
    token_sign(key, algorithm, token);
    assert_refused(token);
}

static void no_algorithm_but_the_keys_own_is_taken(void **state)
{
    (void)state;
    static const char *const names[] = {"none",   "None",
                                        "NONE",   "nOnE",
                                        "",       "HS256",
                                        "HS384",  "HS512",
                                        "hs256",  "rs256",
                                        "Rs256",  "es256",
                                        "eddsa",  "EDDSA",
                                        "RS1",    "RS224",
                                        "ES256K", "Ed25519",
                                        "Ed448",  "RSA1_5",
                                        "dir",    "RS256 ",
                                        " RS256", "RS256\\u0000",
                                        "A128KW", "PBES2-HS256+A128KW",
                                        "ES224"};
    static char token[TOKEN_SIZE], header[512];
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        const struct token_key *key = key_for(algorithms[i]);
        for (size_t j = 0; j < COUNT(names) + COUNT(algorithms); j++) {
            const char *name = j < COUNT(names) ? names[j] : algorithms[j - COUNT(names)];
            if (strcmp(name, algorithms[i]) == 0)
                continue;
            snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"%s\"}", name, key->kid);
            assert_header_refused(key, algorithms[i], header);
            /* And without a signature, or with an empty one. */
            token_unsigned(header, CLAIMS, token);
            assert_refused(token);
            strcat(token, ".");
            assert_refused(token);
        }
        snprintf(header, sizeof header, "{\"kid\":\"%s\"}", key->kid);
        assert_header_refused(key, algorithms[i], header);
        snprintf(header, sizeof header, "{\"alg\":[\"%s\"],\"kid\":\"%s\"}", algorithms[i],
                 key->kid);
        assert_header_refused(key, algorithms[i], header);
    }
}

/* The public key's own bytes as the secret of an HMAC: the classic confusion. */
static void a_public_key_is_no_secret(void **state)
{
    (void)state;
    static char token[TOKEN_SIZE];
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state hmac;
    static const char *const headers[] = {"{\"alg\":\"HS256\",\"kid\":\"rsa\"}",
                                          "{\"alg\":\"HS256\"}",
                                          "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"};
    for (size_t i = 0; i < COUNT(headers); i++) {
        json_t *jwk = token_jwk(&keys.rsa);
        char *secret = json_text(jwk);
        token_unsigned(headers[i], CLAIMS, token);
        crypto_auth_hmacsha256_init(&hmac, (const unsigned char *)secret, strlen(secret));
        crypto_auth_hmacsha256_update(&hmac, (const unsigned char *)token, strlen(token));
        crypto_auth_hmacsha256_final(&hmac, mac);
        strcat(token, ".");
        token_encode(token, mac, sizeof mac);
        assert_refused(token);
        json_text_free(secret);
        json_decref(jwk);
    }
}

static void a_key_that_the_token_brings_is_not_used(void **state)
{
    (void)state;
    static const struct {
        const char *algorithm;
        struct token_key *key;
    } forgers[] = {{"RS256", &keys.other_rsa},
                   {"PS256", &keys.other_rsa},
                   {"ES256", &keys.other_p256},
                   {"EdDSA", &keys.other_ed25519}};
    static const char *const kids[] = {"rsa",
                                       "p256",
                                       "ed",
                                       "",
                                       "../../etc/passwd",
                                       "/dev/null",
                                       "rsa' OR '1'='1",
                                       "http://evil.example/jwks",
                                       "$(id)",
                                       "rsa\\n",
                                       "RSA",
                                       "%72sa"};
    static char header[4096];
    for (size_t i = 0; i < COUNT(forgers); i++) {
        json_t *jwk = token_jwk(forgers[i].key);
        char *text = json_text(jwk);
        for (size_t j = 0; j < COUNT(kids); j++) {
            const char *more[] = {"", "\"jku\":\"https://evil.example/jwks\",",
                                  "\"x5u\":\"https://evil.example/c\",", "\"x5c\":[\"MIIB\"],",
                                  "\"x5t\":\"AAAA\","};
            for (size_t k = 0; k < COUNT(more); k++) {
                snprintf(header, sizeof header, "{%s\"alg\":\"%s\",\"kid\":\"%s\",\"jwk\":%s}",
                         more[k], forgers[i].algorithm, kids[j], text);
                assert_header_refused(forgers[i].key, forgers[i].algorithm, header);
            }
        }
        json_text_free(text);
        json_decref(jwk);
    }
}

static void headers_with_more_than_one_reading_are_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"alg\":\"none\",\"alg\":\"RS256\",\"kid\":\"rsa\"}",
        "{\"alg\":\"RS256\",\"alg\":\"RS256\",\"kid\":\"rsa\"}",
        "{\"alg\":\"RS256\",\"kid\":\"x\",\"kid\":\"rsa\"}",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":[]}",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":[\"b64\"],\"b64\":false}",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"b64\":false}",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"zip\":\"DEF\"}",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"enc\":\"A128GCM\"}",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"logout+jwt\"}",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"dpop+jwt\"}",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":7}",
        "{\"alg\":\"RS256\",\"kid\":7}",
        "{\"alg\":\"RS256\",\"kid\":null}",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\\u0000\"}",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\"}x",
        "{\"alg\":\"RS256\",\"kid\":\"rsa\"",
        "[\"RS256\"]",
        "\"RS256\"",
        "null",
        "\xef\xbb\xbf{\"alg\":\"RS256\",\"kid\":\"rsa\"}"};
    for (size_t i = 0; i < COUNT(headers); i++)
        assert_header_refused(&keys.rsa, "RS256", headers[i]);
}

static void assert_claims_refused(const char *claims)
{
    static char token[TOKEN_SIZE];
    static const char *const tried[] = {"RS256", "ES256", "EdDSA"};
    for (size_t i = 0; i < COUNT(tried); i++) {
        token_make(key_for(tried[i]), tried[i], claims, token);
        assert_refused(token);
    }
}

#define START "{\"iss\":\"" ISSUER "\",\"aud\":\"shop\",\"sub\":\"alice\","

static void claims_that_do_not_hold_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        /* Times. */
        START "\"exp\":1699999940}", START "\"exp\":0}", START "\"exp\":-1}",
        START "\"exp\":\"1700000600\"}", START "\"exp\":null}", START "\"exp\":true}",
        START "\"exp\":1e300}", START "\"exp\":99999999999}", START "\"exp\":[1700000600]}",
        START "\"iat\":1700000000}", START "\"exp\":1700000600,\"nbf\":1700000061}",
        START "\"exp\":1700000600,\"nbf\":\"0\"}", START "\"exp\":1700000600,\"iat\":1700000061}",
        START "\"exp\":1700000600,\"exp\":1700000600}",
        /* Issuers. */
        "{\"iss\":\"" ISSUER "/\",\"aud\":\"shop\",\"sub\":\"a\",\"exp\":1700000600}",
        "{\"iss\":\"https://ID.example.org\",\"aud\":\"shop\",\"sub\":\"a\",\"exp\":1700000600}",
        "{\"iss\":[\"" ISSUER "\"],\"aud\":\"shop\",\"sub\":\"a\",\"exp\":1700000600}",
        "{\"iss\":\"" ISSUER "\\u0000\",\"aud\":\"shop\",\"sub\":\"a\",\"exp\":1700000600}",
        "{\"aud\":\"shop\",\"sub\":\"a\",\"exp\":1700000600}",
        "{\"iss\":\"\",\"aud\":\"shop\",\"sub\":\"a\",\"exp\":1700000600}",
        /* Audiences. */
        "{\"iss\":\"" ISSUER "\",\"sub\":\"a\",\"exp\":1700000600}",
        "{\"iss\":\"" ISSUER "\",\"aud\":\"other\",\"sub\":\"a\",\"exp\":1700000600}",
        "{\"iss\":\"" ISSUER "\",\"aud\":[],\"sub\":\"a\",\"exp\":1700000600}",
        "{\"iss\":\"" ISSUER "\",\"aud\":[\"shop2\",\"sho\"],\"sub\":\"a\",\"exp\":1700000600}",
        "{\"iss\":\"" ISSUER "\",\"aud\":{\"shop\":1},\"sub\":\"a\",\"exp\":1700000600}",
        "{\"iss\":\"" ISSUER "\",\"aud\":\"shop other\",\"sub\":\"a\",\"exp\":1700000600}",
        "{\"iss\":\"" ISSUER "\",\"aud\":[[\"shop\"]],\"sub\":\"a\",\"exp\":1700000600}",
        /* Subjects. */
        "{\"iss\":\"" ISSUER "\",\"aud\":\"shop\",\"exp\":1700000600}",
        "{\"iss\":\"" ISSUER "\",\"aud\":\"shop\",\"sub\":\"\",\"exp\":1700000600}",
        "{\"iss\":\"" ISSUER "\",\"aud\":\"shop\",\"sub\":7,\"exp\":1700000600}",
        "{\"iss\":\"" ISSUER "\",\"aud\":\"shop\",\"sub\":\"a\\nb\",\"exp\":1700000600}",
        "{\"iss\":\"" ISSUER "\",\"aud\":\"shop\",\"sub\":\"a\",\"sub\":\"b\",\"exp\":1700000600}",
        "[]", "null", "7", "\"alice\"", "{", ""};
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_claims_refused(wrong[i]);
}

/* One provider's key does not speak for another, and no key signs by the padding of another
 * algorithm. */
static void signatures_of_others_are_refused(void **state)
{
    (void)state;
    static char token[TOKEN_SIZE], claims[512], header[128];
    const struct token_key *forgers[] = {&keys.other_rsa, &keys.other_p256, &keys.other_ed25519};
    static const char *const by[] = {"RS256", "ES256", "EdDSA"};
    for (int round = 0; round < 400; round++) {
        snprintf(claims, sizeof claims, START "\"exp\":1700000600,\"jti\":\"%d\"}", round);
        for (size_t i = 0; i < COUNT(forgers); i++) {
            /* RSA is slow to sign with: its forger says less often the same thing. */
            if (i == 0 && round % 20)
                continue;
            token_make(forgers[i], by[i], claims, token);
            assert_refused(token);
        }
    }
    /* A signature over other claims, and one of another size. */
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        static char other[TOKEN_SIZE];
        const struct token_key *key = key_for(algorithms[i]);
        token_make(key, algorithms[i], CLAIMS, token);
        snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"JWT\"}",
                 algorithms[i], key->kid);
        token_unsigned(header, START "\"exp\":1700000601}", other);
        strcat(other, strrchr(token, '.'));
        assert_refused(other);
        unsigned char zeros[1100] = {0};
        static const size_t sizes[] = {1, 32, 63, 64, 65, 96, 128, 132, 255, 256, 257, 1024, 1025};
        for (size_t j = 0; j < COUNT(sizes); j++) {
            for (int fill = 0; fill < 2; fill++) {
                memset(zeros, fill ? 0xff : 0, sizeof zeros);
                token_unsigned(header, CLAIMS, other);
                strcat(other, ".");
                token_encode(other, zeros, sizes[j]);
                assert_refused(other);
            }
        }
    }
}

/* DER instead of R and S: what an ECDSA library makes by itself. */
static void an_ec_signature_in_der_is_refused(void **state)
{
    (void)state;
    static char token[TOKEN_SIZE];
    unsigned char made[256];
    size_t length = sizeof made;
    token_unsigned("{\"alg\":\"ES256\",\"kid\":\"p256\"}", CLAIMS, token);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, keys.p256.native), 1);
    assert_int_equal(EVP_DigestSign(context, made, &length, (unsigned char *)token, strlen(token)),
                     1);
    EVP_MD_CTX_free(context);
    strcat(token, ".");
    token_encode(token, made, length);
    assert_refused(token);
}

static void long_and_deep_tokens_are_refused(void **state)
{
    (void)state;
    static char claims[TOKEN_SIZE], token[TOKEN_SIZE * 2];
    size_t length = (size_t)snprintf(claims, sizeof claims, START "\"exp\":1700000600,\"x\":");
    memset(claims + length, '[', 200);
    memset(claims + length + 200, ']', 200);
    strcpy(claims + length + 400, "}");
    assert_claims_refused(claims);
    memset(claims + length, ' ', 6500);
    strcpy(claims + length + 6500, "1}");
    token_make(&keys.ed25519, "EdDSA", claims, token);
    assert_true(strlen(token) > JWS_LENGTH_MAX);
    assert_refused(token);
}

static void ten_thousand_forged_tokens_were_refused(void **state)
{
    (void)state;
    print_message("%u forged tokens were refused\n", forged);
    assert_true(forged >= 10000);
}

/* ---- Claims ---- */

static json_t *identity_of(const struct claims_rules *of, const char *claims, int64_t now_s)
{
    json_t *parsed, *identity = NULL;
    int64_t until_s;
    assert_int_equal(json_parse(claims, strlen(claims), &parsed, ERROR_UNHEEDED), FH_OK);
    claims_take(of, parsed, "jwt", now_s, &identity, &until_s, ERROR_UNHEEDED);
    json_decref(parsed);
    return identity;
}

static void the_leeway_counts_on_both_sides(void **state)
{
    (void)state;
    static const char claims[] =
        START "\"exp\":1700000600.9,\"nbf\":1700000000,\"iat\":1700000000}";
    static const struct {
        int64_t now_s;
        bool taken;
    } times[] = {{1699999939, false}, {1699999940, true}, {1700000659, true}, {1700000660, false}};
    for (size_t i = 0; i < COUNT(times); i++) {
        json_t *identity = identity_of(&rules, claims, times[i].now_s);
        assert_int_equal(identity != NULL, times[i].taken);
        json_decref(identity);
    }
}

static void scopes_and_roles_are_taken_from_where_they_stand(void **state)
{
    (void)state;
    struct claims_rules elsewhere = rules;
    elsewhere.scopes = "scp";
    elsewhere.roles = "https://example.org/roles";
    static const struct {
        bool elsewhere;
        const char *claims, *scopes, *roles;
    } cases[] = {
        {false, "\"scope\":\"a  b a\",\"realm_access\":{\"roles\":[\"x\",\"y z\",7,\"\"]}",
         "[\"a\",\"b\"]", "[\"x\"]"},
        {false, "\"scope\":7,\"realm_access\":\"x\"", "[]", "[]"},
        {false, "\"scope\":{\"a\":1},\"realm_access\":{\"roles\":\"x y\"}", "[]", "[\"x\",\"y\"]"},
        {true, "\"scp\":[\"a\",\"b\"],\"https://example.org/roles\":[\"x\"]", "[\"a\",\"b\"]",
         "[\"x\"]"},
        {true, "\"scope\":\"a\",\"scp\":[\"a\\nb\",\"c\\td\",\"\\u007f\"]", "[]", "[]"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char claims[512];
        snprintf(claims, sizeof claims, START "\"exp\":1700000600,%s}", cases[i].claims);
        json_t *identity = identity_of(cases[i].elsewhere ? &elsewhere : &rules, claims, NOW_S);
        char *scopes = json_text(json_object_get(identity, "scopes"));
        char *roles = json_text(json_object_get(identity, "roles"));
        assert_string_equal(scopes, cases[i].scopes);
        assert_string_equal(roles, cases[i].roles);
        json_text_free(scopes);
        json_text_free(roles);
        json_decref(identity);
    }
}

/* A client that is named like the audience has it in all its tokens. */
static void only_access_tokens_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *claims;
        bool taken;
    } cases[] = {
        {"\"azp\":\"shop\"", true},
        {"\"azp\":\"shop\",\"typ\":\"Bearer\",\"nonce\":\"n\"", true},
        {"\"typ\":\"bearer\"", true},
        {"\"typ\":\"ID\"", false},
        {"\"typ\":\"Refresh\"", false},
        {"\"typ\":\"Offline\"", false},
        {"\"typ\":\"DPoP\"", false},
        {"\"typ\":[\"Bearer\"]", false},
        {"\"typ\":null", false},
        {"\"at_hash\":\"77QmUPtjPfzWtF2AnpK9RQ\"", false},
        {"\"typ\":\"Bearer\",\"at_hash\":null", false},
        {"\"c_hash\":\"LDktKdoQak3Pk0cnXxCltA\"", false},
        {"\"cnf\":{\"x5t#S256\":\"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2\"}", false},
        {"\"typ\":\"Bearer\",\"cnf\":{\"jkt\":\"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I\"}",
         false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char claims[512];
        snprintf(claims, sizeof claims, START "\"exp\":1700000600,%s}", cases[i].claims);
        json_t *identity = identity_of(&rules, claims, NOW_S);
        if ((identity != NULL) != cases[i].taken)
            print_message("%s\n", cases[i].claims);
        assert_int_equal(identity != NULL, cases[i].taken);
        json_decref(identity);
    }
}

/* ---- Keys ---- */

static void keys_that_can_not_be_trusted_are_left_out(void **state)
{
    (void)state;
    struct token_key weak = token_key_rsa("weak", 1024);
    json_t *good = token_jwk(&keys.p256), *jwk;
    static const struct {
        const char *name, *value; /* JSON */
    } changes[] = {{"use", "\"enc\""},
                   {"use", "7"},
                   {"key_ops", "[\"sign\"]"},
                   {"alg", "\"ES384\""},
                   {"alg", "\"HS256\""},
                   {"alg", "\"RS256\""},
                   {"d", "\"AAAA\""},
                   {"crv", "\"P-384\""},
                   {"crv", "\"secp256k1\""},
                   {"x", "\"AAAA\""},
                   {"y", "\"AAAA\""},
                   {"x", "7"},
                   {"kty", "\"oct\""},
                   {"kty", "\"OKP\""},
                   {"kty", "\"RSA\""},
                   {"kid", "7"},
                   {"y", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""}};
    for (size_t i = 0; i < COUNT(changes); i++) {
        json_t *value = NULL;
        jwk = json_deep_copy(good);
        value = json_loads(changes[i].value, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        json_object_set_new(jwk, changes[i].name, value);
        struct jwks *jwks = set_of(json_pack("[o, O]", jwk, good));
        assert_non_null(jwks);
        if (jwks_count(jwks) != 1)
            print_message("%s: %s\n", changes[i].name, changes[i].value);
        assert_int_equal(jwks_count(jwks), 1);
        jwks_free(jwks);
    }
    struct jwks *jwks = set_of(json_pack("[o, O]", token_jwk(&weak), good));
    assert_int_equal(jwks_count(jwks), 1);
    assert_non_null(strstr(jwks_fault(jwks), "1024 bits"));
    jwks_free(jwks);
    json_decref(good);
    token_key_release(&weak);
}

static void what_is_no_set_of_keys_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{}",
        "null",
        "{\"keys\":{}}",
        "{\"keys\":[]}",
        "{\"keys\":[7]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}",
        "{\"keys\":[],\"keys\":[]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}"};
    struct jwks *jwks;
    struct fh_error error;
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(jwks_parse(texts[i], strlen(texts[i]), &jwks, &error), FH_INVALID);
        assert_true(error.message[0] != '\0');
        assert_null(jwks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm_is_verified),
        cmocka_unit_test(a_token_without_key_id_is_tried_with_keys_that_fit),
        cmocka_unit_test(an_unknown_key_id_asks_for_newer_keys),
        cmocka_unit_test(the_twin_of_an_ec_signature_says_the_same),
        cmocka_unit_test(no_token_with_a_changed_character_is_taken),
        cmocka_unit_test(no_part_of_a_token_is_taken),
        cmocka_unit_test(each_token_has_one_spelling),
        cmocka_unit_test(no_algorithm_but_the_keys_own_is_taken),
        cmocka_unit_test(a_public_key_is_no_secret),
        cmocka_unit_test(a_key_that_the_token_brings_is_not_used),
        cmocka_unit_test(headers_with_more_than_one_reading_are_refused),
        cmocka_unit_test(claims_that_do_not_hold_are_refused),
        cmocka_unit_test(signatures_of_others_are_refused),
        cmocka_unit_test(an_ec_signature_in_der_is_refused),
        cmocka_unit_test(long_and_deep_tokens_are_refused),
        cmocka_unit_test(ten_thousand_forged_tokens_were_refused),
        cmocka_unit_test(the_leeway_counts_on_both_sides),
        cmocka_unit_test(scopes_and_roles_are_taken_from_where_they_stand),
        cmocka_unit_test(only_access_tokens_are_taken),
        cmocka_unit_test(keys_that_can_not_be_trusted_are_left_out),
        cmocka_unit_test(what_is_no_set_of_keys_is_refused),
    };
    return cmocka_run_group_tests(tests, make_keys, release_keys);
}
