/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A statement is verified once and then remembered by its text, like tokens (identity.c): only what
 * was verified is remembered, so nobody without the key can fill that memory. When it is full it is
 * emptied; whoever still uses one of its users has a reference.
 *
 * The signature is verified before anything of the statement is parsed, but for its length and its
 * two dots. What the gateway signed is checked all the same: a fault in one process should not
 * become one in all.
 */

#include "call/user.h"

#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"

#define VERSION "1."
#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define SIGNATURE_TEXT_LENGTH 86 /* 64 bytes in base64 without padding */
#define SYSTEM_LENGTH_MAX 128

_Static_assert(2 * crypto_sign_SEEDBYTES + 1 == USER_KEY_TEXT_SIZE, "a private half is a seed");
_Static_assert(2 * crypto_sign_PUBLICKEYBYTES + 1 == USER_KEY_TEXT_SIZE, "a public half fits");

struct user_signer {
    unsigned char secret[crypto_sign_SECRETKEYBYTES];
    char system[SYSTEM_LENGTH_MAX + 1];
};

struct user_verifier {
    unsigned char keys[USER_KEYS_MAX][crypto_sign_PUBLICKEYBYTES];
    size_t key_count;
    bool believes; /* there is no key */
    char system[SYSTEM_LENGTH_MAX + 1];
    struct map cache; /* struct work_user by statement */
};

/* ---- Keys ---- */

static bool parse_key(const char *hex, unsigned char ret[static 32])
{
    size_t length;
    return hex && strlen(hex) == USER_KEY_TEXT_SIZE - 1 &&
           sodium_hex2bin(ret, 32, hex, strlen(hex), NULL, &length, NULL) == 0 && length == 32;
}

void user_key_make(char ret[static USER_KEY_TEXT_SIZE])
{
    unsigned char verifying[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    crypto_sign_keypair(verifying, secret);
    sodium_bin2hex(ret, USER_KEY_TEXT_SIZE, secret, crypto_sign_SEEDBYTES); /* begins with it */
    sodium_memzero(secret, sizeof secret);
}

static bool parse_private(const char *key, unsigned char ret_public[static 32],
                          unsigned char ret_secret[static 64])
{
    unsigned char seed[crypto_sign_SEEDBYTES];
    bool fits = parse_key(key, seed);
    if (fits)
        crypto_sign_seed_keypair(ret_public, ret_secret, seed);
    sodium_memzero(seed, sizeof seed);
    return fits;
}

bool user_key_public(const char *key, char ret[static USER_KEY_TEXT_SIZE])
{
    unsigned char verifying[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    if (!parse_private(key, verifying, secret))
        return false;
    sodium_memzero(secret, sizeof secret);
    sodium_bin2hex(ret, USER_KEY_TEXT_SIZE, verifying, sizeof verifying);
    return true;
}

/* ---- The form of an identity ---- */

static bool has_controls(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    }
    return false;
}

/* jansson's texts are UTF-8, and those from json_parse have no NUL inside; others may. */
static bool is_identity_text(const json_t *value, size_t length_max)
{
    size_t length = json_string_length(value);
    return length > 0 && length <= length_max && strlen(json_string_value(value)) == length &&
           !has_controls(json_string_value(value));
}

static bool are_grants(const json_t *list)
{
    size_t i;
    json_t *one;
    if (!list)
        return true;
    if (!json_is_array(list) || json_array_size(list) > USER_GRANTS_MAX)
        return false;
    json_array_foreach (list, i, one) {
        if (!is_identity_text(one, USER_GRANT_LENGTH_MAX) || strchr(json_string_value(one), ' '))
            return false;
    }
    return true;
}

static bool is_time(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) > 0;
}

static bool is_way(const json_t *value)
{
    static const char *const ways[] = {"jwt", "introspection", "key", "certificate"};
    for (size_t i = 0; json_is_string(value) && i < sizeof ways / sizeof ways[0]; i++) {
        if (strcmp(json_string_value(value), ways[i]) == 0)
            return true;
    }
    return false;
}

