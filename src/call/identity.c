/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token is verified once. It is then remembered by its text until it ends, so that a request
 * costs one map lookup. Only verified tokens are remembered: nobody without a key can fill the
 * cache.
 *
 * The wall clock may be set while services run, and nothing may break. A token expires by its
 * caller's wall clock, so
 *   - a caller makes a new token as soon as its wall clock has moved against the monotonic one,
 *   - a verified token is remembered by the monotonic clock, which nobody sets,
 *   - a receiver whose wall clock was set also accepts its former time for as long as a token
 *     lives: so tokens in flight at that moment stay valid.
 * None of this keeps a token valid for longer than IDENTITY_LIFE_MS and twice IDENTITY_SKEW_MS of
 * real time, except if a clock is set back to just the minutes for which an old token was made.
 */

#include "call/identity.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"

#define NS_PER_MS 1000000
#define MAC_TEXT_SIZE (2 * crypto_auth_BYTES + 1)
#define EXPIRES_DIGITS_MAX 15

_Static_assert(crypto_auth_KEYBYTES == IDENTITY_KEY_SIZE, "libsodium's key is ours");
_Static_assert(2 + 2 * (IDENTITY_NAME_LENGTH_MAX + 1) + EXPIRES_DIGITS_MAX + 1 + MAC_TEXT_SIZE <=
                   IDENTITY_TOKEN_SIZE,
               "a token of two longest names fits");

bool identity_key_parse(const char *hex, struct identity_key *ret)
{
    size_t length;
    return hex && strlen(hex) == 2 * IDENTITY_KEY_SIZE &&
           sodium_hex2bin(ret->bytes, sizeof ret->bytes, hex, strlen(hex), NULL, &length, NULL) ==
               0 &&
           length == sizeof ret->bytes;
}

void identity_key_text(const struct identity_key *key, char out[static IDENTITY_KEY_TEXT_SIZE])
{
    sodium_bin2hex(out, IDENTITY_KEY_TEXT_SIZE, key->bytes, sizeof key->bytes);
}

static void authenticate_text(const char *text, size_t length, const struct identity_key *key,
                              char out[static MAC_TEXT_SIZE])
{
    unsigned char mac[crypto_auth_BYTES];
    crypto_auth(mac, (const unsigned char *)text, length, key->bytes);
    sodium_bin2hex(out, MAC_TEXT_SIZE, mac, sizeof mac);
}

void identity_token(const char *caller, const char *audience, int64_t expires_ms,
                    const struct identity_key *key, char out[static IDENTITY_TOKEN_SIZE])
{
    FH_ASSERT(strlen(caller) <= IDENTITY_NAME_LENGTH_MAX &&
              strlen(audience) <= IDENTITY_NAME_LENGTH_MAX);
    int length =
        snprintf(out, IDENTITY_TOKEN_SIZE, "1.%s.%s.%lld", caller, audience, (long long)expires_ms);
    FH_ASSERT(length > 0 && (size_t)length + 1 + MAC_TEXT_SIZE <= IDENTITY_TOKEN_SIZE);
    out[length] = '.';
    authenticate_text(out, (size_t)length, key, out + length + 1);
}

static int64_t offset_ms(struct identity_time now)
{
    return now.wall_ms - now.monotonic_ns / NS_PER_MS;
}

static bool was_set(int64_t before_ms, int64_t after_ms)
{
    return after_ms - before_ms > IDENTITY_STEP_MS || before_ms - after_ms > IDENTITY_STEP_MS;
}

/* ---- The caller's side ---- */

struct receiver {
    struct identity_key key;
    int64_t made_ns, made_offset_ms;
    char token[IDENTITY_TOKEN_SIZE]; /* "": none yet */
};

struct identity_signer {
    char self[IDENTITY_NAME_LENGTH_MAX + 1];
    struct map receivers; /* struct receiver by name */
};

/* What holds keys or tokens. NULL is fine. */
static void secret_free(void *value, size_t size)
{
    if (value)
        sodium_memzero(value, size);
    free(value);
}

static void release_values(struct map *map)
{
    struct map_entry *entry = NULL;
    void *value;
    while (map_next(map, &entry, NULL, &value))
        free(value);
    map_release(map);
}

static void copy_name(char out[static IDENTITY_NAME_LENGTH_MAX + 1], const char *name)
{
    FH_ASSERT(strlen(name) <= IDENTITY_NAME_LENGTH_MAX);
    snprintf(out, IDENTITY_NAME_LENGTH_MAX + 1, "%s", name);
}

struct identity_signer *identity_signer_new(const char *self)
{
    struct identity_signer *signer = calloc(1, sizeof *signer);
    FH_ASSERT(signer != NULL);
    copy_name(signer->self, self);
    map_init(&signer->receivers);
    return signer;
}

void identity_signer_free(struct identity_signer *signer)
{
    if (!signer)
        return;
    release_values(&signer->receivers);
    free(signer);
}

