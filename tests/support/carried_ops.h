/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CARRIED_OPS_H
#define TESTS_CARRIED_OPS_H

/* Points and facts as a carrier gives them to a server (carrier/server.h), of JSON, and back.
 * Header only. */

#include <stdlib.h>

#include "carrier/values.h"
#include "store/derived/derived.h"

#define CARRIED_OPS_MADE (1u << 15) /* whose values are there: the newest ones */

/* Gives ops the values of what their `value` is. */
static inline void carried_ops_fill(const struct fh_derived *declared, struct carried_op *ops,
                                    int count)
{
    static struct carried_value *made[CARRIED_OPS_MADE];
    static unsigned next;
    for (int i = 0; i < count; i++) {
        struct carried_value **place = &made[next++ % CARRIED_OPS_MADE];
        free(*place);
        *place = carried_values_new(declared, ops[i].at_ms, ops[i].value);
        ops[i].values = *place;
    }
}

/* A new reference. */
static inline json_t *carried_ops_fact(const struct fh_derived *declared,
                                       const struct carried_value *values)
{
    json_t *fact = json_object();
    for (int i = 0; declared->fields[i].name; i++) {
        const struct carried_value *value = &values[i];
        json_t *member = value->kind == CARRIED_TEXT     ? json_stringn(value->text, value->length)
                         : value->kind == CARRIED_NULL   ? json_null()
                         : value->kind != CARRIED_NUMBER ? json_boolean(value->kind == CARRIED_TRUE)
                         : declared->fields[i].type == FH_NUMBER
                             ? json_real(carried_real(value))
                             : json_integer(carried_integer(value));
        json_object_set_new(fact, declared->fields[i].name, member);
    }
    return fact;
}

#endif
