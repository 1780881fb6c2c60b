/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the ledger that are copied: the columns of engine/sqlite/ledger_schema.c, and the
 * fields of the records of records/ledger*.c, which have the same names. Not included are a store's
 * facts about itself (fh_meta, fh_counter: move.c and `number`), the tables of its processes
 * (fh_lease, fh_work), and what preparing its collections creates. fh_parked comes before
 * fh_parked_key, which has a column computed from it.
 *
 * Each side is read completely, and digests are compared: that of the rows read and written, and
 * that of the rows read back.
 */

#include "store/copy/ledger.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "store/ledger.h"
#include "store/copy/digest.h"

#define TEXT(column)                                                                               \
    {                                                                                              \
        .name = column                                                                             \
    }
#define MAYBE(column)                                                                              \
    {                                                                                              \
        .name = column, .nullable = true                                                           \
    }
#define NUMBER(column)                                                                             \
    {                                                                                              \
        .name = column, .integer = true                                                            \
    }

const struct copied_ledger copied_ledgers[] = {
    {"fh_outbox",
     "fh_outbox",
     {{.name = "position", .integer = true, .in_id = true},
      TEXT("event_id"),
      TEXT("type"),
      NUMBER("version"),
      TEXT("key"),
      NUMBER("prev"),
      NUMBER("time_ms"),
      TEXT("data"),
      MAYBE("trace")},
     {"position"},
     true},
    {"fh_place",
     "fh_last_of_key",
     {{.name = "key", .in_id = true}, NUMBER("position")},
     {"key"},
     false},
    {"fh_subscriber",
     "fh_subscriber",
     {TEXT("name"), TEXT("share"), TEXT("incarnation"), NUMBER("done"), NUMBER("seen"),
      NUMBER("updated_ms")},
     {"name", "share"},
     false},
    {"fh_cursor",
     "fh_cursor",
     {TEXT("source"), TEXT("share"), TEXT("incarnation"), NUMBER("position"), TEXT("event_id"),
      NUMBER("epoch")},
     {"source", "share"},
     false},
    {"fh_round",
     "fh_round",
     {TEXT("source"), TEXT("share"), NUMBER("round"), NUMBER("phase"), NUMBER("type"),
      TEXT("behind"), NUMBER("seen_position"), TEXT("seen_id")},
     {"source", "share"},
     false},
    {"fh_applied",
     "fh_applied",
     {TEXT("source"), TEXT("share"), NUMBER("type"), TEXT("key"), NUMBER("position"),
      NUMBER("round")},
     {"source", "share", "type", "key"},
     false},
    {"fh_parked",
     "fh_parked",
     {TEXT("source"), TEXT("share"), TEXT("key"), NUMBER("position"), TEXT("event_id"),
      TEXT("type"), NUMBER("time_ms"), NUMBER("attempts"), TEXT("error"), NUMBER("parked_ms"),
      TEXT("event")},
     {"source", "share", "position", "key"},
     false},
    {"fh_parked_key",
     "fh_parked_key",
     {TEXT("source"),
      TEXT("share"),
      TEXT("key"),
      NUMBER("events"),
      NUMBER("oldest_ms"),
      {.name = "first",
       .integer = true,
       .derived = "(SELECT min(p.position) FROM fh_parked p WHERE p.source = fh_parked_key.source"
                  " AND p.share = fh_parked_key.share AND p.key = fh_parked_key.key)"}},
     {"source", "share", "key"},
     false},
    {"fh_command",
     "fh_command",
     {TEXT("caller"), TEXT("key"), TEXT("birth"), NUMBER("number"), NUMBER("attempt"),
      NUMBER("created_ms"), TEXT("outcome"), TEXT("digest"), MAYBE("request"), MAYBE("answer"),
      MAYBE("undo_answer")},
     {"caller", "key"},
     false},
    {"fh_caller",
     "fh_caller",
     {TEXT("caller"), TEXT("birth"), NUMBER("closed_through"), TEXT("still_open")},
     {"caller", "birth"},
     false},
    {"fh_caller_newest",
     "fh_caller_newest",
     {{.name = "caller", .in_id = true}, TEXT("incarnation")},
     {"caller"},
     false},
    {"fh_saga",
     "fh_saga",
     {TEXT("birth"), NUMBER("number"), TEXT("name"), TEXT("input"), TEXT("state"), TEXT("status"),
      NUMBER("epoch"), NUMBER("deadline_ms"), NUMBER("updated_ms"), NUMBER("closed"),
      TEXT("start_id"), TEXT("owner")},
     {"birth", "number"},
     false},
    {"fh_saga_step",
     "fh_saga_step",
     {TEXT("birth"), NUMBER("number"), NUMBER("step"), NUMBER("element"), NUMBER("attempt"),
      TEXT("target"), TEXT("request"), TEXT("state"), MAYBE("answer"), MAYBE("receiver"),
      NUMBER("receiver_position")},
     {"birth", "number", "step", "element"},
     false},
    {"fh_timer",
     "fh_timer",
     {TEXT("kind"), NUMBER("due_ms"), TEXT("name"), TEXT("handler"), TEXT("data"), MAYBE("trace"),
      NUMBER("attempts"), TEXT("error")},
     {"kind", "due_ms", "name"},
     false},
};
const int copied_ledger_count = sizeof copied_ledgers / sizeof copied_ledgers[0];

