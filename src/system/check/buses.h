/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_BUSES_H
#define SYSTEM_CHECK_BUSES_H

/* How events travel, as the system file says it (`bus`). All services must have been described. */

#include "system/file/file.h"

/* [{"service", "by": "feed"}] or [{"service", "by": "nats", "server", "topic", "partitions"}], with
 * "subscribers", and "outside": {"topic_s", "outbox_s"}, for how long each holds events for readers
 * outside, of each publisher in the order of the file. New reference. */
json_t *buses_map(struct system_file *file);

/* Findings: personal fields on a bus that nobody has allowed there, a bus that can't be used as it
 * is meant, and a broker on which services are not kept apart. */
void buses_check(struct system_file *file, struct findings *findings);

#endif