void identity_signer_add(struct identity_signer *signer, const char *audience,
                         const struct identity_key *key)
{
    struct receiver *receiver = calloc(1, sizeof *receiver);
    FH_ASSERT(receiver != NULL && strlen(audience) <= IDENTITY_NAME_LENGTH_MAX);
    receiver->key = *key;
    secret_free(map_get(&signer->receivers, audience), sizeof *receiver);
    map_put(&signer->receivers, audience, receiver);
}

const char *identity_sign(struct identity_signer *signer, const char *audience,
                          struct identity_time now)
{
    struct receiver *receiver = map_get(&signer->receivers, audience);
    if (!receiver)
        return NULL;
    int64_t age_ms = (now.monotonic_ns - receiver->made_ns) / NS_PER_MS;
    if (receiver->token[0] && age_ms < IDENTITY_LIFE_MS / 2 &&
        !was_set(receiver->made_offset_ms, offset_ms(now)))
        return receiver->token;
    identity_token(signer->self, audience, now.wall_ms + IDENTITY_LIFE_MS, &receiver->key,
                   receiver->token);
    receiver->made_ns = now.monotonic_ns;
    receiver->made_offset_ms = offset_ms(now);
    return receiver->token;
}

/* ---- The receiver's side ---- */

struct caller {
    char name[IDENTITY_NAME_LENGTH_MAX + 1];
    struct identity_key keys[2]; /* the second one while they are being replaced */
    size_t key_count;
};

struct proved {
    const struct caller *caller;
    int64_t until_ns;
};

struct identity_verifier {
    char self[IDENTITY_NAME_LENGTH_MAX + 1];
    struct map callers; /* struct caller by name */
    struct map cache;   /* struct proved by token */
    int64_t offset_ms, former_offset_ms;
    int64_t set_ns; /* when the wall clock was last found to have been set; INT64_MIN: never */
    void (*heard)(void *context, const char *caller, int64_t ahead_ms); /* may be NULL */
    void *hearer;
};

struct identity_verifier *identity_verifier_new(const char *self, struct identity_time now)
{
    struct identity_verifier *verifier = calloc(1, sizeof *verifier);
    FH_ASSERT(verifier != NULL);
    copy_name(verifier->self, self);
    map_init(&verifier->callers);
    map_init(&verifier->cache);
    verifier->offset_ms = offset_ms(now);
    verifier->set_ns = INT64_MIN;
    return verifier;
}

void identity_verifier_free(struct identity_verifier *verifier)
{
    if (!verifier)
        return;
    release_values(&verifier->cache);
    release_values(&verifier->callers);
    free(verifier);
}

static void forget_tokens(struct identity_verifier *verifier)
{
    release_values(&verifier->cache);
    map_init(&verifier->cache);
}

void identity_verifier_add(struct identity_verifier *verifier, const char *name,
                           const struct identity_key *key, const struct identity_key *also)
{
    struct caller *caller = map_get(&verifier->callers, name);
    if (!caller) {
        caller = calloc(1, sizeof *caller);
        FH_ASSERT(caller != NULL);
        copy_name(caller->name, name);
        map_put(&verifier->callers, name, caller);
    }
    sodium_memzero(caller->keys, sizeof caller->keys);
    caller->keys[0] = *key;
    caller->key_count = 1;
    if (also)
        caller->keys[caller->key_count++] = *also;
    forget_tokens(verifier);
}

void identity_verifier_hear(struct identity_verifier *verifier,
                            void (*heard)(void *context, const char *caller, int64_t ahead_ms),
                            void *context)
{
    verifier->heard = heard;
    verifier->hearer = context;
}

/* A token is used for half of its life, so the caller's clock is now between the token's making and
 * half its life later. */
static void tell_clock(const struct identity_verifier *verifier, const struct caller *caller,
                       int64_t expires_ms, int64_t wall_ms)
{
    int64_t age_ms = wall_ms - (expires_ms - IDENTITY_LIFE_MS);
    if (!verifier->heard)
        return;
    if (age_ms > 0 && age_ms <= IDENTITY_LIFE_MS / 2)
        age_ms = 0;
    else if (age_ms > 0)
        age_ms -= IDENTITY_LIFE_MS / 2;
    verifier->heard(verifier->hearer, caller->name, age_ms);
}

static void look_at_clock(struct identity_verifier *verifier, struct identity_time now)
{
    int64_t offset = offset_ms(now);
    if (was_set(verifier->offset_ms, offset)) {
        verifier->former_offset_ms = verifier->offset_ms;
        verifier->set_ns = now.monotonic_ns;
    }
    verifier->offset_ms = offset;
}

/* A token's remaining time by a wall clock; 0 or less: expired, or made in the future. */
static int64_t left_ms(int64_t expires_ms, int64_t wall_ms)
{
    int64_t left = expires_ms + IDENTITY_SKEW_MS - wall_ms;
    return left <= IDENTITY_LIFE_MS + 2 * IDENTITY_SKEW_MS ? left : 0;
}