int copied_column_count(const struct copied_ledger *ledger)
{
    int count = 0;
    while (count < COPIED_COLUMNS_MAX && ledger->columns[count].name)
        count++;
    return count;
}

const struct sql_value *copied_value(const struct copied_ledger *ledger,
                                     const struct sql_value *row, const char *name)
{
    int at = 0;
    while (strcmp(ledger->columns[at].name, name) != 0)
        at++;
    return &row[at];
}

enum fh_code copied_id(const struct copied_ledger *ledger,
                       const char *const parts[static COPIED_PARTS_MAX],
                       const struct sql_value *row, char id[static RECORD_ID_SIZE],
                       struct fh_error *error)
{
    struct text text;
    text_init(&text, RECORD_ID_SIZE - 1);
    for (int i = 0; i < COPIED_PARTS_MAX && parts[i]; i++) {
        const struct sql_value *part = copied_value(ledger, row, parts[i]);
        bool is_small = strcmp(parts[i], "step") == 0 || strcmp(parts[i], "element") == 0;
        text_add(&text, i ? RECORD_SEPARATOR : "");
        if (part->kind == SQL_INTEGER)
            text_printf(&text, "%0*" PRId64, is_small ? 9 : 19, part->integer);
        else
            text_append(&text, part->text, part->length);
    }
    enum fh_code code =
        text.overflow ? error_set(error, FH_INVALID,
                                  "A key of %s is too long for the store's ledger.", ledger->table)
                      : FH_OK;
    snprintf(id, RECORD_ID_SIZE, "%s", text.data ? text.data : "");
    text_release(&text);
    return code;
}

/* ---- Copying ---- */

struct ledger_copying {
    const struct copy_options *options;
    const struct copied_ledger *ledger;
    struct digest *digest;
    bool writes;
};

static const struct copied_ops *copied_ops_of(const struct store *store)
{
    return store->engine->copied_ledger;
}

bool copy_knows(const struct store *store)
{
    return copied_ops_of(store) != NULL;
}

static enum fh_code take_ledger_rows(void *context, const struct sql_value *rows, int count,
                                     struct fh_error *error)
{
    struct ledger_copying *copying = context;
    struct store *to = copying->options->to;
    int width = copied_column_count(copying->ledger);
    for (int i = 0; i < count; i++)
        digest_add(copying->digest, &rows[i * width], width);
    enum fh_code code =
        copying->writes ? copied_ops_of(to)->write(to, copying->ledger, rows, count, error) : FH_OK;
    if (code == FH_OK)
        code = copy_passed(copying->options, copying->ledger->collection, count, !copying->writes,
                           error);
    return code;
}

static enum fh_code read_ledger_numbers(struct store *store, int64_t *ret_position,
                                        int64_t *ret_trimmed, char ret_id[ID_SIZE],
                                        struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_position(work, ret_position, error);
    if (code == FH_OK)
        code = ledger_outbox_trimmed(work, ret_trimmed, ret_id, error);
    store_rollback(work);
    return code;
}

static enum fh_code copy_ledger_numbers(const struct copy_options *options, struct fh_error *error)
{
    int64_t position = 0, trimmed = 0;
    char trimmed_id[ID_SIZE];
    enum fh_code code = read_ledger_numbers(options->from, &position, &trimmed, trimmed_id, error);
    return code == FH_OK ? copied_ops_of(options->to)
                               ->number(options->to, position, trimmed, trimmed_id, error)
                         : code;
}

/* What else belongs to the outbox: nobody writes to either store meanwhile. */
static enum fh_code copy_along(const struct copy_options *options, struct fh_error *error)
{
    struct store_work *reading, *writing;
    enum fh_code code = FH_OK;
    if (!options->along)
        return code;
    code = store_begin(options->to, STORE_WRITE_EXCLUSIVE, &writing, error);
    if (code != FH_OK)
        return code;
    code = store_begin(options->from, STORE_READ, &reading, error);
    if (code == FH_OK) {
        code = options->along(options->service, reading, writing, error);
        store_rollback(reading);
    }
    if (code == FH_OK)
        return store_commit(writing, error);
    store_rollback(writing);
    return code;
}

/* ---- what was published ---- */

