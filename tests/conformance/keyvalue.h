/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEYVALUE_H
#define TESTS_KEYVALUE_H

/* What the suites of the key-value model share. Header only. */

#include <stdio.h>

#include "conformance.h"

#include "store/keyvalue/keyvalue.h"

static inline const struct keyvalue_ops *kv(struct conformance *c)
{
    return keyvalue_engine(c->store);
}

/* A unit of work that begins `later_ms` from now. */
static inline struct keyvalue_view begin(struct conformance *c, enum store_mode mode,
                                         int64_t later_ms)
{
    return (struct keyvalue_view){conformance_begin(c, mode),
                                  world_wall_ms(c->harness.world) + later_ms};
}

static inline bool prepare(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    if (!work)
        return false;
    if (!kv(c)->prepare || kv(c)->prepare(work, &c->error) == FH_OK)
        return conformance_commit(c, work) == FH_OK;
    conformance_rollback(c, work);
    return false;
}

/* A prepared store on SQLite in a folder of that name; NULL, and noted: it can't be. */
static inline struct store *open_embedded(struct conformance *c, const char *name)
{
    struct store *own = c->store, *store = conformance_embedded(c, name, FH_KEY_VALUE);
    c->store = store;
    if (store && !prepare(c))
        conformance_note(c, __FILE__, __LINE__, "an embedded store is made");
    c->store = own;
    return store;
}

static inline json_t *read_key(struct conformance *c, const struct keyvalue_view *view,
                               const char *key)
{
    static const struct keyvalue_range all = {
        .min = -KEYVALUE_INTEGER_MAX, .max = KEYVALUE_INTEGER_MAX, .limit = KEYVALUE_MEMBERS_MAX};
    enum keyvalue_kind kind = KEYVALUE_NONE;
    int64_t expires_ms;
    json_t *value = NULL;
    kv(c)->look(view, key, &kind, &expires_ms, &c->error);
    if (kind == KEYVALUE_VALUE)
        kv(c)->get(view, key, &value, &c->error);
    else if (kind == KEYVALUE_HASH)
        kv(c)->fields(view, key, &value, &c->error);
    else if (kind == KEYVALUE_SORTED)
        kv(c)->members(view, key, &all, &value, &c->error);
    return value;
}

/* What the key holds, whatever its kind, is exactly `text`; NULL: it is not there. */
static inline bool shows(struct conformance *c, const struct keyvalue_view *view, const char *key,
                         const char *text)
{
    json_t *value = read_key(c, view, key);
    bool same = text ? conformance_is(c, value, text) : value == NULL;
    if (!same)
        conformance_note(c, __FILE__, __LINE__, key);
    json_decref(value);
    return same;
}

/* The same in a unit of work of its own, later. */
static inline bool holds_later(struct conformance *c, int64_t later_ms, const char *key,
                               const char *text)
{
    struct keyvalue_view view = begin(c, STORE_READ, later_ms);
    if (!view.work)
        return false;
    bool same = shows(c, &view, key, text);
    conformance_rollback(c, view.work);
    return same;
}

static inline bool holds(struct conformance *c, const char *key, const char *text)
{
    return holds_later(c, 0, key, text);
}

/* One value in a unit of work of its own. */
static inline bool puts_value(struct conformance *c, const char *key, const char *text)
{
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    return view.work && kv(c)->put(&view, key, text, false, &c->error) == FH_OK &&
           conformance_commit(c, view.work) == FH_OK;
}

static inline bool puts_field(struct conformance *c, const char *key, const char *field,
                              const char *text)
{
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    return view.work && kv(c)->field_put(&view, key, field, text, &c->error) == FH_OK &&
           conformance_commit(c, view.work) == FH_OK;
}

static inline bool puts_member(struct conformance *c, const char *key, const char *member,
                               int64_t score)
{
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    return view.work && kv(c)->member_put(&view, key, member, score, &c->error) == FH_OK &&
           conformance_commit(c, view.work) == FH_OK;
}

#endif
