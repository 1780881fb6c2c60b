/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys are random and independent: knowing one says nothing about another. They outlive restarts of
 * the system, so that an operator's tools and a late process need not care; to renew a key, remove
 * it from the file while the system is down. A crash before the file is replaced leaves the former
 * one; nobody has been given a new key yet.
 */

#include "system/provision/keys.h"

#include <sodium.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "call/identity.h"
#include "call/user.h"

enum fh_code keys_read(const struct state *state, json_t **ret, struct fh_error *error)
{
    json_t *all;
    *ret = NULL;
    enum fh_code code = state_read_json(state->folder_fd, KEYS_FILE, &all, error);
    if (code != FH_OK && code != FH_INVALID)
        return code;
    json_t *keys = code == FH_OK ? json_object_get(all, "keys") : NULL;
    if (json_is_object(keys))
        *ret = json_incref(keys);
    else
        code = error_set(error, FH_INVALID,
                         "%s/" KEYS_FILE " is damaged: expected an object \"keys\". Remove it "
                         "while the system is down, and up makes new ones.",
                         state->folder);
    json_decref(all);
    return code;
}

static json_t *caller_key_new(void)
{
    struct identity_key key;
    char text[IDENTITY_KEY_TEXT_SIZE];
    crypto_auth_keygen(key.bytes);
    identity_key_text(&key, text);
    json_t *value = json_string(text);
    sodium_memzero(&key, sizeof key);
    sodium_memzero(text, sizeof text);
    return value;
}

static json_t *user_key_new(void)
{
    char text[USER_KEY_TEXT_SIZE];
    user_key_make(text);
    json_t *value = json_string(text);
    sodium_memzero(text, sizeof text);
    return value;
}

static json_t *keys_of(const struct system_file *file, const json_t *before)
{
    struct identity_key unused;
    json_t *keys = json_object();
    for (size_t i = 0; i < file->service_count; i++) {
        const char *receiver = file->services[i].name;
        json_t *known = json_object_get(before, receiver);
        if (identity_key_parse(json_string_value(known), &unused))
            json_object_set(keys, receiver, known);
        else
            json_object_set_new(keys, receiver, caller_key_new());
    }
    return keys;
}

enum fh_code keys_make(const struct state *state, const struct system_file *file, json_t **ret,
                       struct fh_error *error)
{
    json_t *before;
    *ret = NULL;
    enum fh_code code = keys_read(state, &before, error);
    if (code != FH_OK && code != FH_NOT_FOUND)
        return code;
    FH_ASSERT(sodium_init() >= 0);
    json_t *keys = json_object();
    for (size_t i = 0; i < file->service_count; i++) {
        const char *caller = file->services[i].name;
        json_object_set_new(keys, caller, keys_of(file, json_object_get(before, caller)));
    }
    json_object_set_new(keys, KEYS_GATEWAY, keys_of(file, json_object_get(before, KEYS_GATEWAY)));
    json_object_set_new(keys, KEYS_OPERATOR, keys_of(file, json_object_get(before, KEYS_OPERATOR)));
    json_t *known = json_incref(json_object_get(json_object_get(before, KEYS_OPERATOR), KEYS_UP));
    if (!keys_of_up(before)) {
        json_decref(known);
        known = caller_key_new();
    }
    json_object_set_new(json_object_get(keys, KEYS_OPERATOR), KEYS_UP, known);
    known = json_incref(json_object_get(json_object_get(before, KEYS_OPERATOR), KEYS_GATEWAY));
    if (!keys_of_gateway(before)) {
        json_decref(known);
        known = caller_key_new();
    }
    json_object_set_new(json_object_get(keys, KEYS_OPERATOR), KEYS_GATEWAY, known);
    known = json_incref(json_object_get(json_object_get(before, KEYS_GATEWAY), KEYS_USER));
    if (!keys_of_users(before)) {
        json_decref(known);
        known = user_key_new();
    }
    json_object_set_new(json_object_get(keys, KEYS_GATEWAY), KEYS_USER, known);
    json_decref(before);
    json_t *all = json_object();
    json_object_set_new(all, "freehold", json_integer(1));
    json_object_set(all, "keys", keys);
    code = state_write_durable(state->folder_fd, KEYS_FILE, all, error);
    json_decref(all);
    if (code == FH_OK)
        *ret = keys;
    else
        json_decref(keys);
    return code;
}

const char *keys_of_up(const json_t *keys)
{
    struct identity_key unused;
    const char *key =
        json_string_value(json_object_get(json_object_get(keys, KEYS_OPERATOR), KEYS_UP));
    return identity_key_parse(key, &unused) ? key : NULL;
}

const char *keys_of_gateway(const json_t *keys)
{
    struct identity_key unused;
    const char *key =
        json_string_value(json_object_get(json_object_get(keys, KEYS_OPERATOR), KEYS_GATEWAY));
    return identity_key_parse(key, &unused) ? key : NULL;
}

const char *keys_of_users(const json_t *keys)
{
    char unused[USER_KEY_TEXT_SIZE];
    const char *key =
        json_string_value(json_object_get(json_object_get(keys, KEYS_GATEWAY), KEYS_USER));
    return user_key_public(key, unused) ? key : NULL;
}

json_t *keys_to_call(const json_t *keys, const json_t *matrix, const char *caller)
{
    const char *receiver;
    json_t *callers, *mine = json_object();
    json_object_foreach ((json_t *)(uintptr_t)matrix, receiver, callers) {
        if (json_object_get(callers, caller))
            json_object_set(mine, receiver,
                            json_object_get(json_object_get(keys, caller), receiver));
    }
    return mine;
}

json_t *keys_to_take(const json_t *keys, const json_t *matrix, const char *receiver)
{
    const char *caller;
    json_t *grants, *mine = json_object();
    json_object_foreach (json_object_get(matrix, receiver), caller, grants)
        json_object_set(mine, caller, json_object_get(json_object_get(keys, caller), receiver));
    return mine;
}
