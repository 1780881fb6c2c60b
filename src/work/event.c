/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler of an event is given. Each call makes it anew: what a handler adds to it is on
 * this run's arena, and must not be seen by the next run. */

#include "base/json.h"
#include "work/work.h"

json_t *work_event_envelope(const struct work_event *event)
{
    if (event->tree)
        return json_copy_all(event->tree);
    json_t *envelope = json_parse_again(event->envelope.at, event->envelope.length);
    if (envelope && event->carried) {
        json_t *data = work_event_data(event);
        json_object_del(envelope, "incarnation");
        json_object_del(envelope, "chain");
        if (!data || json_object_set_new(envelope, "data", data) != 0) {
            json_decref(envelope);
            return NULL;
        }
    }
    return envelope;
}

json_t *work_event_data(const struct work_event *event)
{
    if (event->tree)
        return json_copy_all(json_object_get(event->tree, "data"));
    return json_parse_again(event->data.at, event->data.length);
}
