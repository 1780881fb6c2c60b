/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_SCRIPT_H
#define STORE_SCRIPT_H

/*
 * Splits an SQL file into its statements, each with its number and line, so that errors can name
 * them. It knows what may hide a semicolon (quotes, comments, PostgreSQL's dollar quotes, the body
 * of a trigger) and nothing else of SQL.
 */

#include <stdbool.h>
#include <stddef.h>

#include "store/relational/sql.h"

#define SCRIPT_WORD_SIZE 24 /* longer words are cut: no keyword is that long */

struct script_statement {
    const char *text; /* from its first word to its last, without the semicolon */
    size_t length;
    size_t start; /* offset in the script where the previous one ended: comments come first */
    size_t end;
    int number, line; /* from 1; line: that of its first word */
};

struct script {
    const char *text;
    const struct sql_dialect *dialect;
    size_t at;
    int number, line;
};

/* `text` is borrowed for as long as the script and its statements are used. */
struct script script_begin(const char *text, const struct sql_dialect *dialect);
/* The next statement that is not empty; false: there is no more. */
bool script_next(struct script *script, struct script_statement *ret);

/* The n-th word from 0, in capitals; "" if there are fewer. Quoted names are not words. */
void script_word(const struct script_statement *statement, const struct sql_dialect *dialect, int n,
                 char ret[SCRIPT_WORD_SIZE]);
/* Whether a word (in capitals) occurs outside quotes and comments. */
bool script_has_word(const struct script_statement *statement, const struct sql_dialect *dialect,
                     const char *word);
/* The next note from *at to `end`, which is what Freehold reads in a comment, "-- freehold: NOTE"
 * on a line of its own: its text after the colon, without the spaces around it. */
bool script_note(const char **at, const char *end, const char **ret, size_t *ret_length);
/* A statement of another dialect as PostgreSQL's parser can read it: with its quotes around names,
 * without the words for counting columns. malloc'ed. */
char *script_as_postgresql(const struct script_statement *statement,
                           const struct sql_dialect *dialect);

#endif
