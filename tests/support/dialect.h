/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SUPPORT_DIALECT_H
#define SUPPORT_DIALECT_H

/* Dialects of SQL for tests that need no store. After <cmocka.h>. */

#include "engine/engines.h"
#include "skip.h"
#include "store/relational/sql.h"

/* The engine's; skips the test where that is not built in. */
static inline const struct sql_dialect *dialect_of(const char *engine)
{
    const struct engine *found = engine_named(engine);
    if (!found)
        SKIP_BECAUSE("%s is not built in, and its SQL is not tried", engine);
    return found->sql->dialect;
}

/* The first one (of NULL) and the next: each engine's that has one. */
static inline const struct engine *dialect_next(const struct engine *engine)
{
    do
        engine = engine_next(engine);
    while (engine && !engine->sql);
    return engine;
}

#endif
