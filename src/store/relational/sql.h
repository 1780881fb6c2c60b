/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_SQL_H
#define STORE_SQL_H

/*
 * Running SQL inside a unit of work: the base of the relational model, the ledger and models built
 * on a relational engine. Each text is prepared once and kept. Parameters are ?1, ?2, each used
 * once or more; engines with another syntax rewrite the text.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/relational/dialect.h"
#include "store/store.h"

/* Of a row, and values for one statement: engines take no more. */
#define SQL_VALUES_MAX 256
#define SQL_VALUES_MIN 32 /* more than any statement of the ledger returns */

enum sql_kind { SQL_NULL, SQL_INTEGER, SQL_REAL, SQL_TEXT, SQL_BLOB };

struct ledger_command;
struct ledger_event;
struct sql_trial_ops;

struct sql_value {
    enum sql_kind kind;
    int64_t integer;
    double real;
    const char *text; /* also a blob's bytes; ends in NUL when received, need not when given */
    size_t length;
};

struct sql_row {
    int count;
    const char *const *names;
    const char *const *types; /* as declared ("BOOLEAN"), or NULL for an expression */
    /* SQL_VALUES_MIN at least: a server that was taken over may leave out columns that were asked
     * for, which are NULL then. */
    const struct sql_value *values;
};

/* Called for each row; what it points to is valid until it returns. False stops the statement. */
typedef bool sql_visit(void *context, const struct sql_row *row);

/* What sql_ask runs; `context` is the caller's. What it makes of values may lie on the caller's
 * arena for JSON, which is set. */
typedef enum fh_code sql_question(struct store_work *work, void *context, struct fh_error *error);

/* Who takes what a report's statement finds. False, of either, stops the statement. */
struct sql_taker {
    bool (*columns)(void *context, const char *const *names, int count); /* once, before any row */
    sql_visit *row;
    void *context;
    int value_size_max; /* of a text or blob, and of a row of a table */
};

/* A report's statement, and what came of trying it. */
struct sql_report_trial {
    const char *sql;
    int count; /* of its parameters */
    int line;  /* of `sql`, from 1, in which the error is; 0: it is not known */
    struct fh_error error;
};

struct sql_ops {
    const struct sql_dialect *dialect;
    /* How "IN (:ids)" is written, with the number of the parameter, which is bound to a JSON
     * array. */
    const char *list_format;
    /* visit may be NULL; ret_changes may be NULL. A violated constraint is FH_CONFLICT (not
     * retryable) with error->field; a missing value (NOT NULL) FH_INVALID with the field; wrong SQL
     * FH_UNSUPPORTED; a group that broke, a deadlock or a serialization failure FH_CONFLICT,
     * retryable. A statement whose rows and changes nobody wants (both NULL) may be sent later,
     * together with the next one or the commit, which then report its error. On some engines a
     * failed statement ends the transaction: then everything that follows in the unit of work fails
     * with the same error, and only the rollback is left. */
    enum fh_code (*run)(struct store_work *work, const char *sql, const struct sql_value *values,
                        int count, sql_visit *visit, void *context, int64_t *ret_changes,
                        struct fh_error *error);
    /* One statement or several at once, no parameters and no rows: migrations. */
    enum fh_code (*script)(struct store_work *work, const char *sql, struct fh_error *error);
    /* Called first in a STORE_READ unit of work: allows it to be idle between two statements while
     * another store takes the rows. NULL: it always may be. */
    enum fh_code (*patient)(struct store_work *work, struct fh_error *error);
    /* For a statement that refuses to run in a transaction (CREATE INDEX CONCURRENTLY), in an open
     * STORE_MIGRATE unit of work: commits its changes so far, runs the statement, and continues in
     * a new transaction with the same lock. NULL: the engine has no such statements. */
    enum fh_code (*outside)(struct store_work *work, const char *sql, struct fh_error *error);
    /* Replaces ledger_append (ledger.h). NULL: nothing does. */
    enum fh_code (*append)(struct store_work *work, struct ledger_event *events,
                           struct fh_error *error);
    /* What the counter is for the unit of work, without reading its row where that is known. NULL:
     * the row is read. */
    enum fh_code (*position)(struct store_work *work, int64_t *ret, struct fh_error *error);
    /* Keeps the record of a command for the commit to write. False: it is to be written now. NULL:
     * every one is. */
    bool (*keep_command)(struct store_work *work, const struct ledger_command *command);
    /* Like run, for the statement that looks for the record of a command, whose caller and key are
     * its first values. NULL: run does it. */
    enum fh_code (*look_for_command)(struct store_work *work, const char *sql,
                                     const struct sql_value *values, int count, sql_visit *visit,
                                     void *context, struct fh_error *error);
    /* See sql_ask. NULL: a statement that takes long keeps nobody else waiting. */
    enum fh_code (*ask)(struct store_work *work, sql_question *question, void *context,
                        struct fh_error *error);
    /* Runs a report's statement, in a question (sql_ask). It reads what the service itself keeps,
     * and does nothing else, whatever it says: FH_UNSUPPORTED tells what it would do. FH_INVALID:
     * it meets a larger value than the taker takes. NULL: the engine runs no reports. */
    enum fh_code (*report)(struct store_work *work, const char *sql, const struct sql_value *values,
                           int count, const struct sql_taker *taker, struct fh_error *error);
    /* Pure: what can be said of a report's statement without a store; FH_UNSUPPORTED tells what it
     * would do. NULL: nothing. */
    enum fh_code (*report_fits)(const char *sql, struct fh_error *error);
    /* Where reports are run with rights of their own: gives these, once migrations are done, and
     * whenever a process that has reports starts. NULL: there are none. */
    enum fh_code (*report_rights)(struct store *store, struct fh_error *error);
    /* After that: whether each could be run, which `error` of it says. FH_UNAVAILABLE: nothing is
     * known of the others. NULL: a trial says it (trial.h). */
    enum fh_code (*report_try)(struct store *store, struct sql_report_trial *trials, int count,
                               struct fh_error *error);
    /* Of an engine that notifies (ENGINE_NOTIFIES): see store_notify_others. */
    enum fh_code (*notify_others)(struct store *store, struct fh_error *error);
    /* A serializable unit of work records its reads by index pages, and conflicts with all others
     * that write to those pages. */
    bool conflicts_by_page;
    /* An empty store in memory, for trying SQL: trial.h. NULL: there is none. */
    const struct sql_trial_ops *trial;
    /* Statements that change the schema commit everything before them, and themselves. */
    bool schema_commits;
};

