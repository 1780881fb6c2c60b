/* SPDX-License-Identifier: Apache-2.0 */
/* Books of a service of several instances: see books.h. */

#include "../books_tables.h"

BOOKS_SERVICE(shelf, FH_RELATIONAL);
