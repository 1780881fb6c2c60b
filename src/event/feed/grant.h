/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_FEED_GRANT_H
#define EVENT_FEED_GRANT_H

/*
 * Which events and which of their fields a subscriber may have. `up` grants what its program
 * declares (system/check/callers.h), the publisher's configuration holds it, and the publisher
 * refuses whoever asks for more: a subscriber that was taken over gets no more than its own program
 * needed.
 *
 *   "events UserUpdated"          from the feed: all of the data
 *   "events UserUpdated:id,name"  only these fields
 *   "state UserUpdated:id"        from the snapshot
 *
 * Of two grants for a type both hold: during an upgrade, the older program's and the newer one's.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/text.h"
#include "event/fields.h"

#define GRANT_EVENTS "events"
#define GRANT_STATE "state"

/* "UserUpdated@1" is version 1 of it, where the subscriber reads another (event/fields.h). */

/* A caller and what it was granted. Both are borrowed, and needed only until it is judged. */
struct event_grant {
    const char *caller;   /* as its token proves; NULL: it may have everything */
    const json_t *grants; /* an array of texts; those of other kinds count for nothing */
};

/* May this caller read in the name of that subscriber, whose place is then recorded? `name` may be
 * NULL. False: `why` gets a sentence. */
bool grant_judge_name(const struct event_grant *grant, const char *name, struct text *why);

/* May it have these types with these fields? `kind` is GRANT_EVENTS or GRANT_STATE; without
 * `types`, or with none in it, it asks for all that it was granted. *ret_types: what to send, NULL:
 * all; new reference. False: `why` gets a sentence that names the type or the field. */
bool grant_judge(const struct event_grant *grant, const char *kind, const json_t *types,
                 const struct fields *fields, json_t **ret_types, struct text *why);

/* Whether one of these grants, an array of texts, is that one, or those for its type include all of
 * its fields. */
bool grant_covers(const json_t *grants, const char *what);

#endif
