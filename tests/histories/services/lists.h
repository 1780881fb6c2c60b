/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LISTS_H
#define LISTS_H

/*
 * Lists that only grow, each under a number: all that the services of the histories keep, on each
 * kind of store. Nothing here prevents that a value is there twice or in the wrong place: that is
 * the runtime's promise, and the checker's question.
 */

#include <freehold.h>

/* Returns the value's place, from 1 on. One statement, where there are statements. */
json_int_t lists_append(fh_work *w, json_int_t list, const char *value);
/* An array of texts, empty where there is none. */
json_t *lists_values(fh_work *w, json_int_t list);
/* The list is `values` from now on, whatever it was; empty: there is none. */
void lists_put(fh_work *w, json_int_t list, json_t *values);
/* [{"list", "number", "value", "values"}] of the lists after `after` and below `below`, in their
 * order, at most `limit`; number and value are those of the last entry. */
json_t *lists_page(fh_work *w, json_int_t after, json_int_t below, json_int_t limit);

/* What each of the services does the same way, of a list that its path or query names. */
void lists_get(fh_work *w);
void lists_get_page(fh_work *w);
json_int_t lists_number(const json_t *object, const char *name);

extern const fh_field lists_page_shape[], lists_entry_shape[];

#define LISTS_BELOW INT64_C(4000000000) /* all of them */
#define LISTS_QUIET INT64_C(2000000000) /* those from here on are not published */

#if defined LISTS_RELATIONAL
#define LISTS_MODEL .model = FH_RELATIONAL
#elif defined LISTS_DOCUMENT
#define LISTS_MODEL .model = FH_DOCUMENT, .collections = {{"lists", {"list"}}}
#else
#define LISTS_MODEL .model = FH_KEY_VALUE
#endif

#endif
