/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key-value model on Redis: keys of any kind. value.c, hash.c and sorted.c handle their
 * contents, key.c what a unit of work has read and changed.
 */

#include "engine/redis/keyvalue.h"

/* ---- Keys of any kind ---- */

static enum fh_code seen_kind_of(const struct keyvalue_view *view, struct redis_key *key,
                                 enum keyvalue_kind *ret, struct fh_error *error)
{
    int64_t ends_ms;
    *ret = key->kind;
    if (key->kind != KEYVALUE_NONE || key->over)
        return FH_OK;
    return redis_key_served(view, key, ret, &ends_ms, error);
}

/* Checks that the key, whose kind was read, ends at exactly that time. */
static void check_time(struct redis_work *own, const struct redis_key *key)
{
    if (!redis_writes(&own->work))
        return;
    redis_step(&own->checks, 'T', 2);
    redis_word(&own->checks.words, key->server);
    redis_word_number(&own->checks.words, key->known->time_ms);
}

static enum fh_code key_look(const struct keyvalue_view *view, const char *name,
                             enum keyvalue_kind *ret_kind, int64_t *ret_expires_ms,
                             struct fh_error *error)
{
    struct redis_key *key = redis_key(view, name);
    enum keyvalue_kind kind;
    *ret_expires_ms = 0;
    enum fh_code code = seen_kind_of(view, key, ret_kind, error);
    if (code || *ret_kind == KEYVALUE_NONE)
        return code;
    if (key->timed) {
        *ret_expires_ms = key->ends_ms;
        return FH_OK;
    }
    code = redis_key_served(view, key, &kind, ret_expires_ms, error);
    if (!code && kind != *ret_kind)
        *ret_expires_ms = 0; /* a value that replaces another kind, whose end time went with it */
    check_time(redis_work_of(view->work), key);
    return code;
}

static void remove_service_key(const struct keyvalue_view *view, struct redis_key *key)
{
    redis_do(redis_work_of(view->work), "any", "DEL", key->server, NULL);
    redis_key_ends(key);
}

static enum fh_code key_expire(const struct keyvalue_view *view, const char *name, int64_t at_ms,
                               struct fh_error *error)
{
    struct redis_work *own = redis_work_of(view->work);
    struct redis_key *key;
    enum keyvalue_kind kind = KEYVALUE_NONE;
    enum fh_code code = redis_key_open(view, name, &key, error);
    if (!code)
        code = seen_kind_of(view, key, &kind, error);
    if (!code && kind == KEYVALUE_NONE)
        code = error_set(error, FH_NOT_FOUND, "There is no '%.100s'.", name);
    if (code)
        return code;
    if (at_ms && at_ms <= view->now_ms) {
        remove_service_key(view, key);
        return FH_OK;
    }
    if (at_ms) {
        redis_needs(own, key->server, "any");
        redis_step_at(&own->operations, 'E', redis_key_number(own, key), 1);
        redis_word_number(&own->operations.words, at_ms);
    } else {
        redis_do(own, "any", "PERSIST", key->server, NULL);
    }
    key->timed = true;
    key->ends_ms = at_ms;
    return FH_OK;
}

static enum fh_code key_remove(const struct keyvalue_view *view, const char *name,
                               bool *ret_existed, struct fh_error *error)
{
    struct redis_key *key;
    enum keyvalue_kind kind = KEYVALUE_NONE;
    enum fh_code code = redis_key_open(view, name, &key, error);
    if (!code)
        code = seen_kind_of(view, key, &kind, error);
    *ret_existed = !code && kind != KEYVALUE_NONE;
    if (*ret_existed)
        remove_service_key(view, key);
    return code;
}

const struct keyvalue_ops redis_keyvalue = {
    .look = key_look,
    .expire = key_expire,
    .remove = key_remove,
    .get = redis_value_get,
    .put = redis_value_put,
    .add = redis_value_add,
    .field_get = redis_field_get,
    .fields = redis_fields,
    .field_put = redis_field_put,
    .field_remove = redis_field_remove,
    .score = redis_score,
    .members = redis_members,
    .member_put = redis_member_put,
    .member_remove = redis_member_remove,
    .sweep = redis_sweep,
};
