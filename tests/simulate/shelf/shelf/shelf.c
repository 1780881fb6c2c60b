/* SPDX-License-Identifier: Apache-2.0 */
/* Books of a service of several instances: see books.h. */

#include "../books.h"

BOOKS_SERVICE(shelf);
