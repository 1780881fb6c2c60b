/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key-value model as handlers see it: values, counters, hashes and expiry.
 *
 * All arguments are checked here, so that an engine gets only valid ones (keyvalue.h). Operations
 * composed of an engine's reads and writes are composed here too, so that they are the same on all
 * engines: a counter that returns its sum is a read and a write.
 */

#include "work/keyvalue.h"

#include <stdio.h>

#include "base/json.h"

const struct keyvalue_ops *keyvalue_of(fh_work *w)
{
    if (w->context->service->model == FH_KEY_VALUE)
        return keyvalue_engine(w->context->store);
    struct fh_error error;
    error_set(&error, FH_UNSUPPORTED,
              "fh_kv and its like are for services of the key-value model.");
    work_fail(w, &error);
}

struct keyvalue_view keyvalue_reading(fh_work *w)
{
    keyvalue_of(w);
    return (struct keyvalue_view){.work = work_store_read(w), .now_ms = w->now_ms};
}

struct keyvalue_view keyvalue_writing(fh_work *w)
{
    keyvalue_of(w);
    return (struct keyvalue_view){.work = work_store_write(w), .now_ms = w->now_ms};
}

void keyvalue_refuse(fh_work *w, const char *field, const char *message)
{
    struct fh_error error;
    error_set(&error, FH_INVALID, "%s", message);
    snprintf(error.field, sizeof error.field, "%s", field);
    work_fail(w, &error);
}

void keyvalue_must_be_name(fh_work *w, const char *what, const char *name)
{
    struct fh_error error;
    if (keyvalue_name_check(what, name, &error) != FH_OK)
        work_fail(w, &error);
}

void keyvalue_must_lie(fh_work *w, const char *what, int64_t number, int64_t min, int64_t max)
{
    if (number < min || number > max)
        keyvalue_refuse(w, what,
                        work_printf(w, "A %s lies between %lld and %lld.", what, (long long)min,
                                    (long long)max));
}

static void must_be_key(fh_work *w, const char *key)
{
    keyvalue_must_be_name(w, "key", key);
}

/* The text lives as long as the unit of work, however the handler ends. */
static const char *keyvalue_text(fh_work *w, const json_t *value)
{
    struct fh_error error;
    char *text;
    if (keyvalue_value_text(value, &text, &error) != FH_OK)
        work_fail(w, &error);
    return text;
}

static const char *number_text(fh_work *w, int64_t number)
{
    return work_printf(w, "%lld", (long long)number);
}

static void must_have_done(fh_work *w, enum fh_code code, const struct fh_error *error)
{
    if (code != FH_OK)
        work_fail(w, error);
}

/* False: it was not there, which is an answer as well. */
static bool was_there(fh_work *w, enum fh_code code, const struct fh_error *error)
{
    if (code != FH_OK && code != FH_NOT_FOUND)
        work_fail(w, error);
    return code == FH_OK;
}

static int64_t sum_of(fh_work *w, const char *name, const json_t *value, int64_t delta)
{
    struct fh_error error;
    int64_t sum;
    must_have_done(w, keyvalue_add(name, value, delta, &sum, &error), &error);
    return sum;
}

/* ---- Values ---- */

json_t *fh_try_kv(fh_work *w, const char *key)
{
    struct keyvalue_view view = keyvalue_reading(w);
    struct fh_error error;
    json_t *value;
    must_be_key(w, key);
    was_there(w, keyvalue_of(w)->get(&view, key, &value, &error), &error);
    return value;
}

json_t *fh_kv(fh_work *w, const char *key)
{
    struct keyvalue_view view = keyvalue_reading(w);
    struct fh_error error;
    json_t *value;
    must_be_key(w, key);
    must_have_done(w, keyvalue_of(w)->get(&view, key, &value, &error), &error);
    return value;
}

void fh_kv_set(fh_work *w, const char *key, json_t *value)
{
    struct keyvalue_view view = keyvalue_writing(w);
    struct fh_error error;
    must_be_key(w, key);
    must_have_done(w, keyvalue_of(w)->put(&view, key, keyvalue_text(w, value), false, &error),
                   &error);
}

bool fh_kv_delete(fh_work *w, const char *key)
{
    struct keyvalue_view view = keyvalue_writing(w);
    struct fh_error error;
    bool existed;
    must_be_key(w, key);
    must_have_done(w, keyvalue_of(w)->remove(&view, key, &existed, &error), &error);
    return existed;
}

int64_t fh_kv_add(fh_work *w, const char *key, int64_t delta)
{
    struct keyvalue_view view = keyvalue_writing(w);
    struct fh_error error;
    json_t *value;
    must_be_key(w, key);
    was_there(w, keyvalue_of(w)->get(&view, key, &value, &error), &error);
    int64_t sum = sum_of(w, key, value, delta);
    must_have_done(w, keyvalue_of(w)->put(&view, key, number_text(w, sum), true, &error), &error);
    return sum;
}