static const char *const published_tables[] = {"fh_outbox", "fh_place", "fh_subscriber", "fh_saga",
                                               "fh_saga_step"};
static const struct copied_ledger facts = {
    .table = "fh_meta", .columns = {TEXT("name"), TEXT("value")}, .id = {"name"}};

static const struct copied_ledger *copied_ledger_named(const char *name)
{
    int at = 0;
    while (strcmp(copied_ledgers[at].collection, name) != 0)
        at++;
    return &copied_ledgers[at];
}

struct publishing_copy {
    struct store_work *into;
    const struct copied_ledger *ledger;
};

static enum fh_code put_published_rows(void *context, const struct sql_value *rows, int count,
                                       struct fh_error *error)
{
    struct publishing_copy *copy = context;
    return copied_ops_of(copy->into->store)->put(copy->into, copy->ledger, rows, count, error);
}

/* All but those about the store as such. */
static enum fh_code put_facts(void *context, const struct sql_value *rows, int count,
                              struct fh_error *error)
{
    struct store_work *into = context;
    enum fh_code code = FH_OK;
    for (int i = 0; i < count && code == FH_OK; i++) {
        const char *name = rows[2 * i].text;
        if (strcmp(name, "format") != 0 && strcmp(name, LEDGER_UNFINISHED) != 0)
            code = ledger_meta_put(into, name, rows[2 * i + 1].text, error);
    }
    return code;
}

enum fh_code copy_published(struct store *from, struct store_work *into, struct fh_error *error)
{
    int64_t position = 0, trimmed = 0;
    char trimmed_id[ID_SIZE];
    const struct copied_ops *ops = copied_ops_of(into->store);
    enum fh_code code = read_ledger_numbers(from, &position, &trimmed, trimmed_id, error);
    for (size_t i = 0; i < sizeof published_tables / sizeof *published_tables && code == FH_OK;
         i++) {
        struct publishing_copy copy = {into, copied_ledger_named(published_tables[i])};
        code = ops->clear(into, copy.ledger, error);
        if (code == FH_OK)
            code = copied_ops_of(from)->read(from, copy.ledger, put_published_rows, &copy, error);
    }
    if (code == FH_OK)
        code = copied_ops_of(from)->read(from, &facts, put_facts, into, error);
    return code == FH_OK ? ops->put_number(into, position, trimmed, trimmed_id, error) : code;
}

enum fh_code copy_ledger_rows(struct store *store, const char *table, int64_t *ret,
                              struct fh_error *error)
{
    return copied_ops_of(store)->count(store, copied_ledger_named(table), ret, error);
}

/* ---- everything ---- */

enum fh_code copy_differs(const struct copy_options *options, const char *name, int64_t there,
                          int64_t here, struct fh_error *error)
{
    return error_set(error, FH_CONFLICT,
                     "%.64s reads otherwise in %s than before: %lld there, %lld here%s.", name,
                     options->to->engine->name, (long long)there, (long long)here,
                     there == here ? ", not all alike" : "");
}

/* Copies one table, then reads it again. */
static enum fh_code copy_ledger_table(const struct copy_options *options,
                                      const struct copied_ledger *ledger, struct copy_result *ret,
                                      struct fh_error *error)
{
    struct digest source = {0}, target = {0};
    struct ledger_copying over = {options, ledger, &source, true},
                          again = {options, ledger, &target, false};
    enum fh_code code =
        copied_ops_of(options->from)->read(options->from, ledger, take_ledger_rows, &over, error);
    if (code == FH_OK)
        code =
            copied_ops_of(options->to)->read(options->to, ledger, take_ledger_rows, &again, error);
    if (code == FH_OK && !digest_equal(&source, &target))
        code = copy_differs(options, ledger->collection, target.rows, source.rows, error);
    ret->tables++;
    ret->rows += source.rows;
    return code;
}

void copy_ledger_count(const struct copy_options *options)
{
    struct fh_error error;
    struct store *from = options->from;
    for (int i = 0; i < copied_ledger_count; i++) {
        int64_t rows = 0;
        enum fh_code code = copied_ops_of(from)->count(from, &copied_ledgers[i], &rows, &error);
        copy_found(options, rows, code != FH_OK || !from->engine->sql);
    }
}

enum fh_code copy_ledger(const struct copy_options *options, struct copy_result *ret,
                         struct fh_error *error)
{
    FH_ASSERT(copy_knows(options->from) && copy_knows(options->to));
    enum fh_code code = copied_ops_of(options->to)->empty(options->to, error);
    for (int i = 0; i < copied_ledger_count && code == FH_OK; i++)
        code = copy_ledger_table(options, &copied_ledgers[i], ret, error);
    if (code == FH_OK)
        code = copy_ledger_numbers(options, error);
    return code == FH_OK ? copy_along(options, error) : code;
}