/* NULL: it has the form that the header tells. Otherwise the member that has not. */
static const char *wrong_member(const json_t *identity)
{
    const char *name;
    json_t *value;
    if (!is_identity_text(json_object_get(identity, "sub"), USER_SUBJECT_LENGTH_MAX))
        return "sub";
    if (!is_way(json_object_get(identity, "via")))
        return "via";
    if (!is_time(json_object_get(identity, "iat")))
        return "iat";
    json_object_foreach ((json_t *)(uintptr_t)identity, name, value) {
        bool fits =
            strcmp(name, "sub") == 0 || strcmp(name, "via") == 0 || strcmp(name, "iat") == 0;
        if (strcmp(name, "iss") == 0)
            fits = is_identity_text(value, USER_STATEMENT_SIZE);
        else if (strcmp(name, "scopes") == 0 || strcmp(name, "roles") == 0)
            fits = are_grants(value);
        else if (strcmp(name, "claims") == 0)
            fits = json_is_object(value);
        else if (strcmp(name, "exp") == 0)
            fits = is_time(value);
        if (!fits)
            return name;
    }
    return NULL;
}

/* ---- What is signed ---- */

static bool copy_system(char ret[static SYSTEM_LENGTH_MAX + 1], const char *system,
                        struct fh_error *error)
{
    int length = snprintf(ret, SYSTEM_LENGTH_MAX + 1, "%s", system ? system : "");
    if (length >= 0 && length <= SYSTEM_LENGTH_MAX)
        return true;
    error_set(error, FH_INVALID, "The system's name has more than %d bytes.", SYSTEM_LENGTH_MAX);
    return false;
}

struct signed_text {
    char text[sizeof USER_HEADER + SYSTEM_LENGTH_MAX + 2 + USER_STATEMENT_SIZE];
    size_t length;
};

/* `statement` without its last dot and signature. */
static void signed_text_set(struct signed_text *ret, const char *system, const char *statement,
                            size_t length)
{
    int written = snprintf(ret->text, sizeof ret->text, USER_HEADER "\n%s\n%.*s", system,
                           (int)length, statement);
    FH_ASSERT(written > 0 && (size_t)written < sizeof ret->text);
    ret->length = (size_t)written;
}

/* ---- The gateway's side ---- */

enum fh_code user_signer_new(const char *system, const char *key, struct user_signer **ret,
                             struct fh_error *error)
{
    unsigned char verifying[crypto_sign_PUBLICKEYBYTES];
    struct user_signer *signer = calloc(1, sizeof *signer);
    FH_ASSERT(signer != NULL);
    *ret = NULL;
    enum fh_code code = FH_OK;
    if (!copy_system(signer->system, system, error))
        code = FH_INVALID;
    else if (!parse_private(key, verifying, signer->secret))
        code = error_set(error, FH_INVALID,
                         "The key that identities are signed with is not valid: expected 64 "
                         "hexadecimal digits.");
    if (code == FH_OK)
        *ret = signer;
    else
        user_signer_free(signer);
    return code;
}

void user_signer_free(struct user_signer *signer)
{
    if (!signer)
        return;
    sodium_memzero(signer, sizeof *signer);
    free(signer);
}