void fh_kv_count(fh_work *w, const char *key, int64_t delta)
{
    struct keyvalue_view view = keyvalue_writing(w);
    struct fh_error error;
    must_be_key(w, key);
    keyvalue_must_lie(w, "delta", delta, -KEYVALUE_INTEGER_MAX, KEYVALUE_INTEGER_MAX);
    must_have_done(w, keyvalue_of(w)->add(&view, key, delta, &error), &error);
}

/* ---- Hashes ---- */

static json_t *get_hash_fields(fh_work *w, const struct keyvalue_view *view, const char *key,
                               struct fh_error *error)
{
    json_t *object;
    error->code = keyvalue_of(w)->fields(view, key, &object, error);
    return object;
}

json_t *fh_kv_fields(fh_work *w, const char *key)
{
    struct keyvalue_view view = keyvalue_reading(w);
    struct fh_error error;
    must_be_key(w, key);
    json_t *object = get_hash_fields(w, &view, key, &error);
    must_have_done(w, error.code, &error);
    return object;
}

static json_t *get_hash_field(fh_work *w, const struct keyvalue_view *view, const char *key,
                              const char *name)
{
    struct fh_error error;
    json_t *value;
    must_be_key(w, key);
    keyvalue_must_be_name(w, "field", name);
    was_there(w, keyvalue_of(w)->field_get(view, key, name, &value, &error), &error);
    return value;
}

static void field_put(fh_work *w, const struct keyvalue_view *view, const char *key,
                      const char *name, const char *text)
{
    struct fh_error error;
    must_have_done(w, keyvalue_of(w)->field_put(view, key, name, text, &error), &error);
}

json_t *fh_kv_field(fh_work *w, const char *key, const char *name)
{
    struct keyvalue_view view = keyvalue_reading(w);
    return get_hash_field(w, &view, key, name);
}

void fh_kv_field_set(fh_work *w, const char *key, const char *name, json_t *value)
{
    struct keyvalue_view view = keyvalue_writing(w);
    must_be_key(w, key);
    keyvalue_must_be_name(w, "field", name);
    field_put(w, &view, key, name, keyvalue_text(w, value));
}

bool fh_kv_field_delete(fh_work *w, const char *key, const char *name)
{
    struct keyvalue_view view = keyvalue_writing(w);
    struct fh_error error;
    bool existed;
    must_be_key(w, key);
    keyvalue_must_be_name(w, "field", name);
    must_have_done(w, keyvalue_of(w)->field_remove(&view, key, name, &existed, &error), &error);
    return existed;
}

int64_t fh_kv_field_add(fh_work *w, const char *key, const char *name, int64_t delta)
{
    struct keyvalue_view view = keyvalue_writing(w);
    int64_t sum = sum_of(w, name, get_hash_field(w, &view, key, name), delta);
    field_put(w, &view, key, name, number_text(w, sum));
    return sum;
}

/* ---- Expiry ---- */

bool fh_kv_expire_at(fh_work *w, const char *key, int64_t at_ms)
{
    struct keyvalue_view view = keyvalue_writing(w);
    struct fh_error error;
    must_be_key(w, key);
    keyvalue_must_lie(w, "at_ms", at_ms, 0, KEYVALUE_INTEGER_MAX);
    return was_there(w, keyvalue_of(w)->expire(&view, key, at_ms, &error), &error);
}

bool fh_kv_expires_at(fh_work *w, const char *key, int64_t *ret_ms)
{
    struct keyvalue_view view = keyvalue_reading(w);
    enum keyvalue_kind kind;
    struct fh_error error;
    must_be_key(w, key);
    must_have_done(w, keyvalue_of(w)->look(&view, key, &kind, ret_ms, &error), &error);
    return kind != KEYVALUE_NONE;
}

/* ---- Peeking ---- */

static struct keyvalue_view keyvalue_peeking(fh_work *w, const char *key)
{
    struct keyvalue_view view = {.now_ms = w->now_ms};
    struct fh_error error;
    keyvalue_of(w);
    must_be_key(w, key);
    work_asks(w);
    must_have_done(w, store_begin(w->context->store, STORE_READ_COMMITTED, &view.work, &error),
                   &error);
    return view;
}

json_t *fh_peek_kv(fh_work *w, const char *key)
{
    struct keyvalue_view view = keyvalue_peeking(w, key);
    struct fh_error error;
    json_t *value;
    enum fh_code code = keyvalue_of(w)->get(&view, key, &value, &error);
    store_rollback(view.work);
    was_there(w, code, &error);
    return value;
}

json_t *fh_peek_kv_fields(fh_work *w, const char *key)
{
    struct keyvalue_view view = keyvalue_peeking(w, key);
    struct fh_error error;
    json_t *object = get_hash_fields(w, &view, key, &error);
    store_rollback(view.work);
    must_have_done(w, error.code, &error);
    return object;
}
