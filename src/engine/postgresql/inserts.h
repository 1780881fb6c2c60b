/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_INSERTS_H
#define ENGINE_POSTGRESQL_INSERTS_H

/* Rows that several units of work of one transaction insert, written by one statement: inserts.c
 * says when. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "store/relational/sql.h"

struct postgresql_call;
struct postgresql_parameters;
struct postgresql_statement;
struct postgresql_work;
struct text;

/* Where a statement's text has what is needed; `table_length` 0: its rows can't be joined. */
struct postgresql_insert {
    size_t table, table_length; /* the name as it is written there */
    size_t row, row_length;     /* "(?1, ?2)" */
};

/* Of a unit of work. */
struct postgresql_inserts {
    bool over;                    /* until its end each statement goes out by itself */
    bool asked, plain;            /* the table was locked and looked at; it was found plain */
    struct postgresql_call *look; /* ... the answer, not taken yet */
    struct postgresql_statement *statement; /* of the rows that wait */
    /* Sends these; NULL: there are none. */
    enum fh_code (*send)(struct postgresql_work *work, struct fh_error *error);
    struct postgresql_parameters *waiting; /* their values, one row after the other */
    size_t bytes;
    int joined; /* rows that were sent with others */
};

/* Whether the text is an INSERT of one row of parameters and constants, without anything else. */
void postgresql_insert_read(const char *text, struct postgresql_insert *ret);

/* Adds the row once more, its parameters counted from `before`. */
void postgresql_insert_add(struct text *sql, const char *text,
                           const struct postgresql_insert *insert, int before);

/* Before anything else is sent: BEGIN, and what has to come before all that reads. */
enum fh_code postgresql_inserts_begin(struct postgresql_work *work, struct fh_error *error);
/* Runs a statement, or has its row wait for others. */
enum fh_code postgresql_inserts_run(struct postgresql_work *work,
                                    struct postgresql_statement *statement,
                                    const struct sql_value *values, int count, sql_visit *visit,
                                    void *context, int64_t *ret_changes, struct fh_error *error);
/* Sends the rows that wait. */
enum fh_code postgresql_inserts_send(struct postgresql_work *work, struct fh_error *error);
/* The unit of work ends, well or not. */
void postgresql_inserts_end(struct postgresql_work *work, bool good);

#endif
