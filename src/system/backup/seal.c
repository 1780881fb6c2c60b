/* SPDX-License-Identifier: Apache-2.0 */
/* See seal.h. What a MAC is over is made anew from the parsed manifest, and nothing but that is
 * used of it: so what is used is what was signed, whatever the bytes of the file were. */

#include "system/backup/seal.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

#define FILE_PURPOSE "freehold backup file"
#define MANIFEST_PURPOSE "freehold backup manifest"

bool seal_key_parse(const char *text, struct seal *ret)
{
    size_t length = 0;
    memset(ret, 0, sizeof *ret);
    return strlen(text) == SEAL_KEY_TEXT_SIZE - 1 &&
           sodium_hex2bin(ret->key, sizeof ret->key, text, strlen(text), NULL, &length, NULL) ==
               0 &&
           length == SEAL_KEY_BYTES;
}

void seal_begin(struct seal *seal)
{
    unsigned char random[crypto_generichash_KEYBYTES];
    crypto_generichash_keygen(random);
    sodium_bin2hex(seal->backup, sizeof seal->backup, random, (SEAL_ID_SIZE - 1) / 2);
}

void seal_wipe(struct seal *seal)
{
    sodium_memzero(seal, sizeof *seal);
}

/* Texts with their NULs, so that none runs into the next. */
static void derive_seal_key(const struct seal *seal, const char *purpose, const char *service,
                            unsigned char ret[static SEAL_KEY_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, seal->key, sizeof seal->key, SEAL_KEY_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)purpose, strlen(purpose) + 1);
    crypto_generichash_update(&state, (const unsigned char *)seal->backup,
                              strlen(seal->backup) + 1);
    crypto_generichash_update(&state, (const unsigned char *)service, strlen(service) + 1);
    crypto_generichash_final(&state, ret, SEAL_KEY_BYTES);
    sodium_memzero(&state, sizeof state);
}

/* ---- The manifest ---- */

static void manifest_mac(const struct seal *seal, const json_t *manifest,
                         char ret[static SEAL_MAC_SIZE])
{
    unsigned char key[SEAL_KEY_BYTES], mac[(SEAL_MAC_SIZE - 1) / 2];
    struct seal of_all = *seal;
    json_t *rest = json_copy((json_t *)(uintptr_t)manifest);
    json_object_del(rest, "mac");
    char *text = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
    FH_ASSERT(text != NULL);
    of_all.backup[0] = '\0';
    derive_seal_key(&of_all, MANIFEST_PURPOSE, "", key);
    crypto_generichash(mac, sizeof mac, (const unsigned char *)text, strlen(text), key, sizeof key);
    sodium_bin2hex(ret, SEAL_MAC_SIZE, mac, sizeof mac);
    sodium_memzero(key, sizeof key);
    seal_wipe(&of_all);
    json_text_free(text);
    json_decref(rest);
}

void seal_manifest(const struct seal *seal, json_t *manifest)
{
    char mac[SEAL_MAC_SIZE];
    manifest_mac(seal, manifest, mac);
    json_object_set_new(manifest, "mac", json_string(mac));
}

enum fh_code seal_manifest_check(struct seal *seal, const json_t *manifest, struct fh_error *error)
{
    char mac[SEAL_MAC_SIZE];
    const char *said = json_string_at(manifest, "mac"), *id = json_string_at(manifest, "backup");
    manifest_mac(seal, manifest, mac);
    if (!said || !id || strlen(id) != SEAL_ID_SIZE - 1 || strlen(said) != sizeof mac - 1 ||
        sodium_memcmp(said, mac, sizeof mac - 1) != 0)
        return error_set(error, FH_CONFLICT,
                         "It was signed with another key than this one, or was changed since.");
    snprintf(seal->backup, sizeof seal->backup, "%s", id);
    return FH_OK;
}

/* ---- Files ---- */

bool seal_stream_begin(struct seal_stream *stream, const struct seal *seal, const char *service,
                       bool opening, unsigned char header[static SEAL_HEADER_LENGTH])
{
    unsigned char key[SEAL_KEY_BYTES], *of_stream = header + SEAL_MAGIC_LENGTH;
    bool good = true;
    *stream = (struct seal_stream){.opening = opening};
    derive_seal_key(seal, FILE_PURPOSE, service, key);
    if (opening) {
        good = memcmp(header, SEAL_MAGIC, SEAL_MAGIC_LENGTH) == 0 &&
               crypto_secretstream_xchacha20poly1305_init_pull(&stream->state, of_stream, key) == 0;
    } else {
        memcpy(header, SEAL_MAGIC, SEAL_MAGIC_LENGTH);
        crypto_secretstream_xchacha20poly1305_init_push(&stream->state, of_stream, key);
    }
    sodium_memzero(key, sizeof key);
    return good;
}

bool seal_stream_chunk(struct seal_stream *stream, const unsigned char *in, size_t length,
                       bool last, unsigned char *out, size_t *ret_length)
{
    unsigned char tag = last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0, found;
    unsigned long long made = 0;
    if (stream->ended)
        return false;
    stream->ended = last;
    if (!stream->opening) {
        crypto_secretstream_xchacha20poly1305_push(&stream->state, out, &made, in, length, NULL, 0,
                                                   tag);
        *ret_length = (size_t)made;
        return true;
    }
    if (length < SEAL_OVERHEAD ||
        crypto_secretstream_xchacha20poly1305_pull(&stream->state, out, &made, &found, in, length,
                                                   NULL, 0) != 0 ||
        found != tag)
        return false;
    *ret_length = (size_t)made;
    return true;
}
