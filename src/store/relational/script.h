/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_SCRIPT_H
#define STORE_SCRIPT_H

/*
 * A file of SQL as its statements, each with its number and its line: so that whoever runs or
 * judges one can say which. Knows what may hide a semicolon (quotes, comments, PostgreSQL's dollar
 * quotes, the body of a trigger) and nothing else of SQL.
 */

#include <stdbool.h>
#include <stddef.h>

#include "store/relational/sql.h"

#define SCRIPT_WORD_SIZE 24 /* longer words are cut: no keyword is */

struct script_statement {
    const char *text; /* from its first word to its last, without the semicolon */
    size_t length;
    size_t start; /* where in the script the one before ended: comments come first */
    size_t end;
    int number, line; /* from 1; line: of its first word */
};

struct script {
    const char *text;
    const struct sql_dialect *dialect;
    size_t at;
    int number, line;
};

/* `text` is borrowed as long as the script and its statements are used. */
struct script script_begin(const char *text, const struct sql_dialect *dialect);
/* The next statement that is not empty; false: there is none. */
bool script_next(struct script *script, struct script_statement *ret);

/* The n-th word from 0, in capitals; "" when there are not as many. Quoted names are no words. */
void script_word(const struct script_statement *statement, const struct sql_dialect *dialect, int n,
                 char ret[SCRIPT_WORD_SIZE]);
/* Whether a word (in capitals) stands anywhere outside quotes and comments. */
bool script_has_word(const struct script_statement *statement, const struct sql_dialect *dialect,
                     const char *word);
/* What PostgreSQL's parser may read of a statement of another dialect: names in its quotes, without
 * the words for counting columns. malloc'ed. */
char *script_as_postgresql(const struct script_statement *statement,
                           const struct sql_dialect *dialect);

#endif
