/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_SHOW_H
#define SAGA_SHOW_H

/* Sagas as operators read them: from their rows alone, whatever this process has in memory. */

#include <jansson.h>

#include "base/error.h"
#include "base/id.h"
#include "work/work.h"

#define SAGA_LIST_MAX 1000

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

/* What an operator names: either of these, or the number alone, which is of the present
 * incarnation. FH_INVALID, FH_NOT_FOUND. */
enum fh_code saga_id_of_operator(struct work_context *context, const char *text,
                                 struct saga_id *ret, struct fh_error *error);

/* Sagas that are not over, or only those of one status: {"sagas": [{"id", "name", "status", "step",
 * "why", "updated_ms"}], "more"}. On a fiber. New reference. */
enum fh_code saga_list(struct work_context *context, const char *status, json_t **ret,
                       struct fh_error *error);
/* One saga: the same with "input", "trace" (a traceparent, if there is one), "deadline_ms" and
 * "steps": [{"step", "element", "target", "state", "attempt", "request", "answer"}]. "why" says in
 * one sentence why it is where it is. FH_NOT_FOUND. New reference. */
enum fh_code saga_show(struct work_context *context, const struct saga_id *id, json_t **ret,
                       struct fh_error *error);
/* needed.c: {"definitions": [{"name", "version", "digest", "sagas": how many that are not over
 * began with it}]}, of this program's own. On a fiber. New reference. */
enum fh_code saga_needed(struct work_context *context, json_t **ret, struct fh_error *error);

#endif
