/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_REPORT_H
#define STORE_REPORT_H

/*
 * Reports: questions in SQL that a service has in files, each one statement that only reads. What
 * its :names stand for is said in notes before it:
 *
 *     -- What was sold, by day.
 *     -- freehold: takes from_day text
 *     -- freehold: takes category text or null
 *     SELECT day, sum(cents) AS cents FROM sale
 *     WHERE day >= :from_day AND (:category IS NULL OR category = :category) GROUP BY day
 *
 * What is wrong with one is kept with it, so that one bad file takes nothing but itself away.
 */

#include <jansson.h>

#include "store/relational/relational.h"

#define REPORTS_MAX 256
#define REPORT_NAME_LENGTH_MAX 64
#define REPORT_ROWS_MAX 100000
#define REPORT_SIZE_MAX (8 << 20) /* of an answer, about as it is as JSON; and of one value */
#define REPORT_MS_MAX 60000       /* for one that an operator asks for */

enum report_type { REPORT_TEXT, REPORT_INTEGER, REPORT_NUMBER, REPORT_BOOLEAN };

struct report {
    char name[REPORT_NAME_LENGTH_MAX + 1];
    char file[REPORT_NAME_LENGTH_MAX + 40]; /* in its folder: "sqlite/sales_by_day.sql" */
    char *summary;                          /* the first line of its comments; NULL: none */
    struct relational_reading reading;      /* ... its names are what it takes */
    enum report_type types[RELATIONAL_NAMES_MAX];
    bool optional[RELATIONAL_NAMES_MAX]; /* null where it is not given */
    char why[200];                       /* it can't be run; "": it can */
    int line;                            /* of what is wrong, or of the statement's first word */
};

struct reports {
    struct report *rows; /* in the order of their names */
    int count;
};

/* From a file's text; `name` and `file` are set already. False: `why` and `line` say what is
 * wrong. */
bool report_read(struct report *report, const char *text, const struct sql_ops *sql);
void report_release(struct report *report);
const struct report *reports_find(const struct reports *all, const char *name); /* NULL: none */

bool report_is_utf8(const char *text);

/* "text", "integer", "number", "boolean" */
const char *report_type_name(enum report_type type);

/* Values for its names, each from the first of `objects` that has it; they are borrowed. Numbers
 * and booleans may be texts. FH_UNSUPPORTED: one is missing, or of another type. */
enum fh_code report_bind(const struct report *report, json_t *const *objects, int count,
                         struct sql_value values[static RELATIONAL_NAMES_MAX],
                         struct fh_error *error);

/* How rows are answered. */
enum report_form {
    REPORT_OBJECTS, /* [{"day": "...", "cents": 7}] */
    REPORT_TABLE    /* {"columns": ["day", "cents"], "rows": [["...", 7]]} */
};
/* In a unit of work that only reads, on a fiber: sql_ask. *ret: a new reference. FH_INVALID with
 * the field "rows": it finds more than an answer has. FH_UNSUPPORTED: it can't be run, or finds
 * what no answer can have. */
enum fh_code report_run(struct store_work *work, const struct report *report,
                        const struct sql_value *values, enum report_form form, json_t **ret,
                        struct fh_error *error);
/* FH_UNSUPPORTED: two of a statement's columns have one name, or one has none that is UTF-8. */
enum fh_code report_columns_check(const char *const *names, int count, struct fh_error *error);

#endif
