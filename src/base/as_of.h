/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_AS_OF_H
#define BASE_AS_OF_H

/*
 * Places in the events of several publishers, as Freehold-As-Of tells them and Freehold-Wait names
 * them:
 *
 *     products@01993f0e-...,1017; orders@01993f0d-...,20
 *
 *     list        = place *( ";" place )        blanks around a place are ignored
 *     place       = name "@" incarnation "," position
 *     name        = 1*64 of letters, digits, "_", "-", "."
 *     incarnation = 1*36 of letters, digits, "-"
 *     position    = 1*19 digits, at most 2^63 - 1
 *
 * A name may come twice: of equal incarnations the larger position counts, others stay apart.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/id.h"
#include "base/text.h"

#define AS_OF_NAME_SIZE 65
#define AS_OF_PLACES_MAX 32
#define AS_OF_LENGTH_MAX ((size_t)4096) /* of the text: as long as that many places are */
#define AS_OF_TOKENS_LENGTH_MAX 8192    /* of Freehold-Wait as clients send it: gateway/seal.h */

struct as_of_place {
    char name[AS_OF_NAME_SIZE];
    char incarnation[ID_SIZE];
    int64_t position;
};

struct as_of {
    int count;
    struct as_of_place places[AS_OF_PLACES_MAX];
};

/* FH_INVALID: a sentence says what was expected where; *ret is undefined. */
enum fh_code as_of_parse(const char *text, struct as_of *ret, struct fh_error *error);
/* Of one publisher, as Freehold-At tells it: "INCARNATION, POSITION", where the incarnation is a
 * whole id; alone, its position is 0. False: it is something else, and nothing is returned. */
bool as_of_parse_at(const char *text, char ret_incarnation[static ID_SIZE], int64_t *ret_position);
/* False: there is no room for another place, or it is none. */
bool as_of_add(struct as_of *as_of, const char *name, const char *incarnation, int64_t position);
/* False: not all of them had room. */
bool as_of_merge(struct as_of *as_of, const struct as_of *more);
/* As above; all positions have the same number of digits if `even`. */
void as_of_write(const struct as_of *as_of, bool even, struct text *out);

#endif
