/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_SHOW_H
#define SAGA_SHOW_H

/* Sagas as operators read them: from their rows alone, whatever this process has in memory. */

#include <jansson.h>

#include "base/error.h"
#include "base/id.h"
#include "work/work.h"

#define SAGA_LIST_MAX 1000
#define SAGA_OVER_MAX 100    /* of those that are over, in one list */
#define SAGA_LOOKED_MAX 5000 /* looked at for one list, to find one by its input */

struct saga_id {
    char birth[ID_SIZE];
    int64_t number;         /* 0: not known */
    char start_id[ID_SIZE]; /* of its start event, if that was given instead of a number */
};

/* "BIRTH.NUMBER" or "BIRTH.~START", as in the Freehold-Saga header. FH_INVALID: anything else, or
 * NULL. */
enum fh_code saga_id_parse(const char *text, struct saga_id *ret, struct fh_error *error);
/* Finds the number if only the start is known. FH_NOT_FOUND: there is none, or not yet. */
enum fh_code saga_id_resolve(struct work_context *context, struct saga_id *id,
                             struct fh_error *error);

/* What an operator names: either of these; or the number alone, which is of the present
 * incarnation; or NAME=VALUE, as saga_find_with. FH_INVALID, FH_NOT_FOUND. */
enum fh_code saga_id_of_operator(struct work_context *context, const char *text,
                                 struct saga_id *ret, struct fh_error *error);

struct saga_search {
    const char *status; /* only these of those that are not over; NULL: all of them */
    bool over;          /* instead, those that are over */
    const char *with;   /* "NAME=VALUE": only those whose input has that; NULL: all */
};
/* Sagas that are not over, or the newest SAGA_OVER_MAX of those that are: {"sagas": [{"id", "name",
 * "status", "step", "why", "begun_ms", "ended_ms", "updated_ms"}], "more"}. A time that is not
 * known is not there. FH_INVALID: the search makes no sense. On a fiber. New reference. */
enum fh_code saga_list(struct work_context *context, const struct saga_search *search, json_t **ret,
                       struct fh_error *error);
/* The id of one whose input has that: one that is not over, or else the newest that is.
 * FH_NOT_FOUND. */
enum fh_code saga_find_with(struct work_context *context, const char *with, struct saga_id *ret,
                            struct fh_error *error);
/* One saga: the same with "input", "trace" (a traceparent, if there is one), "deadline_ms" and
 * "steps": [{"step", "element", "target", "state", "attempt", "request", "answer", "begun_ms",
 * "settled_ms", "undone_ms"}], the times being the whole step's, as far as they are known. "why"
 * says in one sentence why it is where it is. FH_NOT_FOUND. New reference. */
enum fh_code saga_show(struct work_context *context, const struct saga_id *id, json_t **ret,
                       struct fh_error *error);
/* For list.c. */
struct saga_type;
struct saga_under_way;
struct ledger_saga;
bool saga_is_over(const char *status);
/* One saga's object. `shown`, which may be NULL, says of what, and its `steps` gets the steps. */
enum fh_code saga_describe(struct store_work *work, const struct ledger_saga *row,
                           const struct saga_under_way *shown, json_t **ret,
                           struct fh_error *error);
/* The definition that it began with, or this program's newest. */
const struct saga_type *saga_shown_type(const struct work_context *context, const char *name,
                                        const json_t *state);
/* needed.c: {"definitions": [{"name", "version", "digest", "sagas": how many that are not over
 * began with it}]}, of this program's own. On a fiber. New reference. */
enum fh_code saga_needed(struct work_context *context, json_t **ret, struct fh_error *error);

#endif
