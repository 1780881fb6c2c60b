/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back may be anything: nothing of it is looked at before it is known to be ours. */

#include "gateway/seal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define NONCE_SIZE crypto_secretbox_NONCEBYTES
#define SEALED_SIZE (NONCE_SIZE + crypto_secretbox_MACBYTES + AS_OF_LENGTH_MAX)
#define KEYS_MAX 2 /* the present one, and the former one */

_Static_assert(sodium_base64_ENCODED_LEN(SEALED_SIZE, sodium_base64_VARIANT_URLSAFE_NO_PADDING) <=
                   SEAL_TOKENS_LENGTH_MAX,
               "one token has room");

struct seal {
    struct world *world;
    unsigned char keys[KEYS_MAX][crypto_secretbox_KEYBYTES];
    int key_count;
};

/* False: there is no secret to derive it from. */
static bool derive_position_key(const json_t *keys,
                                unsigned char ret[static crypto_secretbox_KEYBYTES])
{
    static const unsigned char purpose[] = "freehold: positions of events, sealed";
    const char *secret = json_string_at(keys, "user_secret");
    size_t length = secret ? strlen(secret) : 0;
    if (length < crypto_generichash_KEYBYTES_MIN)
        return false;
    if (length > crypto_generichash_KEYBYTES_MAX) /* it is as random in any part as in all */
        length = crypto_generichash_KEYBYTES_MAX;
    crypto_generichash(ret, crypto_secretbox_KEYBYTES, purpose, sizeof purpose,
                       (const unsigned char *)secret, length);
    return true;
}

struct seal *seal_new(struct world *world, const json_t *keys)
{
    struct seal *seal = calloc(1, sizeof *seal);
    FH_ASSERT(seal != NULL && sodium_init() >= 0);
    seal->world = world;
    seal->key_count = 1;
    if (!derive_position_key(keys, seal->keys[0]))
        world_random(world, seal->keys[0], sizeof seal->keys[0]);
    return seal;
}

void seal_take_keys(struct seal *seal, const json_t *keys)
{
    unsigned char key[crypto_secretbox_KEYBYTES];
    if (derive_position_key(keys, key) && memcmp(key, seal->keys[0], sizeof key) != 0) {
        memcpy(seal->keys[1], seal->keys[0], sizeof key);
        memcpy(seal->keys[0], key, sizeof key);
        seal->key_count = 2;
    }
    sodium_memzero(key, sizeof key);
}

void seal_free(struct seal *seal)
{
    if (seal)
        sodium_memzero(seal->keys, sizeof seal->keys);
    free(seal);
}

void seal_close(struct seal *seal, const struct as_of *as_of, struct text *out)
{
    struct text plain;
    unsigned char sealed[SEALED_SIZE];
    char token[SEAL_TOKENS_LENGTH_MAX + 1];
    text_init(&plain, AS_OF_LENGTH_MAX);
    as_of_write(as_of, true, &plain);
    FH_ASSERT(plain.length > 0 && !plain.overflow);
    world_random(seal->world, sealed, NONCE_SIZE);
    crypto_secretbox_easy(sealed + NONCE_SIZE, (const unsigned char *)plain.data, plain.length,
                          sealed, seal->keys[0]);
    sodium_bin2base64(token, sizeof token, sealed,
                      NONCE_SIZE + crypto_secretbox_MACBYTES + plain.length,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    text_add(out, token);
    text_release(&plain);
}

/* A service speaks for itself alone: of whatever else it names it gets no token. */
bool seal_close_at(struct seal *seal, const char *service, const char *at, struct text *out)
{
    char incarnation[ID_SIZE];
    int64_t position;
    struct as_of as_of = {.count = 0};
    if (!as_of_parse_at(at, incarnation, &position) || position == 0 ||
        !as_of_add(&as_of, service, incarnation, position))
        return false;
    seal_close(seal, &as_of, out);
    return true;
}

bool seal_close_as_of(struct seal *seal, const char *shown, struct text *out)
{
    struct as_of as_of;
    if (as_of_parse(shown, &as_of, ERROR_UNHEEDED) != FH_OK)
        return false;
    seal_close(seal, &as_of, out);
    return true;
}

/* False: it is none of ours. */
static bool open_token(const struct seal *seal, const char *token, size_t length, struct as_of *ret)
{
    unsigned char sealed[SEALED_SIZE], plain[AS_OF_LENGTH_MAX + 1];
    size_t size, least = NONCE_SIZE + crypto_secretbox_MACBYTES;
    const char *end;
    if (sodium_base642bin(sealed, sizeof sealed, token, length, NULL, &size, &end,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        end != token + length || size <= least)
        return false;
    for (int i = 0; i < seal->key_count; i++) {
        if (crypto_secretbox_open_easy(plain, sealed + NONCE_SIZE, size - NONCE_SIZE, sealed,
                                       seal->keys[i]) != 0)
            continue;
        plain[size - least] = '\0';
        return as_of_parse((const char *)plain, ret, ERROR_UNHEEDED) == FH_OK;
    }
    return false;
}

enum fh_code seal_open(const struct seal *seal, const char *tokens, struct as_of *ret,
                       struct fh_error *error)
{
    struct as_of one;
    ret->count = 0;
    if (strlen(tokens) > SEAL_TOKENS_LENGTH_MAX)
        return error_set(error, FH_INVALID, "It is longer than %zu bytes.", SEAL_TOKENS_LENGTH_MAX);
    for (const char *at = tokens;; at++) {
        at += strspn(at, " \t");
        size_t length = strcspn(at, ", \t");
        if (!open_token(seal, at, length, &one))
            return error_set(error, FH_INVALID,
                             "It has a token that this system did not give, or that is no longer "
                             "good: expected what Freehold-At or Freehold-As-Of said, several with "
                             "commas between them.");
        if (!as_of_merge(ret, &one))
            return error_set(error, FH_INVALID, "It names more than %d places.", AS_OF_PLACES_MAX);
        at += length + strspn(at + length, " \t");
        if (!*at)
            return FH_OK;
        if (*at != ',')
            return error_set(error, FH_INVALID, "Between two tokens there must be a comma.");
    }
}
