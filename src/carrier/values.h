/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_VALUES_H
#define CARRIER_VALUES_H

/* The values of points and facts (server.h) as numbers, and of JSON. Pure. */

#include "carrier/server.h"

/* Of a CARRIED_NUMBER that is an integer, as those of an FH_INT are. */
int64_t carried_integer(const struct carried_value *value);
/* Of any; what follows it is no part of a number. */
double carried_real(const struct carried_value *value);

/* One for each field of the declaration, in one piece: free(). NULL: it is not as declared. */
struct carried_value *carried_values_new(const struct fh_derived *declared, int64_t at_ms,
                                         const json_t *fact);

#endif
