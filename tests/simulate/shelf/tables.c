/* SPDX-License-Identifier: Apache-2.0 */
/* Both services have tables. */

#include "shelves.h"

const char *const shelf_queries[2] = {"SELECT id, n FROM book", "SELECT id, n FROM book"};
