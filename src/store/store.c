/* SPDX-License-Identifier: Apache-2.0 */
/* The engines that are built in: to add one, write its file and name it here. */

#include "store/store.h"

#include <string.h>

#include "store/relational/relational.h"

static const struct store_ops *const engines[] = {&store_sqlite};

const struct store_ops *store_engine(const char *name)
{
    for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++) {
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    }
    return NULL;
}

void store_close(struct store *store)
{
    relational_cache_free(store->relational);
    store->ops->close(store);
}
