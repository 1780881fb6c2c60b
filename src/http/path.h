/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_PATH_H
#define HTTP_PATH_H

/*
 * Paths. Patterns ("/api/users/{id:int}") match raw request paths segment by segment, and each
 * segment is decoded after it was split off, so that %2F never becomes a separator. Templates
 * ("/api/users/{user_id}?q={name}") are filled from JSON, percent-encoding what they insert.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

/* True when `path` fits; *ret_values (may be NULL) is then a new object of what the names took: a
 * string, or an integer for ":int" (a segment that is no integer of at most 18 digits does not
 * fit; neither does one with needless zeros or a '+', so that one number has one path). A
 * malformed escape, %00, invalid UTF-8, an empty segment, "." or ".." fits no name. */
bool path_match(const char *pattern, const char *path, json_t **ret_values);
/* How many segments of `pattern` are literal: the pattern with more wins where two fit. */
int path_literals(const char *pattern);

/* FH_INVALID says what is wrong with a pattern, before it silently fits nothing. */
enum fh_code path_check(const char *pattern, struct fh_error *error);

/* Parses "a=1&b=x%20y" ('+' is a space) into an object of strings. FH_INVALID names what is
 * wrong: a malformed escape, %00, invalid UTF-8, a name given twice, more than 64 names. */
enum fh_code path_query(const char *query, json_t **ret, struct fh_error *error);

/* Fills a template from `objects` (count of them), looked up in order; a name may be a path
 * ("user.id"). A string, integer, boolean, or an array of such (joined with commas) can be
 * inserted. FH_INVALID names what was missing or unfit: what path_match and path_query would not
 * give back as it was (NUL; commas in a list; an empty segment, "." or ".."). *ret is from the
 * arena. */
enum fh_code path_fill(struct arena *arena, const char *template, json_t *const *objects, int count,
                       const char **ret, struct fh_error *error);

#endif
