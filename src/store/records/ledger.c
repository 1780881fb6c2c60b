/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger as records: meta, the trimmed position, subscribers and migrations. */

#include <stdio.h>
#include <string.h>

#include "store/records/records.h"

#define FORMAT "1"

/* ---- Meta ---- */

enum fh_code records_meta_get(struct store_work *work, const char *name, char *ret, size_t size,
                              struct fh_error *error)
{
    json_t *record;
    enum fh_code code = records_get(work, "meta", name, &record, error);
    const char *value = code ? NULL : record_text(record, "value");
    snprintf(ret, size, "%s", value ? value : "");
    if (!code)
        json_decref(record);
    return code;
}

enum fh_code records_meta_put(struct store_work *work, const char *name, const char *value,
                              struct fh_error *error)
{
    return records_put(work, "meta", name, record_pack("{s:s}", "value", value), error);
}

enum fh_code records_prepare(struct store_work *work, char ret_incarnation[ID_SIZE],
                             struct fh_error *error)
{
    char format[8];
    enum fh_code code = records_meta_get(work, "format", format, sizeof format, error);
    if (!code && *format && strcmp(format, FORMAT) != 0)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's ledger has format %s; this program knows format " FORMAT ".",
                         format);
    if (!code)
        code = records_meta_get(work, LEDGER_INCARNATION, ret_incarnation, ID_SIZE, error);
    if (code || *ret_incarnation)
        return code;
    unsigned char random[10];
    world_random(work->store->world, random, sizeof random);
    id_format(ret_incarnation, world_wall_ms(work->store->world), random);
    code = records_meta_put(work, "format", FORMAT, error);
    return code ? code : records_meta_put(work, LEDGER_INCARNATION, ret_incarnation, error);
}

/* ---- Outbox ---- */

enum fh_code records_event(struct records_reading *reading, const struct ledger_event *event,
                           struct fh_error *error)
{
    if (event->position != reading->next)
        return error_set(error, FH_UNAVAILABLE, "The event at %" PRId64 " was trimmed meanwhile.",
                         reading->next);
    const char *const texts[] = {event->id, event->type, event->key, event->data};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!texts[i] || (!*texts[i] && i != 2))
            return error_set(error, FH_INVALID,
                             "The event at %" PRId64 " is not one: the store is damaged.",
                             event->position);
    }
    reading->next++;
    reading->goes_on = reading->visit(reading->context, event) && --reading->left > 0;
    return FH_OK;
}

enum fh_code records_outbox_trimmed(struct store_work *work, int64_t *ret_position,
                                    char ret_id[ID_SIZE], struct fh_error *error)
{
    json_t *trimmed;
    *ret_position = 0;
    ret_id[0] = '\0';
    enum fh_code code = records_get(work, "meta", "trimmed", &trimmed, error);
    if (!code && trimmed) {
        *ret_position = record_integer(trimmed, "position");
        snprintf(ret_id, ID_SIZE, "%s", record_text(trimmed, "event_id"));
        json_decref(trimmed);
    }
    return code;
}

enum fh_code records_outbox_trim(struct store_work *work, int64_t position, int limit,
                                 int64_t *ret_removed, struct fh_error *error)
{
    int64_t trimmed, last;
    char id[ID_SIZE];
    *ret_removed = 0;
    enum fh_code code = records_outbox_trimmed(work, &trimmed, id, error);
    if (!code)
        code = ledger_position(work, &last, error);
    if (code)
        return code;
    if (position > last)
        position = last;
    int64_t through = position - trimmed > limit ? trimmed + limit : position;
    if (through <= trimmed)
        return FH_OK;
    code = ledger_outbox_id_at(work, through, id, error);
    if (!code)
        code = records_put(
            work, "meta", "trimmed",
            record_pack("{s:I, s:s}", "position", (json_int_t)through, "event_id", id), error);
    if (code)
        return code;
    code = records_of(work)->outbox_clear(work, through, error);
    *ret_removed = code ? 0 : through - trimmed;
    return code;
}

/* ---- Subscribers ---- */

enum fh_code records_subscriber_put(struct store_work *work, const char *name,
                                    const char *partition, const char *incarnation, int64_t done,
                                    int64_t seen, int64_t now_ms, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *known = NULL;
    enum fh_code code = record_id(id, error, "%s" RECORD_SEPARATOR "%s", name, partition);
    if (!code)
        code = records_get(work, "subscriber", id, &known, error);
    if (code)
        return code;
    if (known && strcmp(record_text(known, "incarnation"), incarnation) == 0 &&
        record_integer(known, "done") > done && !strstr(name, LEDGER_ASIDE))
        done = record_integer(known, "done");
    json_decref(known);
    return records_put(work, "subscriber", id,
                       record_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "name", name, "share",
                                   partition, "incarnation", incarnation, "done", (json_int_t)done,
                                   "seen", (json_int_t)seen, "updated_ms", (json_int_t)now_ms),
                       error);
}

struct subscribers {
    bool (*visit)(void *context, const struct ledger_subscriber *subscriber);
    void *context;
};

static bool see_subscriber_record(void *context, json_t *record)
{
    const struct subscribers *to = context;
    struct ledger_subscriber subscriber = {.name = record_text(record, "name"),
                                           .partition = record_text(record, "share"),
                                           .incarnation = record_text(record, "incarnation"),
                                           .done = record_integer(record, "done"),
                                           .seen = record_integer(record, "seen"),
                                           .updated_ms = record_integer(record, "updated_ms")};
    return to->visit(to->context, &subscriber);
}

enum fh_code records_subscribers_get(struct store_work *work,
                                     bool (*visit)(void *context,
                                                   const struct ledger_subscriber *subscriber),
                                     void *context, struct fh_error *error)
{
    struct subscribers to = {visit, context};
    return records_each(work, &(struct record_range){.table = "subscriber"}, see_subscriber_record,
                        &to, error);
}

/* ---- Migrations ---- */

struct migrations {
    bool (*visit)(void *context, int64_t version, const char *name, const char *checksum);
    void *context;
};

static bool see_migration_record(void *context, json_t *record)
{
    const struct migrations *to = context;
    return to->visit(to->context, record_integer(record, "version"), record_text(record, "name"),
                     record_text(record, "checksum"));
}

enum fh_code records_migrations_get(struct store_work *work,
                                    bool (*visit)(void *context, int64_t version, const char *name,
                                                  const char *checksum),
                                    void *context, struct fh_error *error)
{
    struct migrations to = {visit, context};
    return records_each(work, &(struct record_range){.table = "migration"}, see_migration_record,
                        &to, error);
}

enum fh_code records_migration_put(struct store_work *work, int64_t version, const char *name,
                                   const char *checksum, int64_t now_ms, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *known = NULL;
    enum fh_code code = record_id(id, error, RECORD_NUMBER, version);
    if (!code)
        code = records_get(work, "migration", id, &known, error);
    if (!code && known)
        code = error_set(error, FH_CONFLICT, "Migration %" PRId64 " was applied already.", version);
    json_decref(known);
    return code ? code
                : records_put(work, "migration", id,
                              record_pack("{s:I, s:s, s:s, s:I}", "version", (json_int_t)version,
                                          "name", name, "checksum", checksum, "applied_ms",
                                          (json_int_t)now_ms),
                              error);
}
