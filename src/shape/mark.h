/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHAPE_MARK_H
#define SHAPE_MARK_H

/*
 * The marks of fields (`.personal`, `.secret` and `.card` of fh_field), and values without what is
 * marked. A mark on an object, or on an array, is one on everything in it.
 *
 * Values are looked up by the shape. Texts that were made from values (an engine's error message, a
 * handler's sentence) have no shape: in them the values themselves are looked for.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "freehold.h"

enum shape_mark { SHAPE_PERSONAL = 1, SHAPE_SECRET = 2, SHAPE_CARD = 4 };
#define SHAPE_UNKEPT (SHAPE_SECRET | SHAPE_CARD) /* not to be recorded */
#define SHAPE_MARKED (SHAPE_PERSONAL | SHAPE_UNKEPT)

/* A field's own marks: a set of enum shape_mark. */
unsigned shape_field_marks(const fh_field *field);
/* The marks in a shape, at any depth. NULL: none. */
unsigned shape_marks(const fh_field *shape);

/* A deep copy in which each value that has one of `marks` is "[personal]", "[secret]" or "[card]".
 * `value` may be an array of values of the shape. NULL as a shape: nothing is marked. New
 * reference. */
json_t *shape_redacted(const fh_field *shape, const json_t *value, unsigned marks);
/* A deep copy without these members. *ret_left_out is set if there were any, else left alone. */
json_t *shape_without(const fh_field *shape, const json_t *value, unsigned marks,
                      bool *ret_left_out);
/* A deep copy of these members alone, and of what is around them; NULL: there are none. */
json_t *shape_only(const fh_field *shape, const json_t *value, unsigned marks);

/* A deep copy in which what shape_redacted has replaced is again as in `original`. */
json_t *shape_restored(const fh_field *shape, const json_t *value, const json_t *original);

/* Of texts: whoever knows what they may have been made from calls shape_cover_given for each of it
 * from a function of this type. Either argument of shape_cover_given may be NULL. */
struct shape_cover;
typedef void shape_given(struct shape_cover *cover, const void *context);
void shape_cover_given(struct shape_cover *cover, const fh_field *shape, const json_t *value);

/* Shows `visit` each marked value of what was given, whole, by the name of its member. */
typedef void shape_marked_visit(void *what, const char *name, const json_t *value, unsigned marks);
void shape_visit_given(unsigned marks, shape_given *given, const void *context,
                       shape_marked_visit *visit, void *what);

/* Replaces marked values in a text of less than `size` bytes, in place. Strings of four bytes and
 * more are found anywhere, as they are, escaped as in JSON or percent-encoded; of a longer one its
 * first eight bytes and what follows of it are, and where the text was cut off its first four.
 * Shorter ones and numbers are found as whole words. What does not fit any more is cut off. */
void shape_redact_text(char *text, size_t size, unsigned marks, shape_given *given,
                       const void *context);
/* A deep copy of JSON that somebody made freely, of whatever form: its strings are treated as
 * texts, and a number that is a marked value becomes its label. */
json_t *shape_redacted_told(const json_t *told, unsigned marks, shape_given *given,
                            const void *context);

/* A shape made of names, "name,address": these members are personal, with `deep` at any depth; any
 * others are allowed. Names beyond SHAPE_NAMED_MAX make everything personal. NULL: no names. */
#define SHAPE_NAMED_MAX 32
struct shape_named {
    fh_field fields[SHAPE_NAMED_MAX + 2];
    char names[1024];
};
const fh_field *shape_named(struct shape_named *named, const char *names, bool deep);

#endif