static inline const struct sql_dialect *sql_dialect_of(const struct store *store)
{
    return store->engine->sql->dialect;
}

static inline enum fh_code sql_patient(struct store_work *work, struct fh_error *error)
{
    const struct sql_ops *sql = work->store->engine->sql;
    return sql->patient ? sql->patient(work, error) : FH_OK;
}

static inline enum fh_code sql_run(struct store_work *work, const char *sql,
                                   const struct sql_value *values, int count, sql_visit *visit,
                                   void *context, int64_t *ret_changes, struct fh_error *error)
{
    return work->store->engine->sql->run(work, sql, values, count, visit, context, ret_changes,
                                         error);
}

/*
 * Runs what may take long, statements that read and what is made of their rows, without keeping the
 * loop from others: in an engine that lives in this process off the loop, while this fiber waits.
 * So `question` uses nothing but `work`, by sql_run, and what `context` points to, which nobody
 * else may touch meanwhile; it neither parks nor ends the handler. `work` only reads
 * (FH_UNSUPPORTED), and is in the same snapshot before, within and after. Ask before anything is
 * read in it where that may be chosen: then nothing of the store is held while the question waits
 * for its turn.
 *
 * What `question` returned; or, whatever it returned and made, FH_UNAVAILABLE with store_is_busy:
 * the unit of work's deadline has passed, or too many questions wait already. After any failure the
 * unit of work can be used on. On a fiber.
 */
static inline enum fh_code sql_ask(struct store_work *work, sql_question *question, void *context,
                                   struct fh_error *error)
{
    const struct sql_ops *sql = work->store->engine->sql;
    return sql->ask ? sql->ask(work, question, context, error) : question(work, context, error);
}

/* For engines whose server says how many columns there are. */
static inline void sql_values_fill(struct sql_value values[static SQL_VALUES_MAX], int count)
{
    for (int i = count; i < SQL_VALUES_MIN; i++)
        values[i] = (struct sql_value){.kind = SQL_NULL};
}

static inline struct sql_value sql_integer(int64_t integer)
{
    return (struct sql_value){.kind = SQL_INTEGER, .integer = integer};
}
/* A NULL pointer becomes SQL's NULL. */
static inline struct sql_value sql_text(const char *text)
{
    if (!text)
        return (struct sql_value){.kind = SQL_NULL};
    return (struct sql_value){.kind = SQL_TEXT, .text = text, .length = strlen(text)};
}

#endif
