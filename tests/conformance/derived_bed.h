/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_DERIVED_BED_H
#define TESTS_DERIVED_BED_H

/* What cases of derived stores of every model have in common. */

#include <float.h>
#include <string.h>

#include "conformance.h"
#include "store/derived/derived.h"

static inline const struct derived_ops *derived(struct conformance *c)
{
    return derived_engine(c->store);
}

static inline bool keeps_derived(const struct engine *engine)
{
    return engine->derived;
}

/* Valgrind computes with no more than doubles, where others have 64 bits of an integer. */
static inline bool adds_beyond_doubles(const struct engine *engine)
{
    volatile long double most = DBL_MAX;
    most *= 2;
    return keeps_derived(engine) && most / 2 == DBL_MAX;
}

static inline enum fh_code prepare(struct conformance *c, const struct fh_derived *declared,
                                   int count)
{
    static fh_service service; /* too large for a fiber's stack */
    memset(&service, 0, sizeof service);
    service.name = "conformance";
    for (int i = 0; i < count; i++)
        service.derives[i] = declared[i];
    return derived_prepare(c->store, &service, 0, &c->error);
}

#endif
