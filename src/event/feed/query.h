/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_FEED_QUERY_H
#define EVENT_FEED_QUERY_H

/* The query strings of the feed and of its snapshots: written by subscribers, read by the
 * publisher. Pure. */

#include <stdbool.h>

#include "base/text.h"
#include "freehold.h"

void query_encode(struct text *out, const char *value); /* percent-encoded */
/* Appends *separator, which then becomes a comma, and "Type:field,Type:field", with those of the
 * versions that are cast, "Type@1:field"; appends nothing where all fields are needed. */
void query_add_fields(struct text *out, const fh_service *service,
                      const struct fh_subscription *subscribed, const char **separator);
/* The same of "Type:2", the version that is read; nothing where it may be any. */
void query_add_version(struct text *out, const struct fh_subscription *subscribed,
                       const char **separator);
/* "I/N": false when it is malformed. */
bool query_share(const char *text, unsigned *ret_index, unsigned *ret_count);

#endif
