/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_MARKS_H
#define SAGA_MARKS_H

/* What is marked (shape/mark.h) in a saga's input, by the definition's `.input`, and in its steps'
 * answers, by `.personal`. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "saga/manager.h"
#include "shape/mark.h"

#define SAGA_SECRETS_SIZE_MAX ((size_t)8192) /* of one saga, as JSON */

/* FH_INVALID with one sentence: something is marked that could not be kept out of where it goes. */
enum fh_code saga_marks_check(const struct saga_type *type, struct fh_error *error);

/* Takes the secrets out of `input`: *ret_rest is the input without them, *ret_secrets they alone,
 * NULL if there are none. New references, on the heap or the arena that is set. */
void saga_secrets_part(const struct saga_type *type, const json_t *input, json_t **ret_rest,
                       json_t **ret_secrets);
/* The input with its secrets, as far as the saga still has them. New reference. */
json_t *saga_whole_input(const struct saga_run *run);
/* Some step that takes a secret is not done, and may still be sent. */
bool saga_secrets_needed(const struct saga_type *type, const struct saga_state *state);
/* This element's request will not be sent with its secrets any more. */
bool saga_part_is_spent(const struct saga_state *state, int at);
/* A request's body without what comes from secrets; NULL: it has nothing of them. malloc'ed. */
char *saga_spent_body(const struct saga_type *type, int step, const char *body);

/* What its texts may have been made from: the input, its secrets, and the answers so far. A
 * shape_given, of the struct saga_run that is the context. */
void saga_given(struct shape_cover *cover, const void *context);
/* Takes it out of the detail of an answer to this step, with what the answer itself has. `body`
 * may be NULL. */
void saga_redact_detail(const struct saga_run *run, int step, const json_t *body, char *detail,
                        size_t size);
/* The body of a refusal without the saga's secrets, which its sender may have quoted; NULL: as it
 * is, the saga has none. New reference. */
json_t *saga_refusal_to_keep(const struct saga_run *run, const json_t *body);

/* For showing: the input, and one step's stored request and answer, changed in place. `input` is
 * the input with its secrets, if the saga still has them. `type` may be NULL: nothing is known of
 * it, and nothing is shown. */
void saga_redact_input(const struct saga_type *type, json_t **input);
void saga_redact_step(const struct saga_type *type, int step, const json_t *input, json_t *shown);

#endif
