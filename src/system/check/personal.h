/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_PERSONAL_H
#define SYSTEM_CHECK_PERSONAL_H

/* Which service holds and passes on what is personal, secret or a card's, as the programs declare
 * it. All services must have been described. */

#include "system/file/file.h"

/* [{"service", "how", "what", "other", "fields": {"address.street": "personal", "token":
 * "secret"}}], by services in the order of the file. `how` and `what`, and who is `other`:
 *
 *     takes       POST /api/orders         in its body or query
 *     answers     GET /api/orders/{id}     to callers; "public" if the gateway serves it
 *     publishes   OrderCreated
 *     settings
 *     subscribes  UserUpdated              of the publisher
 *     asks        GET /api/users/{id}      of the service that answers
 *     keeps       place_order              a saga, in its input
 *     sends       place_order.charge       a saga's step, to the receiver, or "outside"
 *     told        place_order.charge       what the step's receiver answers
 *
 * New reference. */
json_t *personal_map(struct system_file *file);

/* Findings: what is got of another service and not named in `.personal`, what is marked on one side
 * of a saga's step alone, and marks that can't be kept (service/marks.h). */
void personal_check(struct system_file *file, struct findings *findings);

#endif
