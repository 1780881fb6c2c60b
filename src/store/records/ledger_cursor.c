/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger as records: cursors and leases. The engine checks at the commit that a cursor or a
 * lease is still as it was read, as it checks all reads.
 */

#include <stdio.h>
#include <string.h>

#include "store/records/records.h"

static enum fh_code cursor_id(char id[static RECORD_ID_SIZE], const char *source,
                              const char *partition, struct fh_error *error)
{
    return record_id(id, error, "%s" RECORD_SEPARATOR "%s", source, partition);
}

static void take_cursor_record(json_t *record, struct ledger_cursor *ret)
{
    snprintf(ret->incarnation, ID_SIZE, "%s", record_text(record, "incarnation"));
    snprintf(ret->event_id, ID_SIZE, "%s", record_text(record, "event_id"));
    ret->position = record_integer(record, "position");
    ret->epoch = record_integer(record, "epoch");
}

static enum fh_code read_cursor_record(struct store_work *work, const char *id,
                                       struct ledger_cursor *ret, struct fh_error *error)
{
    json_t *record;
    *ret = (struct ledger_cursor){0};
    enum fh_code code = records_get(work, "cursor", id, &record, error);
    if (code || !record)
        return code;
    take_cursor_record(record, ret);
    json_decref(record);
    return FH_OK;
}

static enum fh_code cursor_write(struct store_work *work, const char *id, const char *source,
                                 const char *partition, const struct ledger_cursor *cursor,
                                 struct fh_error *error)
{
    return records_put(work, "cursor", id,
                       record_pack("{s:s, s:s, s:s, s:I, s:s, s:I}", "source", source, "share",
                                   partition, "incarnation", cursor->incarnation, "position",
                                   (json_int_t)cursor->position, "event_id", cursor->event_id,
                                   "epoch", (json_int_t)cursor->epoch),
                       error);
}

enum fh_code records_cursor_get(struct store_work *work, const char *source, const char *partition,
                                struct ledger_cursor *ret, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    enum fh_code code = cursor_id(id, source, partition, error);
    return code ? code : read_cursor_record(work, id, ret, error);
}

enum fh_code records_cursor_move(struct store_work *work, const char *source, const char *partition,
                                 const struct ledger_cursor *old, const struct ledger_cursor *next,
                                 struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    struct ledger_cursor now;
    enum fh_code code = cursor_id(id, source, partition, error);
    if (!code)
        code = read_cursor_record(work, id, &now, error);
    if (code)
        return code;
    if (strcmp(now.incarnation, old->incarnation) != 0 || now.position != old->position ||
        now.epoch != old->epoch)
        return error_set(error, FH_CONFLICT,
                         "The cursor of %s is not at %" PRId64 " any more: these were applied.",
                         source, old->position);
    return cursor_write(work, id, source, partition, next, error);
}

struct partitions {
    bool (*visit)(void *context, const char *partition);
    void *context;
};

static bool see_partition_record(void *context, json_t *record)
{
    const struct partitions *to = context;
    return to->visit(to->context, record_text(record, "share"));
}

enum fh_code records_cursor_partitions(struct store_work *work, const char *source,
                                       bool (*visit)(void *context, const char *partition),
                                       void *context, struct fh_error *error)
{
    struct partitions to = {visit, context};
    struct record_range all = {.table = "cursor", .fields = {{"source", source}}};
    return records_each(work, &all, see_partition_record, &to, error);
}

struct cursors {
    ledger_visit_cursor *visit;
    void *context;
};

static bool see_cursor_record(void *context, json_t *record)
{
    const struct cursors *to = context;
    struct ledger_cursor cursor;
    take_cursor_record(record, &cursor);
    return to->visit(to->context, record_text(record, "share"), &cursor);
}

enum fh_code records_cursors_get(struct store_work *work, const char *source,
                                 ledger_visit_cursor *visit, void *context, struct fh_error *error)
{
    struct cursors to = {visit, context};
    struct record_range all = {.table = "cursor", .fields = {{"source", source}}};
    return records_each(work, &all, see_cursor_record, &to, error);
}

enum fh_code records_cursor_take(struct store_work *work, const char *source, const char *partition,
                                 int64_t epoch, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    struct ledger_cursor cursor;
    enum fh_code code = cursor_id(id, source, partition, error);
    if (!code)
        code = read_cursor_record(work, id, &cursor, error);
    if (code)
        return code;
    cursor.epoch = epoch;
    return cursor_write(work, id, source, partition, &cursor, error);
}

/* ---- Leases ---- */

struct leases {
    bool (*visit)(void *context, const struct ledger_lease *lease);
    void *context;
};

static struct ledger_lease lease_of(json_t *record)
{
    return (struct ledger_lease){.name = record_text(record, "id"),
                                 .owner = record_text(record, "owner"),
                                 .epoch = record_integer(record, "epoch"),
                                 .beat = record_integer(record, "beat"),
                                 .note = record_text(record, "note")};
}

static bool see_lease_record(void *context, json_t *record)
{
    const struct leases *to = context;
    struct ledger_lease lease = lease_of(record);
    return to->visit(to->context, &lease);
}

enum fh_code records_leases_get(struct store_work *work,
                                bool (*visit)(void *context, const struct ledger_lease *lease),
                                void *context, struct fh_error *error)
{
    struct leases to = {visit, context};
    return records_each(work, &(struct record_range){.table = "lease"}, see_lease_record, &to,
                        error);
}

static enum fh_code lease_lost(const char *name, struct fh_error *error)
{
    return error_set(error, FH_CONFLICT, "Somebody else has the lease of %s.", name);
}

enum fh_code records_lease_take(struct store_work *work, const char *name, int64_t epoch,
                                const char *owner, struct fh_error *error)
{
    json_t *record;
    enum fh_code code = records_get(work, "lease", name, &record, error);
    if (!code && (record ? record_integer(record, "epoch") : 0) != epoch)
        code = lease_lost(name, error);
    if (!code)
        code = records_put(work, "lease", name,
                           record_pack("{s:s, s:I, s:i, s:s}", "owner", owner, "epoch",
                                       (json_int_t)epoch + 1, "beat", 0, "note", ""),
                           error);
    json_decref(record);
    return code;
}

enum fh_code records_lease_renew(struct store_work *work, const char *name, const char *owner,
                                 const char *note, struct fh_error *error)
{
    json_t *record;
    enum fh_code code = records_get(work, "lease", name, &record, error);
    if (code)
        return code;
    if (!record || strcmp(record_text(record, "owner"), owner) != 0) {
        json_decref(record);
        return lease_lost(name, error);
    }
    json_t *values =
        record_pack("{s:I, s:s}", "beat", (json_int_t)record_integer(record, "beat") + 1, "note",
                    note ? note : record_text(record, "note"));
    code = records_set(work, "lease", name, record, values, error);
    json_decref(record);
    return code;
}

enum fh_code records_lease_drop(struct store_work *work, const char *name, const char *owner,
                                int64_t beat, struct fh_error *error)
{
    json_t *record;
    enum fh_code code = records_get(work, "lease", name, &record, error);
    if (code)
        return code;
    bool is_so = record && strcmp(record_text(record, "owner"), owner) == 0 &&
                 (beat < 0 || record_integer(record, "beat") == beat);
    json_decref(record);
    return is_so ? records_put(work, "lease", name, NULL, error) : lease_lost(name, error);
}
