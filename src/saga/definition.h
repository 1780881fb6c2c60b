/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_DEFINITION_H
#define SAGA_DEFINITION_H

/* A saga's definition, parsed once: the rules that decide, and how to make its requests from the
 * saga's input. Pure. */

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "freehold.h"
#include "saga/decide.h"
#include "saga/run.h"

struct saga_call {
    const char *each;    /* NULL: one element */
    const char *target;  /* a service; NULL: it runs here, or outside */
    const char *outside; /* where the input holds the URL, instead of target and path */
    const char *method, *path;
    const char *undo_method, *undo_path; /* NULL: no undo */
    const char *body;                    /* the map, or NULL */
    fh_handler *run;
    int timeout_ms;
};

struct saga_type {
    const struct fh_saga_definition *definition;
    int version;
    char digest[SAGA_DIGEST_SIZE]; /* of everything that a running saga depends on */
    struct saga_rules rules;
    struct saga_call calls[SAGA_STEPS_MAX];
    const char *steps; /* "reserve,charge": stored with each saga, for after a deployment */
    int64_t deadline_ms;
    struct arena arena;
};

#define SAGA_TYPE_TAG_SIZE 320
/* "place_order 2 DIGEST": how instances refer to definitions among themselves. */
void saga_type_tag(const struct saga_type *type, char out[static SAGA_TYPE_TAG_SIZE]);
/* FH_INVALID with one sentence if two definitions have the same name and version. */
enum fh_code saga_types_check(const struct saga_type *types, int count, struct fh_error *error);

/* FH_INVALID with one sentence. */
enum fh_code saga_type_init(struct saga_type *type, const struct fh_saga_definition *definition,
                            struct fh_error *error);
void saga_type_release(struct saga_type *type);

/* How many elements each step has for this input. FH_INVALID: a list is missing, not an array, or
 * too long. */
enum fh_code saga_type_counts(const struct saga_type *type, const json_t *input,
                              int counts[static SAGA_STEPS_MAX], struct fh_error *error);

struct saga_rendered {
    const char *path;      /* for an outside step: the URL */
    const char *undo_path; /* or NULL */
    const char *body;      /* or NULL */
};
/* One element's request, on the arena. FH_INVALID says what the input lacks, FH_NOT_FOUND which of
 * its values no path can have. */
enum fh_code saga_type_render(const struct saga_type *type, int step, int element,
                              const json_t *input, struct arena *arena, struct saga_rendered *ret,
                              struct fh_error *error);

#endif
