/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_WEBHOOK_H
#define CALL_WEBHOOK_H

/*
 * Signs requests that leave the system, in the form of Standard Webhooks 1.0
 * (https://www.standardwebhooks.com), so that their receivers know who sent them, that nothing was
 * changed, and when:
 *
 *     webhook-id: msg_2KWP...           the same in each attempt
 *     webhook-timestamp: 1674087231     seconds since 1970, of this attempt
 *     webhook-signature: v1,K5oZ...= v1a,hnO3...=
 *
 * Each signature is over "ID.TIMESTAMP.BODY". v1 is HMAC-SHA-256 under a secret that the receiver
 * has, too; v1a is Ed25519, of which it needs the public half alone. One for each key of the host,
 * so that a key can be replaced while receivers know either.
 *
 * A key is a text: "whsec_" and the base64 of 24 to 64 bytes for v1; "whsk_" and the base64 of an
 * Ed25519 key for v1a, which is a seed of 32 bytes, or seed and public half, 64. Pure: the time is
 * passed in.
 */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define WEBHOOK_KEYS_MAX 4 /* of one host, at once */
#define WEBHOOK_KEY_LENGTH_MAX 128

enum webhook_kind { WEBHOOK_NO_KEY, WEBHOOK_SHARED, WEBHOOK_PRIVATE };
/* What kind of key the text is. */
enum webhook_kind webhook_key_kind(const char *text);

struct webhook_keys;

/* `keys` is the configuration's "outside_keys": [{"host": PATTERN, "keys": [TEXT, ...]}, ...]; NULL
 * is an empty one. The first pattern that a host matches counts. FH_INVALID: it is not of this
 * form. */
enum fh_code webhook_keys_new(const json_t *keys, struct webhook_keys **ret,
                              struct fh_error *error);
void webhook_keys_free(struct webhook_keys *keys); /* wipes them; NULL is fine */

struct webhook_message {
    const char *url;
    const char *id; /* webhook_id_make's */
    const char *body;
    size_t length;
    int64_t at_s; /* the wall clock's seconds since 1970 */
};

struct webhook_headers {
    char timestamp[24], signature[WEBHOOK_KEYS_MAX * 96];
};

/* The id of the message with this key, which is the same in each attempt and in no other message.
 */
#define WEBHOOK_ID_SIZE 40
void webhook_id_make(const char *key, char ret[static WEBHOOK_ID_SIZE]);

/* False: the URL's host has no keys, and the message goes unsigned. */
bool webhook_sign(const struct webhook_keys *keys, const struct webhook_message *message,
                  struct webhook_headers *ret);

#endif
