/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_MARKS_H
#define EVENT_MARKS_H

/* What is marked (shape/mark.h) in the data of events: those that this service publishes, by its
 * own shapes; those that it subscribes to, by the publisher's, as far as they are known, and by
 * `.personal` of the subscription. */

#include <jansson.h>

#include "event/manager.h"

struct event_marks;

/* manager->marks: once its schemas are known. */
struct event_marks *event_marks_new(const struct event_manager *manager);
void event_marks_free(struct event_marks *marks);
/* Of an event in this version (0: it does not say). NULL: nothing is marked. As long as the
 * manager. */
const fh_field *event_marks_of(const struct event_manager *manager, const char *source,
                               const char *type, int version);
/* The publisher's schema of a version, as far as the configuration has it; NULL: it has not. */
const json_t *event_marks_schema(const struct event_manager *manager, const char *source,
                                 const char *type, int version);

/* The envelope of an event, of another service or of this one, with its data redacted. Replaces
 * the data in place. */
void event_marks_redact(const struct event_manager *manager, const char *source, json_t *envelope);

#endif
