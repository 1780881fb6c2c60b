/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_LEDGER_H
#define STORE_RELATIONAL_LEDGER_H

/* What the files of the relational ledger share. */

#include "store/ledger.h"
#include "store/relational/sql.h"

/* ledger_position is implemented by sql_ledger_position, and so on. */
#define LEDGER_IMPLEMENTED(name) __typeof__(ledger_##name) sql_ledger_##name;
LEDGER_FUNCTIONS(LEDGER_IMPLEMENTED)
LEDGER_IMPLEMENTED(caller_look)
LEDGER_IMPLEMENTED(derived_touch)
#undef LEDGER_IMPLEMENTED
extern const struct ledger_ops ledger_relational;

#define LEDGER_COUNT(values) ((int)(sizeof(values) / sizeof((values)[0])))

/* Rows that many units of work look up close to each other are looked up in a separate statement
 * outside the unit of work, where that is correct: see conflicts_by_page. */
static inline bool ledger_looks_beside(const struct store_work *work)
{
    return work->store->engine->sql->conflicts_by_page &&
           store_isolation(work->mode) == STORE_SERIALIZABLE;
}

extern const struct ledger_snapshot_ops ledger_relational_snapshots;

/* Runs a statement that returns no rows. */
static inline enum fh_code ledger_do(struct store_work *work, const char *sql,
                                     const struct sql_value *values, int count,
                                     int64_t *ret_changes, struct fh_error *error)
{
    return sql_run(work, sql, values, count, NULL, NULL, ret_changes, error);
}
/* The first column of the first row as an integer; FH_NOT_FOUND if there is no row. */
enum fh_code ledger_integer(struct store_work *work, const char *sql,
                            const struct sql_value *values, int count, int64_t *ret,
                            struct fh_error *error);
/* The first column as text into a buffer, "" for NULL; FH_NOT_FOUND (and "") if there is no row. */
enum fh_code ledger_text(struct store_work *work, const char *sql, const struct sql_value *values,
                         int count, char *ret, size_t size, struct fh_error *error);
/* Adds an outbox row to which the sequencer will give a position; takes no locks. */
enum fh_code ledger_append_unnumbered(struct store_work *work, const struct ledger_event *event,
                                      struct fh_error *error);
/* Appends a unit of work's events, as its last statements. */
enum fh_code ledger_append(struct store_work *work, struct ledger_event *events,
                           struct fh_error *error);
/* The position of the last event, from the counter's row. */
enum fh_code ledger_position_read(struct store_work *work, int64_t *ret, struct fh_error *error);
/* The parameters of LEDGER_COMMAND_PUT. */
#define LEDGER_COMMAND_VALUES 11
void ledger_command_values(const struct ledger_command *command,
                           struct sql_value ret[static LEDGER_COMMAND_VALUES]);
/* FNV-1a, of what `hash` is of and the text behind it: the same in every process and every build.
 */
#define LEDGER_HASH_OF_NOTHING UINT32_C(2166136261)
uint32_t ledger_hash(uint32_t hash, const char *text);
/* Which of the LEDGER_KEY_LOCKS belongs to the key. */
unsigned ledger_key_lock(const char *key);
/* The text of a column that is never NULL, unless the store is damaged, or its server another one
 * than it was: then "". */
static inline const char *ledger_word(const struct sql_value *value)
{
    return value->kind == SQL_TEXT && value->text ? value->text : "";
}
/* A column's text, on the arena; NULL for SQL's NULL. */
const char *ledger_copy(struct arena *arena, const struct sql_value *value);

#endif
