/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DERIVED_FACETS_H
#define STORE_DERIVED_FACETS_H

/* How often each value of a question's facets occurs among what it finds. */

#include "store/derived/question.h"

struct facet_count;

struct facets {
    const struct question *question;
    struct facet_count *counts; /* `size` places, a power of 2; NULL: none yet */
    size_t size, used;
    uint64_t seed;
};

/* `seed` is random. */
void facets_init(struct facets *facets, const struct question *question, uint64_t seed);
void facets_release(struct facets *facets); /* also of those that were not initialised, but zero */
/* FH_NO_MEMORY; FH_INVALID with the field: there are more than SEARCH_VALUES_MAX. */
enum fh_code facets_add(struct facets *facets, int field, const struct sql_value *value,
                        struct fh_error *error);
/* The SEARCH_COUNTS_MAX most frequent of each facet: {"kind": [{"value", "count"}, ...]}. */
enum fh_code facets_show(const struct facets *facets, json_t **ret, struct fh_error *error);

/* {"value", "count"}: a new reference. */
json_t *facet_value(const struct fh_derived_field *field, const struct sql_value *value,
                    int64_t count);

#endif
