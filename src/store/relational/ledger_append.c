/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger in PostgreSQL: what many works of one transaction publish goes into the outbox by one
 * statement, in the order of the works, behind one that takes the locks of all their keys. They are
 * taken in the order in which a single work takes its own (ledger.c), so that nobody waits in a
 * circle.
 */

#include <inttypes.h>
#include <string.h>

#include <stdio.h>

#include "base/text.h"
#include "store/relational/ledger.h"
#include "store/relational/ledger_schema.h"
#include "store/relational/ledger_sql.h"

#define COLUMNS 7
#define ARRAY_SIZE_MAX (TEXT_LENGTH_MAX * 2)

/* One more element of an array; NULL is NULL. */
static void add(struct text *array, const char *value)
{
    text_append(array, array->length ? "," : "{", 1);
    if (!value) {
        text_append(array, "NULL", 4);
        return;
    }
    text_append(array, "\"", 1);
    for (const char *at = value;;) {
        size_t length = strcspn(at, "\"\\");
        text_append(array, at, length);
        at += length;
        if (!*at)
            break;
        text_append(array, "\\", 1);
        text_append(array, at++, 1);
    }
    text_append(array, "\"", 1);
}

static void add_integer(struct text *array, int64_t value)
{
    text_printf(array, "%c%" PRId64, array->length ? ',' : '{', value);
}

static void add_event(struct text arrays[COLUMNS], const struct ledger_event *event)
{
    add(&arrays[0], event->id);
    add(&arrays[1], event->type);
    add_integer(&arrays[2], event->version);
    add(&arrays[3], event->key);
    add_integer(&arrays[4], event->time_ms);
    add(&arrays[5], event->data);
    add(&arrays[6], event->trace);
}

static enum fh_code run(struct store_work *work, enum ledger_statement statement,
                        struct text *arrays, int count, struct fh_error *error)
{
    struct sql_value values[COLUMNS];
    for (int i = 0; i < count; i++) {
        text_append(&arrays[i], "}", 1);
        if (arrays[i].overflow)
            return error_set(error, FH_CONFLICT, "The works of one transaction tell too much.");
        values[i] = (struct sql_value){
            .kind = SQL_TEXT, .text = arrays[i].data, .length = arrays[i].length};
    }
    return ledger_do(work, ledger_sql(work, statement), values, count, NULL, error);
}

enum fh_code ledger_append_all(struct store_work *work, struct ledger_event *const *lists,
                               int count, struct fh_error *error)
{
    bool locked[LEDGER_KEY_LOCKS] = {false};
    struct text stripes, arrays[COLUMNS];
    text_init(&stripes, ARRAY_SIZE_MAX);
    for (int i = 0; i < COLUMNS; i++)
        text_init(&arrays[i], ARRAY_SIZE_MAX);
    for (int i = 0; i < count; i++) {
        for (struct ledger_event *event = lists[i]; event; event = event->next) {
            event->position = event->previous = 0;
            locked[ledger_key_lock(event->key)] = true;
            add_event(arrays, event);
        }
    }
    enum fh_code code = FH_OK;
    for (int i = 0; i < LEDGER_KEY_LOCKS; i++) {
        if (locked[i])
            add_integer(&stripes, i);
    }
    if (stripes.length)
        code = run(work, LEDGER_KEY_LOCKS_ALL, &stripes, 1, error);
    if (stripes.length && code == FH_OK)
        code = run(work, LEDGER_OUTBOX_APPEND_ALL, arrays, COLUMNS, error);
    text_release(&stripes);
    for (int i = 0; i < COLUMNS; i++)
        text_release(&arrays[i]);
    return code;
}
