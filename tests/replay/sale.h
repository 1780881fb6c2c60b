/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SALE_H
#define TESTS_SALE_H

/* What the event of a sale is: the till publishes it, and the books tell it on. */

#include <freehold.h>

static const fh_field sale_shape[] = {{"id", FH_INT}, {"amount", FH_INT}, {0}};

#endif
