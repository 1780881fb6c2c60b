/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_REDACT_H
#define WORK_REDACT_H

/* Texts about a unit of work without the marked values that it was given (shape/mark.h). */

#include <stddef.h>

#include "freehold.h"
#include "shape/mark.h"

/* Replaces what has one of `marks` (enum shape_mark) and is in the request, the event, the saga's
 * input, other services' answers, those of
 * searches or the settings. The text has less than `size` bytes. */
void work_redact(const fh_work *w, unsigned marks, char *text, size_t size);
/* What that is, of the fh_work that is the context. */
void work_given(struct shape_cover *cover, const void *context);

#endif
