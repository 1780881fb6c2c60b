/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_SOURCES_H
#define SYSTEM_CHECK_SOURCES_H

/* What services subscribe to of sources outside. All services must have been described. */

#include "system/file/file.h"

/* [{"source", "by", "server", "topic", "partitions", "from", "subscribers"}] in the order of the
 * file. New reference. */
json_t *sources_map(struct system_file *file);

/* Findings on a subscription to the source, as a description of the service has it. */
void sources_check_subscription(const struct system_source *source,
                                const struct system_service *service, const json_t *subscribed,
                                struct findings *findings);
/* Sources that nobody reads. */
void sources_check(struct system_file *file, struct findings *findings);

#endif
