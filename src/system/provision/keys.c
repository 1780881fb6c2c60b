/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys are random and independent: knowing one says nothing about another. They outlive restarts of
 * the system, so that an operator's tools and a late process need not care. A crash before the file
 * is replaced leaves the former one; nobody has been given a new key yet.
 *
 * Whatever a crash leaves of a replacement, the next `up` completes it, before it starts anything:
 * no process lives, so nobody uses a former key, and each reads the new ones when it starts.
 */

#include "system/provision/keys.h"

#include <sodium.h>
#include <stdint.h>
#include <string.h>

#include "base/crash.h"
#include "base/error.h"
#include "base/json.h"
#include "call/identity.h"
#include "call/user.h"

#define USERS_FORMER_MAX (USER_KEYS_MAX - 2) /* besides the present one and the next */

enum fh_code keys_read_all(const struct state *state, json_t **ret, struct fh_error *error)
{
    enum fh_code code = state_read_json(state->folder_fd, KEYS_FILE, ret, error);
    if (code != FH_OK && code != FH_INVALID)
        return code;
    if (code == FH_OK && json_is_object(json_object_get(*ret, "keys")))
        return FH_OK;
    if (code == FH_OK)
        json_decref(*ret);
    *ret = NULL;
    return error_set(error, FH_INVALID,
                     "%s/" KEYS_FILE " is damaged: expected an object \"keys\". Remove it while "
                     "the system is down, and up makes new ones.",
                     state->folder);
}

enum fh_code keys_read(const struct state *state, json_t **ret, struct fh_error *error)
{
    json_t *all;
    enum fh_code code = keys_read_all(state, &all, error);
    *ret = code == FH_OK ? json_incref(json_object_get(all, "keys")) : NULL;
    if (code == FH_OK)
        json_decref(all);
    return code;
}

enum fh_code keys_write(const struct state *state, const json_t *all, struct fh_error *error)
{
    return state_write_durable(state->folder_fd, KEYS_FILE, all, error);
}

/* ---- Making them ---- */

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

static const json_t *key_at(const json_t *keys, const char *caller, const char *receiver)
{
    return json_object_get(json_object_get(keys, caller), receiver);
}

static void key_set(json_t *keys, const char *caller, const char *receiver, json_t *key)
{
    if (!json_object_get(keys, caller))
        json_object_set_new(keys, caller, json_object());
    json_object_set_new(json_object_get(keys, caller), receiver, key);
}

static bool is_user_key(const char *caller, const char *receiver)
{
    return strcmp(caller, KEYS_GATEWAY) == 0 && strcmp(receiver, KEYS_USER) == 0;
}

static json_t *key_new(const char *caller, const char *receiver)
{
    return is_user_key(caller, receiver) ? user_key_new() : caller_key_new();
}

static bool is_pair_key(const char *caller, const char *receiver, const json_t *key)
{
    struct identity_key unused;
    char half[USER_KEY_TEXT_SIZE];
    return is_user_key(caller, receiver) ? user_key_public(json_string_value(key), half)
                                         : identity_key_parse(json_string_value(key), &unused);
}

/* Keeps the key of `before`, or makes one. */
static void key_keep(json_t *keys, const json_t *before, const char *caller, const char *receiver)
{
    json_t *known = json_object_get(json_object_get(before, caller), receiver);
    key_set(keys, caller, receiver,
            is_pair_key(caller, receiver, known) ? json_incref(known) : key_new(caller, receiver));
}

static json_t *keys_for(const struct system_file *file, const json_t *before)
{
    json_t *keys = json_object();
    for (size_t i = 0; i < file->service_count; i++) {
        const char *receiver = file->services[i].name;
        for (size_t j = 0; j < file->service_count; j++)
            key_keep(keys, before, file->services[j].name, receiver);
        key_keep(keys, before, KEYS_GATEWAY, receiver);
        key_keep(keys, before, KEYS_OPERATOR, receiver);
    }
    key_keep(keys, before, KEYS_OPERATOR, KEYS_UP);
    key_keep(keys, before, KEYS_OPERATOR, KEYS_GATEWAY);
    key_keep(keys, before, KEYS_GATEWAY, KEYS_USER);
    return keys;
}

