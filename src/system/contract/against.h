/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CONTRACT_AGAINST_H
#define SYSTEM_CONTRACT_AGAINST_H

/*
 * A system against what it promised before: freehold check --against. Each change is as in
 * changes.h, and has, too,
 *
 *     "level": "error", "last_in": "contracts/shop-3.json",
 *     "breaks": [{"service": "orders", "how": "reads name", "by": "others/orders.json"}]
 *
 * "level" is "error" if it breaks somebody who is known, "warning" if nobody is known to use it,
 * "compatible" if it breaks nothing. "last_in" is the last of the files that has it as it was; one
 * that breaks it is enough: a description is a promise for as long as it is there.
 */

#include "system/contract/document.h"
#include "system/file/file.h"

/* Errors first. All services of the system must have been described. NULL: a finding says why it
 * can't be told. New reference. */
json_t *contract_against(struct system_file *file, const struct contract_files *previous,
                         const struct contract_files *others, struct findings *findings);
/* How many of them have this level. */
size_t contract_count(const json_t *changes, const char *level);

#endif
