/* SPDX-License-Identifier: Apache-2.0 */
/* See webhook.h. The id is a digest of the message's key: that has full stops in it, which separate
 * the parts of what is signed, and tells a stranger the names of services. */

#include "call/webhook.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "http/outside.h"

#define SHARED_PREFIX "whsec_"
#define PRIVATE_PREFIX "whsk_"
#define SHARED_LENGTH_MIN 24
#define SHARED_LENGTH_MAX 64
#define ID_BYTES 16
#define BASE64 sodium_base64_VARIANT_ORIGINAL

struct webhook_key {
    enum webhook_kind kind;
    size_t length;
    unsigned char bytes[crypto_sign_SECRETKEYBYTES]; /* a shared one is no longer than that */
};
_Static_assert(SHARED_LENGTH_MAX <= crypto_sign_SECRETKEYBYTES, "a shared key fits");

struct host_keys {
    char pattern[OUTSIDE_HOST_SIZE];
    struct webhook_key keys[WEBHOOK_KEYS_MAX];
    size_t count;
};

struct webhook_keys {
    size_t count;
    struct host_keys hosts[];
};

/* ---- Keys ---- */

/* A private key's public half follows from its seed: one that does not is a mistake, and signing
 * with it would tell the seed. */
static bool settle_private_key(struct webhook_key *key, const unsigned char *bytes)
{
    unsigned char other[crypto_sign_PUBLICKEYBYTES];
    crypto_sign_seed_keypair(other, key->bytes, bytes);
    bool good = key->length == crypto_sign_SEEDBYTES ||
                (key->length == crypto_sign_SECRETKEYBYTES &&
                 memcmp(key->bytes, bytes, crypto_sign_SECRETKEYBYTES) == 0);
    key->length = crypto_sign_SECRETKEYBYTES;
    return good;
}

static bool read_webhook_key(const char *text, struct webhook_key *key)
{
    unsigned char bytes[WEBHOOK_KEY_LENGTH_MAX];
    memset(key, 0, sizeof *key);
    bool shared = strncmp(text, SHARED_PREFIX, strlen(SHARED_PREFIX)) == 0;
    bool own = strncmp(text, PRIVATE_PREFIX, strlen(PRIVATE_PREFIX)) == 0;
    if ((!shared && !own) || strlen(text) > WEBHOOK_KEY_LENGTH_MAX)
        return false;
    text += strlen(shared ? SHARED_PREFIX : PRIVATE_PREFIX);
    bool good = sodium_base642bin(bytes, sizeof bytes, text, strlen(text), NULL, &key->length, NULL,
                                  BASE64) == 0;
    if (good && shared) {
        good = key->length >= SHARED_LENGTH_MIN && key->length <= SHARED_LENGTH_MAX;
        key->kind = WEBHOOK_SHARED;
        if (good)
            memcpy(key->bytes, bytes, key->length);
    } else if (good) {
        good = key->length >= crypto_sign_SEEDBYTES && settle_private_key(key, bytes);
        key->kind = WEBHOOK_PRIVATE;
    }
    sodium_memzero(bytes, sizeof bytes);
    return good;
}

enum webhook_kind webhook_key_kind(const char *text)
{
    struct webhook_key key;
    enum webhook_kind kind = read_webhook_key(text, &key) ? key.kind : WEBHOOK_NO_KEY;
    sodium_memzero(&key, sizeof key);
    return kind;
}

static bool read_host_keys(const json_t *value, struct host_keys *host)
{
    const char *pattern = json_string_at(value, "host");
    json_t *texts = json_object_get(value, "keys"), *text;
    size_t i;
    if (!pattern || !outside_is_pattern(pattern) || json_array_size(texts) == 0 ||
        json_array_size(texts) > WEBHOOK_KEYS_MAX)
        return false;
    snprintf(host->pattern, sizeof host->pattern, "%s", pattern);
    json_array_foreach (texts, i, text) {
        if (!json_is_string(text) || !read_webhook_key(json_string_value(text), &host->keys[i]))
            return false;
        host->count++;
    }
    return true;
}

