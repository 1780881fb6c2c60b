/* SPDX-License-Identifier: Apache-2.0 */
/*
 * servers.json is replaced and durable before anything is created with its values, so a crash
 * leaves no server or user whose password is lost.
 */

#define _GNU_SOURCE
#include "system/servers/kept.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "system/servers/servers.h"

#define SECRET_BYTES crypto_auth_KEYBYTES
#define SECRET_SIZE (2 * SECRET_BYTES + 1)
#define SECRET_KEY_SIZE 256
#define USER_LENGTH_MAX 63 /* PostgreSQL's */

static void make_secret(char text[static SECRET_SIZE])
{
    unsigned char bytes[SECRET_BYTES];
    crypto_auth_keygen(bytes);
    sodium_bin2hex(text, SECRET_SIZE, bytes, sizeof bytes);
    sodium_memzero(bytes, sizeof bytes);
}

json_t *kept_secret(json_t *kept, const char *key)
{
    char text[SECRET_SIZE];
    json_t *secrets = json_object_get(kept, "passwords");
    json_t *secret = json_object_get(secrets, key);
    if (json_is_string(secret))
        return secret;
    make_secret(text);
    json_object_set_new(secrets, key, json_string(text));
    sodium_memzero(text, sizeof text);
    return json_object_get(secrets, key);
}

/* No service has a point in its name. A longer name is cut, with a hash of all of it. */
json_t *kept_reports_user(json_t *kept, const char *key, const char *user)
{
    char name[USER_LENGTH_MAX + 1], secret[SECRET_KEY_SIZE];
    unsigned char hash[crypto_generichash_BYTES];
    int length = snprintf(name, sizeof name, "%s.reports", user);
    if (length < 0 || (size_t)length >= sizeof name) {
        crypto_generichash(hash, sizeof hash, (const unsigned char *)user, strlen(user), NULL, 0);
        snprintf(name, sizeof name, "%.46s.%02x%02x%02x%02x.reports", user, hash[0], hash[1],
                 hash[2], hash[3]);
    }
    snprintf(secret, sizeof secret, "%s reports", key);
    return json_pack("{s:s, s:O}", "user", name, "password", kept_secret(kept, secret));
}

enum fh_code kept_read(const struct state *state, json_t **ret, struct fh_error *error)
{
    enum fh_code code = state_read_json(state->folder_fd, SERVERS_FILE, ret, error);
    if (code == FH_NOT_FOUND) {
        *ret = json_pack("{s:i, s:{}, s:{}}", "freehold", 1, "passwords", "provided");
        return FH_OK;
    }
    if (code == FH_OK && !json_is_object(json_object_get(*ret, "passwords"))) {
        json_decref(*ret);
        return error_set(error, FH_INVALID,
                         "%s/" SERVERS_FILE " is damaged: expected \"passwords\".", state->folder);
    }
    return code;
}

enum fh_code kept_write(const struct state *state, const json_t *kept, struct fh_error *error)
{
    return state_write_durable(state->folder_fd, SERVERS_FILE, kept, error);
}