enum fh_code user_sign(const struct user_signer *signer, const json_t *identity,
                       char ret[static USER_STATEMENT_SIZE], struct fh_error *error)
{
    unsigned char signature[crypto_sign_BYTES];
    struct signed_text text;
    const char *wrong = wrong_member(identity);
    if (wrong)
        return error_set(error, FH_INVALID, "An identity's \"%.32s\" is not what it must be.",
                         wrong);
    char *json = json_text(identity);
    size_t length = strlen(json), size = sodium_base64_encoded_len(length, BASE64);
    bool fits = strlen(VERSION) + size + 1 + SIGNATURE_TEXT_LENGTH <= USER_STATEMENT_SIZE;
    if (fits) {
        snprintf(ret, USER_STATEMENT_SIZE, VERSION);
        sodium_bin2base64(ret + strlen(VERSION), size, (const unsigned char *)json, length, BASE64);
        size_t signed_length = strlen(ret);
        signed_text_set(&text, signer->system, ret, signed_length);
        crypto_sign_detached(signature, NULL, (const unsigned char *)text.text, text.length,
                             signer->secret);
        ret[signed_length] = '.';
        sodium_bin2base64(ret + signed_length + 1, SIGNATURE_TEXT_LENGTH + 1, signature,
                          sizeof signature, BASE64);
    }
    json_text_free(json);
    return fits ? FH_OK
                : error_set(error, FH_INVALID,
                            "The identity is too large: with its scopes, roles and claims it may "
                            "take %d bytes.",
                            (USER_STATEMENT_SIZE - SIGNATURE_TEXT_LENGTH - 8) / 4 * 3);
}

/* ---- A service's side ---- */

static void empty_cache(struct user_verifier *verifier)
{
    struct map_entry *entry = NULL;
    void *value;
    while (map_next(&verifier->cache, &entry, NULL, &value))
        user_unref(value);
    map_release(&verifier->cache);
    map_init(&verifier->cache);
}

enum fh_code user_verifier_take_keys(struct user_verifier *verifier, const char *key,
                                     const json_t *others, struct fh_error *error)
{
    unsigned char keys[USER_KEYS_MAX][crypto_sign_PUBLICKEYBYTES];
    size_t count = json_array_size(others) + 1;
    bool fits = count <= USER_KEYS_MAX && parse_key(key, keys[0]);
    for (size_t i = 1; i < count && fits; i++)
        fits = parse_key(json_string_value(json_array_get(others, i - 1)), keys[i]);
    if (!fits)
        return error_set(error, FH_INVALID,
                         "The key that identities are verified with is not valid: expected 64 "
                         "hexadecimal digits.");
    memcpy(verifier->keys, keys, count * sizeof keys[0]);
    verifier->key_count = count;
    verifier->believes = false;
    empty_cache(verifier);
    return FH_OK;
}

bool user_stands(const struct user_verifier *verifier, const struct work_user *user)
{
    bool stands = verifier->believes;
    for (size_t i = 0; i < verifier->key_count && !stands; i++)
        stands = memcmp(verifier->keys[i], user->key, sizeof user->key) == 0;
    return stands;
}

enum fh_code user_verifier_new(const char *system, const char *key, struct user_verifier **ret,
                               struct fh_error *error)
{
    struct user_verifier *verifier = calloc(1, sizeof *verifier);
    FH_ASSERT(verifier != NULL);
    *ret = NULL;
    map_init(&verifier->cache);
    verifier->believes = key == NULL;
    enum fh_code code = FH_OK;
    if (!copy_system(verifier->system, system, error))
        code = FH_INVALID;
    else if (key)
        code = user_verifier_take_keys(verifier, key, NULL, error);
    if (code == FH_OK)
        *ret = verifier;
    else
        user_verifier_free(verifier);
    return code;
}

void user_verifier_free(struct user_verifier *verifier)
{
    if (!verifier)
        return;
    empty_cache(verifier);
    map_release(&verifier->cache);
    free(verifier);
}

struct work_user *user_ref(struct work_user *user)
{
    user->references++;
    return user;
}

void user_unref(struct work_user *user)
{
    if (!user || --user->references > 0)
        return;
    json_decref(user->identity);
    free(user);
}

static bool decode_base64(const char *text, size_t length, unsigned char *ret, size_t size,
                          size_t *ret_length)
{
    const char *end;
    return sodium_base642bin(ret, size, text, length, NULL, ret_length, &end, BASE64) == 0 &&
           end == text + length;
}

