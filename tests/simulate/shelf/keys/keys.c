/* SPDX-License-Identifier: Apache-2.0 */
/* The service of several instances has keys and values: the model's table of them. */

#include "../shelves.h"

const char *const shelf_queries[2] = {
    "SELECT key AS id, CAST(value AS INTEGER) AS n FROM kv WHERE key LIKE 'k%'",
    "SELECT id, n FROM book",
};
