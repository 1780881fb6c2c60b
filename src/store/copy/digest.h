/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COPY_DIGEST_H
#define STORE_COPY_DIGEST_H

/* Compares sets of rows, whatever their order and wherever they are stored, by sums of hashes. JSON
 * in a text counts by its meaning, not its spelling. */

#include "store/relational/sql.h"

struct digest {
    int64_t rows;
    uint64_t sums[2];
};

void digest_add(struct digest *digest, const struct sql_value *values, int count);
bool digest_equal(const struct digest *one, const struct digest *other);

#endif