enum fh_code webhook_keys_new(const json_t *keys, struct webhook_keys **ret, struct fh_error *error)
{
    size_t count = json_array_size(keys), i;
    json_t *value;
    *ret = calloc(1, sizeof **ret + count * sizeof(*ret)->hosts[0]);
    if (!*ret)
        return error_set(error, FH_NO_MEMORY, "No memory for the keys of webhooks.");
    (*ret)->count = count;
    json_array_foreach (keys, i, value) {
        if (!read_host_keys(value, &(*ret)->hosts[i])) {
            webhook_keys_free(*ret);
            *ret = NULL;
            return error_set(error, FH_INVALID,
                             "\"outside_keys\", %zu: expected a \"host\", and as its \"keys\" 1 to "
                             "%d of whsec_ or whsk_.",
                             i, WEBHOOK_KEYS_MAX);
        }
    }
    return FH_OK;
}

void webhook_keys_free(struct webhook_keys *keys)
{
    if (!keys)
        return;
    sodium_memzero(keys->hosts, keys->count * sizeof keys->hosts[0]);
    free(keys);
}

/* ---- Signing ---- */

static const struct host_keys *keys_of_url(const struct webhook_keys *keys, const char *url)
{
    char host[OUTSIDE_HOST_SIZE];
    bool plain;
    if (!keys || keys->count == 0 || !outside_host_of(url, host, &plain))
        return NULL;
    for (size_t i = 0; i < keys->count; i++) {
        if (outside_host_matches(keys->hosts[i].pattern, host))
            return &keys->hosts[i];
    }
    return NULL;
}

void webhook_id_make(const char *key, char ret[static WEBHOOK_ID_SIZE])
{
    unsigned char digest[ID_BYTES];
    char hex[ID_BYTES * 2 + 1];
    crypto_generichash(digest, sizeof digest, (const unsigned char *)key, strlen(key), NULL, 0);
    sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    snprintf(ret, WEBHOOK_ID_SIZE, "msg_%s", hex);
}

static void add_signature(const struct webhook_key *key, const unsigned char *content,
                          size_t length, char *ret, size_t size)
{
    unsigned char signature[crypto_sign_BYTES];
    char text[sodium_base64_ENCODED_LEN(crypto_sign_BYTES, BASE64)];
    size_t signature_length = crypto_sign_BYTES, used = strlen(ret);
    if (key->kind == WEBHOOK_SHARED) {
        crypto_auth_hmacsha256_state state;
        crypto_auth_hmacsha256_init(&state, key->bytes, key->length);
        crypto_auth_hmacsha256_update(&state, content, length);
        crypto_auth_hmacsha256_final(&state, signature);
        sodium_memzero(&state, sizeof state);
        signature_length = crypto_auth_hmacsha256_BYTES;
    } else {
        crypto_sign_detached(signature, NULL, content, length, key->bytes);
    }
    sodium_bin2base64(text, sizeof text, signature, signature_length, BASE64);
    int written = snprintf(ret + used, size - used, "%s%s,%s", used ? " " : "",
                           key->kind == WEBHOOK_SHARED ? "v1" : "v1a", text);
    FH_ASSERT(written > 0 && (size_t)written < size - used);
}

bool webhook_sign(const struct webhook_keys *keys, const struct webhook_message *message,
                  struct webhook_headers *ret)
{
    const struct host_keys *host = keys_of_url(keys, message->url);
    if (!host)
        return false;
    memset(ret, 0, sizeof *ret);
    snprintf(ret->timestamp, sizeof ret->timestamp, "%lld", (long long)message->at_s);
    size_t head = strlen(message->id) + strlen(ret->timestamp) + 2;
    char *content = malloc(head + message->length + 1);
    FH_ASSERT(content != NULL);
    snprintf(content, head + 1, "%s.%s.", message->id, ret->timestamp);
    if (message->length > 0)
        memcpy(content + head, message->body, message->length);
    for (size_t i = 0; i < host->count; i++)
        add_signature(&host->keys[i], (const unsigned char *)content, head + message->length,
                      ret->signature, sizeof ret->signature);
    free(content);
    return true;
}
