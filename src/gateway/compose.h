/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_COMPOSE_H
#define GATEWAY_COMPOSE_H

/*
 * Composed answers: one GET at the gateway, assembled from parts that public routes of services
 * provide. docs/guide/gateway.md describes the declaration and the path language. This is the pure
 * half: what is declared, what refers to what, which ids are wanted, how rows are merged.
 * compose_run.h fetches.
 *
 * A path is NAME{.FIELD|[]}: NAME is a part, "[]" visits all elements of an array, and all results
 * form one flat list.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

#define COMPOSE_PARTS_MAX 32
#define COMPOSE_IDS_MAX 2000     /* distinct ids of one part */
#define COMPOSE_IDS_PER_CALL 100 /* with more, there are several calls in parallel */
#define COMPOSE_CALLS_MAX (COMPOSE_IDS_MAX / COMPOSE_IDS_PER_CALL)
#define COMPOSE_DEADLINE_MS 10000
#define COMPOSE_OPTIONAL_TIMEOUT_MS 2000

#define COMPOSE_NAME_LENGTH_MAX 200

struct upstream;

struct compose_part {
    const char *name;
    const char *service;
    const char *target; /* a template of path and query: "/api/users/{order.user_id}" */
    const char *ids;    /* the path of the ids that fill {ids}; NULL: one plain call */
    bool required;
    bool query;                /* the client's own query is passed on to this part */
    int timeout_ms;            /* only for optional parts; required ones have the whole deadline */
    uint32_t depends;          /* bit i: needs part i first */
    struct upstream *upstream; /* of the service; set by the gateway */
};

struct compose {
    const char *pattern;
    int deadline_ms;
    int part_count;
    struct compose_part parts[COMPOSE_PARTS_MAX];
    struct arena arena; /* for all strings above */
};

/* FH_INVALID: a sentence says what is wrong where. */
enum fh_code compose_parse(const json_t *declared, struct compose **ret, struct fh_error *error);
void compose_free(struct compose *compose);

/* The parts that can be started: not in `started`, and all they depend on are in `finished`. */
uint32_t compose_startable(const struct compose *compose, uint32_t started, uint32_t finished);

/* The path language and templates (compose_rows.c). */
bool compose_path_is_valid(const char *path);
size_t compose_path_head(const char *path); /* the length of NAME */
/* Returns the position after the next {name}, or NULL if there is none. *ret_valid is false if it
 * has no '}', or is empty or too long. */
const char *compose_template_name(const char *pattern,
                                  char name[static COMPOSE_NAME_LENGTH_MAX + 1], bool *ret_valid);

/* Whether a value that the template needs is null or absent, so there is nothing to ask for. */
bool compose_refers_to_nothing(const struct compose_part *part, const json_t *values);

/* The distinct ids at `path`, in order of first appearance: a new array of strings and integers,
 * without nulls. *ret is NULL with FH_OK if a value on the path is null or absent. FH_INVALID: an
 * id of another type, or more than COMPOSE_IDS_MAX. */
enum fh_code compose_ids(const json_t *values, const char *path, json_t **ret,
                         struct fh_error *error);

/* The rows of several answers (arrays of objects with an `id`), in the order of `ids`, without ids
 * that no answer contains. FH_INVALID: an answer is not such an array. New reference. */
enum fh_code compose_merge(const json_t *ids, json_t *const *answers, int count, json_t **ret,
                           struct fh_error *error);

/* Whether a part's path (without its query) fits a route's pattern. A segment with a {name} fits
 * any {name}; a literal one fits itself, or any {name}. */
bool compose_target_fits(const char *target, const char *pattern);

#endif
