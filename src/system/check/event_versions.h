/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_EVENT_VERSIONS_H
#define SYSTEM_CHECK_EVENT_VERSIONS_H

/* Whether subscribers can read what publishers publish: versions, and what casts expect of them. */

#include "system/file/file.h"

/* The schema of a version of what is published, as its publisher's description has it: the present
 * one, or one that it makes for those who read that. NULL: it has none. */
const json_t *event_versions_schema(const json_t *published, int version);
/* Of the version that the subscription reads, of which its `fields` are. */
const json_t *event_versions_read(const json_t *published, const json_t *subscribed);
/* In which version a subscription is sent what is published now. */
int event_versions_sent(const json_t *published, const json_t *subscribed);

void event_versions_check(struct system_file *file, const struct system_service *service,
                          struct findings *findings);

#endif
