/* SPDX-License-Identifier: Apache-2.0 */
/* How the suites test the toy, which they register themselves. */

#include "conformance.h"

extern const struct engine engine_toy;

static enum fh_code open_toy(struct harness *harness, enum fh_model model, struct store **ret,
                             struct fh_error *error)
{
    struct store_options options = {
        .service = "conformance", .folder = harness->folder, .model = model};
    return engine_toy.store->open(&options, harness->world, ret, error);
}

static const struct conformance_engine toy = {
    .name = "toy",
    .brings = &engine_toy,
    .models = 1u << FH_DOCUMENT,
    .open = open_toy,
    .close = store_close,
};

extern const struct conformance_engine *const conformance_toy[];
const struct conformance_engine *const conformance_toy[] = {&toy, NULL};
