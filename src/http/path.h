/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_PATH_H
#define HTTP_PATH_H

/*
 * Paths. Patterns ("/api/users/{id:int}") match raw request paths segment by segment; a segment is
 * decoded only after splitting, so %2F never becomes a separator. Templates
 * ("/api/users/{user_id}?q={name}") are filled from JSON; inserted values are percent-encoded.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

/* True if `path` fits. Then *ret_values (unless NULL) is a new object with the value of each name:
 * a string, or an integer for ":int". For ":int" a segment must be an integer of at most 18 digits,
 * without leading zeros or '+', so that one number has one path. A malformed escape, %00, invalid
 * UTF-8, an empty segment, "." or ".." fits no name. */
bool path_match(const char *pattern, const char *path, json_t **ret_values);
/* The number of literal segments in `pattern`: if two patterns fit, the one with more wins. */
int path_literals(const char *pattern);

/* FH_INVALID tells what is wrong with a pattern that would otherwise silently fit nothing. */
enum fh_code path_check(const char *pattern, struct fh_error *error);

/* Parses "a=1&b=x%20y" ('+' is a space) into an object of strings. FH_INVALID tells what is wrong:
 * a malformed escape, %00, invalid UTF-8, a repeated name, more than 64 names. */
enum fh_code path_query(const char *query, json_t **ret, struct fh_error *error);

/* Fills a template with values from `count` objects, searched in order; a name may be a path
 * ("user.id"). A value may be a string, an integer, a boolean, or an array of these (joined with
 * commas). FH_INVALID tells what is wrong with the template, or which value is missing or of
 * another type; FH_NOT_FOUND, which one no path can have, since it would not come back unchanged
 * from path_match and path_query (NUL; commas in a list; an empty segment, "." or ".."; too much).
 * *ret is allocated in the arena. */
enum fh_code path_fill(struct arena *arena, const char *pattern, json_t *const *objects, int count,
                       const char **ret, struct fh_error *error);

#endif
