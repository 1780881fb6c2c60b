/* SPDX-License-Identifier: Apache-2.0 */
/* The relational ledger's table of functions, from all ledger*.c. */

#include "store/relational/ledger.h"

const struct ledger_ops ledger_relational = {
#define LEDGER_SLOT(name) .name = sql_ledger_##name,
    LEDGER_FUNCTIONS(LEDGER_SLOT)
#undef LEDGER_SLOT
        .snapshots = &ledger_relational_snapshots,
    .caller_look = sql_ledger_caller_look,
    .derived_touch = sql_ledger_derived_touch,
};