enum fh_code keys_make(const struct state *state, const struct system_file *file, bool starting,
                       int64_t now_ms, json_t **ret, struct fh_error *error)
{
    json_t *all;
    *ret = NULL;
    enum fh_code code = keys_read_all(state, &all, error);
    if (code != FH_OK && code != FH_NOT_FOUND)
        return code;
    if (code == FH_NOT_FOUND)
        all = json_pack("{s:i}", "freehold", 1);
    bool completes = starting && keys_phase(all) != KEYS_AT_REST;
    if (starting)
        keys_complete(all, now_ms);
    json_object_set_new(all, "keys", keys_for(file, json_object_get(all, "keys")));
    if (keys_rotated_ms(all) == 0)
        json_object_set_new(all, "rotated_ms", json_integer(now_ms));
    if (keys_number(all) == 0)
        json_object_set_new(all, "number", json_integer(1));
    code = keys_write(state, all, error);
    if (completes)
        CRASH_POINT("rotate.completed");
    if (code == FH_OK)
        *ret = all;
    else
        json_decref(all);
    return code;
}

/* ---- Replacing them ---- */

enum keys_phase keys_phase(const json_t *all)
{
    return json_object_get(all, "next")     ? KEYS_LEARNING
           : json_object_get(all, "former") ? KEYS_SIGNING
                                            : KEYS_AT_REST;
}

json_int_t keys_number(const json_t *all)
{
    json_int_t number = 0;
    return json_integer_at(all, "number", &number) && number > 0 ? number : 0;
}

int64_t keys_rotated_ms(const json_t *all)
{
    json_int_t ms = 0;
    return json_integer_at(all, "rotated_ms", &ms) ? ms : 0;
}

/* Whoever is told of keys is told the number, too, and so says which ones it has. */
static void count_change(json_t *all)
{
    json_object_set_new(all, "number", json_integer(keys_number(all) + 1));
}

void keys_begin(json_t *all, const char *of, bool forgets_users)
{
    const char *caller, *receiver;
    json_t *receivers, *key, *next = json_object();
    FH_ASSERT(keys_phase(all) == KEYS_AT_REST);
    json_object_foreach (json_object_get(all, "keys"), caller, receivers) {
        json_object_foreach (receivers, receiver, key) {
            if (!of || strcmp(caller, of) == 0 || strcmp(receiver, of) == 0)
                key_set(next, caller, receiver, key_new(caller, receiver));
        }
    }
    json_object_set_new(all, "next", next);
    if (!of)
        json_object_set_new(all, "whole", json_true());
    if (forgets_users)
        json_object_set_new(all, "forgets_users", json_true());
    count_change(all);
}

/* Former public halves are kept by themselves, in the order in which they end. */
static void keep_former_user(json_t *all, const char *secret, int64_t now_ms)
{
    char key[USER_KEY_TEXT_SIZE];
    if (!json_is_array(json_object_get(all, "users")))
        json_object_set_new(all, "users", json_array());
    json_t *users = json_object_get(all, "users");
    if (user_key_public(secret, key))
        json_array_append_new(users, json_pack("{s:s, s:I}", "key", key, "until_ms",
                                               (json_int_t)now_ms + KEYS_USER_KEPT_MS));
    while (json_array_size(users) > USERS_FORMER_MAX)
        json_array_remove(users, 0);
}

void keys_promote(json_t *all, int64_t now_ms)
{
    const char *caller, *receiver;
    json_t *receivers, *key, *keys = json_object_get(all, "keys"), *former = json_object();
    FH_ASSERT(keys_phase(all) == KEYS_LEARNING);
    json_object_foreach (json_object_get(all, "next"), caller, receivers) {
        json_object_foreach (receivers, receiver, key) {
            json_t *used = json_incref((json_t *)(uintptr_t)key_at(keys, caller, receiver));
            if (is_user_key(caller, receiver))
                keep_former_user(all, json_string_value(used), now_ms);
            else if (used)
                key_set(former, caller, receiver, json_incref(used));
            json_decref(used);
            key_set(keys, caller, receiver, json_incref(key));
        }
    }
    json_object_set_new(all, "former", former);
    if (json_is_true(json_object_get(all, "whole")))
        json_object_set_new(all, "rotated_ms", json_integer(now_ms));
    json_object_del(all, "next");
    json_object_del(all, "whole");
    count_change(all);
}

void keys_forget(json_t *all)
{
    json_object_del(all, "former");
    if (json_is_true(json_object_get(all, "forgets_users")))
        json_object_del(all, "users");
    json_object_del(all, "forgets_users");
    count_change(all);
}

void keys_take_back(json_t *all)
{
    json_object_del(all, "next");
    json_object_del(all, "whole");
    json_object_del(all, "forgets_users");
    count_change(all);
}