/* Which of the keys it was signed with; NULL: none. */
static const unsigned char *key_that_fits(const struct user_verifier *verifier,
                                          const char *statement, const char *dot)
{
    unsigned char signature[crypto_sign_BYTES];
    size_t length;
    struct signed_text text;
    if (strlen(dot + 1) != SIGNATURE_TEXT_LENGTH ||
        !decode_base64(dot + 1, SIGNATURE_TEXT_LENGTH, signature, sizeof signature, &length) ||
        length != sizeof signature)
        return NULL;
    signed_text_set(&text, verifier->system, statement, (size_t)(dot - statement));
    for (size_t i = 0; i < verifier->key_count; i++) {
        if (crypto_sign_verify_detached(signature, (const unsigned char *)text.text, text.length,
                                        verifier->keys[i]) == 0)
            return verifier->keys[i];
    }
    return NULL;
}

/* NULL: it is no identity. */
static json_t *parse_identity(const char *text, size_t length)
{
    unsigned char json[USER_STATEMENT_SIZE];
    size_t size;
    json_t *identity = NULL;
    if (!decode_base64(text, length, json, sizeof json, &size) ||
        json_parse((const char *)json, size, &identity, ERROR_UNHEEDED) != FH_OK)
        return NULL;
    if (!wrong_member(identity))
        return identity;
    json_decref(identity);
    return NULL;
}

/* Takes over the identity. */
static struct work_user *user_new(json_t *identity, const char *statement, const unsigned char *key)
{
    size_t size = strlen(statement) + 1;
    struct work_user *user = calloc(1, sizeof *user + size);
    FH_ASSERT(user != NULL);
    char *kept = (char *)(user + 1);
    memcpy(kept, statement, size);
    *user = (struct work_user){.identity = identity, .statement = kept, .references = 1};
    if (key)
        memcpy(user->key, key, sizeof user->key);
    user->shown =
        (struct fh_user){.subject = json_string_at(identity, "sub"),
                         .issuer = json_string_at(identity, "iss"),
                         .via = json_string_at(identity, "via"),
                         .stated_s = json_integer_value(json_object_get(identity, "iat"))};
    return user;
}

static struct work_user *verify_statement(struct user_verifier *verifier, const char *statement,
                                          const char **ret_why)
{
    const char *dot = strrchr(statement, '.');
    *ret_why = "The " USER_HEADER " is malformed.";
    if (strncmp(statement, VERSION, strlen(VERSION)) != 0 || dot < statement + strlen(VERSION))
        return NULL;
    const unsigned char *key = verifier->believes ? NULL : key_that_fits(verifier, statement, dot);
    if (!verifier->believes && !key) {
        *ret_why = "The " USER_HEADER " was not signed by this system's gateway.";
        return NULL;
    }
    const char *text = statement + strlen(VERSION);
    struct arena *before = json_arena_set(NULL); /* it outlives the request */
    json_t *identity = parse_identity(text, (size_t)(dot - text));
    json_arena_set(before);
    return identity ? user_new(identity, statement, key) : NULL;
}

struct work_user *user_verify(struct user_verifier *verifier, const char *statement,
                              const char **ret_why)
{
    if (!verifier) {
        *ret_why = "This process has no key to verify a " USER_HEADER " with.";
        return NULL;
    }
    if (strlen(statement) >= USER_STATEMENT_SIZE) {
        *ret_why = "The " USER_HEADER " is too long.";
        return NULL;
    }
    struct work_user *user = map_get(&verifier->cache, statement);
    if (user)
        return user_ref(user);
    user = verify_statement(verifier, statement, ret_why);
    if (!user)
        return NULL;
    if (verifier->cache.count >= USER_CACHE_MAX)
        empty_cache(verifier); /* they are verified again: rare, and cheap */
    map_put(&verifier->cache, statement, user_ref(user));
    return user;
}
