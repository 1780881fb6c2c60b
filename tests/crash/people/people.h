/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_PEOPLE_H
#define TESTS_PEOPLE_H

/* What an event of a person is, in its two versions. `changes` counts them from 1. */

#include <freehold.h>

static const fh_field person_1[]
    __attribute__((unused)) = {{"id", FH_INT}, {"name", FH_STRING}, {"changes", FH_INT}, {0}};
static const fh_field person_2[] __attribute__((unused)) = {
    {"id", FH_INT}, {"given", FH_STRING}, {"family", FH_STRING}, {"changes", FH_INT}, {0}};

#endif
