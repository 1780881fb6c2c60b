/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger on Redis: cursors, and leases. That a cursor or a lease is still where its mover has
 * read it is checked, as all that a work reads, by the script that moves it. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/keyvalue/redis_ledger.h"

static enum fh_code cursor_id(char id[static REDIS_ID_SIZE], const char *source, const char *share,
                              struct fh_error *error)
{
    return redis_id(id, error, "%s" REDIS_SEPARATOR "%s", source, share);
}

static enum fh_code cursor_read(struct store_work *work, const char *id, struct ledger_cursor *ret,
                                bool *ret_found, struct fh_error *error)
{
    json_t *record;
    *ret = (struct ledger_cursor){0};
    enum fh_code code = redis_get(work, "cursor", id, &record, error);
    *ret_found = record != NULL;
    if (code || !record)
        return code;
    snprintf(ret->incarnation, ID_SIZE, "%s", redis_text(record, "incarnation"));
    snprintf(ret->event_id, ID_SIZE, "%s", redis_text(record, "event_id"));
    ret->position = redis_integer(record, "position");
    ret->epoch = redis_integer(record, "epoch");
    json_decref(record);
    return FH_OK;
}

static enum fh_code cursor_write(struct store_work *work, const char *id, const char *source,
                                 const char *share, const struct ledger_cursor *cursor,
                                 struct fh_error *error)
{
    return redis_put(work, "cursor", id,
                     redis_pack("{s:s, s:s, s:s, s:I, s:s, s:I}", "source", source, "share", share,
                                "incarnation", cursor->incarnation, "position",
                                (json_int_t)cursor->position, "event_id", cursor->event_id, "epoch",
                                (json_int_t)cursor->epoch),
                     error);
}

enum fh_code redis_ledger_cursor_get(struct store_work *work, const char *source, const char *share,
                                     struct ledger_cursor *ret, struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    bool found;
    enum fh_code code = cursor_id(id, source, share, error);
    return code ? code : cursor_read(work, id, ret, &found, error);
}

enum fh_code redis_ledger_cursor_move(struct store_work *work, const char *source,
                                      const char *share, const struct ledger_cursor *old,
                                      const struct ledger_cursor *next, struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    struct ledger_cursor now;
    bool found;
    enum fh_code code = cursor_id(id, source, share, error);
    if (!code)
        code = cursor_read(work, id, &now, &found, error);
    if (code)
        return code;
    if (strcmp(now.incarnation, old->incarnation) != 0 || now.position != old->position ||
        now.epoch != old->epoch)
        return error_set(error, FH_CONFLICT,
                         "The cursor of %s is not at %" PRId64 " any more: these were applied.",
                         source, old->position);
    return cursor_write(work, id, source, share, next, error);
}

struct shares {
    bool (*visit)(void *context, const char *share);
    void *context;
};

static bool visit_share(void *context, const json_t *record)
{
    const struct shares *to = context;
    return to->visit(to->context, redis_text(record, "share"));
}

enum fh_code redis_ledger_cursor_shares(struct store_work *work, const char *source,
                                        bool (*visit)(void *context, const char *share),
                                        void *context, struct fh_error *error)
{
    struct shares to = {visit, context};
    char prefix[REDIS_ID_SIZE];
    enum fh_code code = redis_id(prefix, error, "%s" REDIS_SEPARATOR, source);
    if (code)
        return code;
    return redis_each(work, "cursor",
                      &(struct redis_range){.order = "cursor:ids", .prefix = prefix}, visit_share,
                      &to, error);
}

enum fh_code redis_ledger_cursor_take(struct store_work *work, const char *source,
                                      const char *share, int64_t epoch, struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    struct ledger_cursor cursor;
    bool found;
    enum fh_code code = cursor_id(id, source, share, error);
    if (!code)
        code = cursor_read(work, id, &cursor, &found, error);
    if (code)
        return code;
    cursor.epoch = epoch;
    return cursor_write(work, id, source, share, &cursor, error);
}

/* ---- Leases ---------------------------------------------------------------------------------- */

struct leases {
    bool (*visit)(void *context, const struct ledger_lease *lease);
    void *context;
};

static struct ledger_lease lease_of(const json_t *record)
{
    return (struct ledger_lease){.name = redis_text(record, "id"),
                                 .owner = redis_text(record, "owner"),
                                 .epoch = redis_integer(record, "epoch"),
                                 .beat = redis_integer(record, "beat"),
                                 .note = redis_text(record, "note")};
}

static bool visit_lease(void *context, const json_t *record)
{
    const struct leases *to = context;
    struct ledger_lease lease = lease_of(record);
    return to->visit(to->context, &lease);
}

enum fh_code redis_ledger_leases_get(struct store_work *work,
                                     bool (*visit)(void *context, const struct ledger_lease *lease),
                                     void *context, struct fh_error *error)
{
    struct leases to = {visit, context};
    return redis_each(work, "lease", &(struct redis_range){.order = "lease:ids", .prefix = ""},
                      visit_lease, &to, error);
}

static enum fh_code lease_lost(const char *name, struct fh_error *error)
{
    return error_set(error, FH_CONFLICT, "Somebody else has the lease of %s.", name);
}

enum fh_code redis_ledger_lease_take(struct store_work *work, const char *name, int64_t epoch,
                                     const char *owner, struct fh_error *error)
{
    json_t *record;
    enum fh_code code = redis_get(work, "lease", name, &record, error);
    if (!code && (record ? redis_integer(record, "epoch") : 0) != epoch)
        code = lease_lost(name, error);
    if (!code)
        code = redis_put(work, "lease", name,
                         redis_pack("{s:s, s:I, s:i, s:s}", "owner", owner, "epoch",
                                    (json_int_t)epoch + 1, "beat", 0, "note", ""),
                         error);
    json_decref(record);
    return code;
}

enum fh_code redis_ledger_lease_renew(struct store_work *work, const char *name, const char *owner,
                                      const char *note, struct fh_error *error)
{
    json_t *record;
    enum fh_code code = redis_get(work, "lease", name, &record, error);
    if (code)
        return code;
    if (!record || strcmp(redis_text(record, "owner"), owner) != 0) {
        json_decref(record);
        return lease_lost(name, error);
    }
    json_t *values = redis_pack("{s:I, s:s}", "beat", (json_int_t)redis_integer(record, "beat") + 1,
                                "note", note ? note : redis_text(record, "note"));
    code = redis_set(work, "lease", name, record, values, error);
    json_decref(record);
    return code;
}

enum fh_code redis_ledger_lease_drop(struct store_work *work, const char *name, const char *owner,
                                     int64_t beat, struct fh_error *error)
{
    json_t *record;
    enum fh_code code = redis_get(work, "lease", name, &record, error);
    if (code)
        return code;
    bool is_so = record && strcmp(redis_text(record, "owner"), owner) == 0 &&
                 (beat < 0 || redis_integer(record, "beat") == beat);
    json_decref(record);
    return is_so ? redis_put(work, "lease", name, NULL, error) : lease_lost(name, error);
}
