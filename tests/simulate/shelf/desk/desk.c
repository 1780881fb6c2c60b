/* SPDX-License-Identifier: Apache-2.0 */
/* Books of a service of one process: see books.h. */

#include "../books_tables.h"

BOOKS_SERVICE(desk, FH_RELATIONAL);