static int64_t left_by_either_ms(const struct identity_verifier *verifier, int64_t expires_ms,
                                 struct identity_time now)
{
    int64_t left = left_ms(expires_ms, now.wall_ms);
    int64_t since_ms = verifier->set_ns == INT64_MIN
                           ? INT64_MAX
                           : (now.monotonic_ns - verifier->set_ns) / NS_PER_MS;
    if (left <= 0 && since_ms < IDENTITY_LIFE_MS + IDENTITY_SKEW_MS)
        left = left_ms(expires_ms, now.monotonic_ns / NS_PER_MS + verifier->former_offset_ms);
    return left;
}

static void remember_token(struct identity_verifier *verifier, const char *token,
                           const struct caller *caller, int64_t until_ns)
{
    if (verifier->cache.count >= IDENTITY_CACHE_MAX)
        forget_tokens(verifier); /* they are verified again: rare, and cheap */
    struct proved *proved = malloc(sizeof *proved);
    FH_ASSERT(proved != NULL);
    *proved = (struct proved){caller, until_ns};
    free(map_get(&verifier->cache, token));
    map_put(&verifier->cache, token, proved);
}

/* Takes a part of a token, up to the next dot. False: there is no dot, or the part does not fit. */
static bool take_part(const char **at, char *out, size_t size)
{
    size_t length = strcspn(*at, ".");
    if ((*at)[length] != '.' || length == 0 || length >= size)
        return false;
    memcpy(out, *at, length);
    out[length] = '\0';
    *at += length + 1;
    return true;
}

static bool is_made_with_a_key_of(const struct caller *caller, const char *token, size_t length,
                                  const char *mac)
{
    char expected[MAC_TEXT_SIZE];
    bool is = false;
    for (size_t i = 0; i < caller->key_count && !is; i++) {
        authenticate_text(token, length, &caller->keys[i], expected);
        is = sodium_memcmp(expected, mac, MAC_TEXT_SIZE - 1) == 0;
    }
    return is;
}

static enum identity_verdict verify_anew(struct identity_verifier *verifier, const char *token,
                                         const struct caller **ret_caller, int64_t *ret_expires_ms)
{
    char version[2], caller[IDENTITY_NAME_LENGTH_MAX + 1], audience[IDENTITY_NAME_LENGTH_MAX + 1];
    char expires[EXPIRES_DIGITS_MAX + 1];
    const char *at = token;
    if (!take_part(&at, version, sizeof version) || strcmp(version, "1") != 0 ||
        !take_part(&at, caller, sizeof caller) || !take_part(&at, audience, sizeof audience) ||
        !take_part(&at, expires, sizeof expires) ||
        strspn(expires, "0123456789") != strlen(expires) || strlen(at) != MAC_TEXT_SIZE - 1)
        return IDENTITY_MALFORMED;
    if (strcmp(audience, verifier->self) != 0)
        return IDENTITY_OTHER_AUDIENCE;
    *ret_caller = map_get(&verifier->callers, caller);
    if (!*ret_caller)
        return IDENTITY_UNKNOWN_CALLER;
    if (!is_made_with_a_key_of(*ret_caller, token, (size_t)(at - 1 - token), at))
        return IDENTITY_FORGED;
    *ret_expires_ms = strtoll(expires, NULL, 10);
    return IDENTITY_PROVED;
}

enum identity_verdict identity_verify(struct identity_verifier *verifier, const char *token,
                                      struct identity_time now, const char **ret_caller)
{
    const struct caller *caller = NULL;
    int64_t expires_ms = 0;
    look_at_clock(verifier, now);
    if (strlen(token) >= IDENTITY_TOKEN_SIZE)
        return IDENTITY_MALFORMED;
    const struct proved *proved = map_get(&verifier->cache, token);
    if (proved && proved->until_ns > now.monotonic_ns) {
        *ret_caller = proved->caller->name;
        return IDENTITY_PROVED;
    }
    if (proved) {
        free(map_remove(&verifier->cache, token));
        return IDENTITY_EXPIRED; /* even if the wall clock was set since */
    }
    enum identity_verdict verdict = verify_anew(verifier, token, &caller, &expires_ms);
    if (verdict != IDENTITY_PROVED)
        return verdict;
    tell_clock(verifier, caller, expires_ms, now.wall_ms);
    int64_t left = left_by_either_ms(verifier, expires_ms, now);
    if (left <= 0)
        return IDENTITY_EXPIRED;
    remember_token(verifier, token, caller, now.monotonic_ns + left * NS_PER_MS);
    *ret_caller = caller->name;
    return IDENTITY_PROVED;
}

const char *identity_verdict_text(enum identity_verdict verdict)
{
    static const char *const texts[] = {
        [IDENTITY_PROVED] = "The token is good.",
        [IDENTITY_MALFORMED] = "The " IDENTITY_HEADER " is malformed.",
        [IDENTITY_OTHER_AUDIENCE] = "The " IDENTITY_HEADER " is for another service.",
        [IDENTITY_UNKNOWN_CALLER] = "The " IDENTITY_HEADER " is of someone unknown here.",
        [IDENTITY_FORGED] = "The " IDENTITY_HEADER " was made with another key.",
        [IDENTITY_EXPIRED] = "The " IDENTITY_HEADER " has expired.",
    };
    return texts[verdict];
}
