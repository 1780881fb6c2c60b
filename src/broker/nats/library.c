/* SPDX-License-Identifier: Apache-2.0 */
/* See library.h. The library stays loaded until the process ends: its threads may run still. */

#include "broker/nats/library.h"

#include "base/library.h"

#define LIBRARY "libnats.so.3.4"

struct nats_library nats;

static const struct library_symbol symbols[] = {
#define NATS_SYMBOL(name) {#name, (void **)&nats.name},
    NATS_FUNCTIONS(NATS_SYMBOL)
#undef NATS_SYMBOL
};

enum fh_code nats_library_load(struct fh_error *error)
{
    if (nats.natsSubscription_Unsubscribe) /* the last in the list */
        return FH_OK;
    return library_load(LIBRARY, "libnats3.4", symbols, sizeof symbols / sizeof symbols[0], error);
}
