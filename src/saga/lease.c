/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lease "sagas", by which one of several instances takes over what dead instances left
 * (takeover.c) and notifies receivers for all of them (closing.c). It is given up once neither's
 * fiber is running.
 */

#include "saga/manager.h"

const char *saga_manager_session(const struct saga_manager *manager)
{
    return manager->context->leases ? manager->context->store->instance : NULL;
}

bool saga_manager_tells(const struct saga_manager *manager)
{
    return !manager->stopping && (!manager->context->leases || manager->lease.state == LEASE_OURS);
}

void saga_lease_left(struct saga_manager *manager)
{
    if (!manager->adopting && !manager->closing_fiber)
        lease_ended(&manager->lease);
}
