/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_EMBEDDED_H
#define TESTS_EMBEDDED_H

/* An embedded relational store, in a folder that is there. */

#include "harness.h"

#include "engine/engines.h"
#include "store/store.h"

static inline enum fh_code embedded_open(struct harness *harness, const char *folder,
                                         struct store **ret, struct fh_error *error)
{
    struct store_options options = {.service = "books", .folder = folder, .model = FH_RELATIONAL};
    return engine_embedded()->store->open(&options, harness->world, ret, error);
}

#endif
