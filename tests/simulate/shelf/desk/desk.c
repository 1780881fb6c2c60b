/* SPDX-License-Identifier: Apache-2.0 */
/* Books of a service of one process: see books.h. */

#include "../books.h"

BOOKS_SERVICE(desk);
