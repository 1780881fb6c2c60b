/* SPDX-License-Identifier: Apache-2.0 */
/* What was acknowledged, by key and number. */

#include "audit.h"

#include <stdlib.h>

void journal_add(struct journal *journal, uint32_t key, int64_t id, uint64_t value)
{
    if (journal->counts[key] == journal->sizes[key]) {
        uint32_t size = journal->sizes[key] ? journal->sizes[key] * 2 : 64;
        struct entry *grown = realloc(journal->entries[key], size * sizeof *grown);
        if (!grown)
            die("No memory for the journal.");
        journal->entries[key] = grown;
        journal->sizes[key] = size;
    }
    journal->entries[key][journal->counts[key]++] = (struct entry){.id = id, .value = value};
    journal->total++;
}