bool keys_forget_users(json_t *all, int64_t now_ms)
{
    json_t *users = json_object_get(all, "users");
    bool any = false;
    for (size_t i = json_array_size(users); i-- > 0;) {
        json_int_t until_ms = 0;
        json_integer_at(json_array_get(users, i), "until_ms", &until_ms);
        /* A clock that was far ahead when it was written must not keep it for ever. */
        if (until_ms > now_ms && until_ms - now_ms <= 2 * KEYS_USER_KEPT_MS)
            continue;
        json_array_remove(users, i);
        any = true;
    }
    if (any)
        count_change(all);
    return any;
}

void keys_complete(json_t *all, int64_t now_ms)
{
    if (keys_phase(all) == KEYS_LEARNING)
        keys_promote(all, now_ms);
    if (keys_phase(all) == KEYS_SIGNING)
        keys_forget(all);
    keys_forget_users(all, now_ms);
}

/* ---- Whose they are ---- */

const char *keys_of_up(const json_t *keys)
{
    struct identity_key unused;
    const char *key =
        json_string_value(json_object_get(json_object_get(keys, KEYS_OPERATOR), KEYS_UP));
    return identity_key_parse(key, &unused) ? key : NULL;
}

/* The keys that are accepted besides those that are used: the next ones, or the former. */
static json_t *keys_beside(const json_t *all)
{
    json_t *next = json_object_get(all, "next");
    return next ? next : json_object_get(all, "former");
}

const char *keys_of_up_also(const json_t *all)
{
    return keys_of_up(keys_beside(all));
}

static json_t *keys_to_call(const json_t *keys, const json_t *matrix, const char *caller)
{
    const char *receiver;
    json_t *callers, *mine = json_object();
    json_object_foreach ((json_t *)(uintptr_t)matrix, receiver, callers) {
        if (json_object_get(callers, caller))
            json_object_set(mine, receiver, (json_t *)(uintptr_t)key_at(keys, caller, receiver));
    }
    return mine;
}

static json_t *keys_to_take(const json_t *keys, const json_t *matrix, const char *receiver)
{
    const char *caller;
    json_t *grants, *mine = json_object();
    json_object_foreach (json_object_get(matrix, receiver), caller, grants)
        json_object_set(mine, caller, (json_t *)(uintptr_t)key_at(keys, caller, receiver));
    return mine;
}

static const char *user_secret(const json_t *keys)
{
    return json_string_value(key_at(keys, KEYS_GATEWAY, KEYS_USER));
}

/* Those that are accepted besides the one that the gateway signs with. */
static json_t *users_beside(const json_t *all)
{
    char key[USER_KEY_TEXT_SIZE];
    size_t i;
    json_t *one, *list = json_array();
    if (user_key_public(user_secret(json_object_get(all, "next")), key))
        json_array_append_new(list, json_string(key));
    json_array_foreach (json_object_get(all, "users"), i, one)
        json_array_append(list, json_object_get(one, "key"));
    return list;
}

json_t *keys_of_service(const json_t *all, const json_t *matrix, const char *service)
{
    char key[USER_KEY_TEXT_SIZE];
    const json_t *keys = json_object_get(all, "keys");
    json_t *mine = json_pack(
        "{s:I, s:o, s:o, s:o, s:o}", "number", keys_number(all), "calls",
        keys_to_call(keys, matrix, service), "takes", keys_to_take(keys, matrix, service), "also",
        keys_to_take(keys_beside(all), matrix, service), "users", users_beside(all));
    if (user_key_public(user_secret(keys), key))
        json_object_set_new(mine, "user", json_string(key));
    return mine;
}

/* The operator's alone: nobody else calls it as somebody of the system. */
static json_t *keys_to_gateway(const json_t *keys)
{
    json_t *mine = json_object(),
           *key = (json_t *)(uintptr_t)key_at(keys, KEYS_OPERATOR, KEYS_GATEWAY);
    if (key)
        json_object_set(mine, KEYS_OPERATOR, key);
    return mine;
}

json_t *keys_of_gateway(const json_t *all, const json_t *matrix)
{
    const json_t *keys = json_object_get(all, "keys");
    return json_pack("{s:I, s:o, s:o, s:o, s:s?}", "number", keys_number(all), "calls",
                     keys_to_call(keys, matrix, KEYS_GATEWAY), "takes", keys_to_gateway(keys),
                     "also", keys_to_gateway(keys_beside(all)), "user_secret", user_secret(keys));
}
