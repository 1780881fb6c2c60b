/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHAPE_ACCEPT_WORDS_H
#define SHAPE_ACCEPT_WORDS_H

/* For accept.c: what a schema's words say of a value, as shape.c checks it, and in plain words. */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define ACCEPT_WORDS_SIZE 192

#define ACCEPT_NULL (1u << 0)
#define ACCEPT_BOOLEAN (1u << 1)
#define ACCEPT_INTEGER (1u << 2)
#define ACCEPT_REAL (1u << 3) /* a number that is no integer */
#define ACCEPT_NUMBERS (ACCEPT_INTEGER | ACCEPT_REAL)
#define ACCEPT_STRING (1u << 4)
#define ACCEPT_OBJECT (1u << 5)
#define ACCEPT_ARRAY (1u << 6)
#define ACCEPT_ANYTHING ((1u << 7) - 1)

unsigned accept_types(const json_t *schema);
void accept_type_words(unsigned types, char out[static ACCEPT_WORDS_SIZE]); /* "an integer" */
bool accept_is_decimal(const json_t *schema);
const char *accept_format_of(const json_t *schema); /* "decimal" too; NULL: none */
bool accept_is_open(const json_t *schema);          /* takes members that it does not name */
unsigned accept_marks(const json_t *schema);        /* a bit for each of its marks */

/* Of a string, in bytes. */
struct accept_length {
    int64_t least, most; /* most: INT64_MAX if there is no bound */
};
struct accept_length accept_length_of(const json_t *schema);
void accept_length_words(const struct accept_length *length, char out[static ACCEPT_WORDS_SIZE]);

struct accept_digits {
    int before, after; /* the point */
};
struct accept_digits accept_digits_of(const json_t *schema);

/* Less than 0, 0 or more; both are numbers. */
int accept_number_order(const json_t *left, const json_t *right);
void accept_bound_words(const json_t *bound, char out[static ACCEPT_WORDS_SIZE]);
/* In quotes, shortened; NULL: "none". */
void accept_quoted(const char *string, char out[static ACCEPT_WORDS_SIZE]);

/* The strings of an array as the names of an object. New reference. */
json_t *accept_set_of(const json_t *array);

#endif
