/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler of an event is given. Each call makes it anew: what a handler adds to it is on
 * this run's arena, and must not be seen by the next run. */

#include "base/json.h"
#include "work/work.h"

json_t *work_event_envelope(const struct work_event *event)
{
    if (event->tree)
        return json_copy_all(event->tree);
    return json_parse_again(event->envelope.at, event->envelope.length);
}

json_t *work_event_data(const struct work_event *event)
{
    if (event->tree)
        return json_copy_all(json_object_get(event->tree, "data"));
    return json_parse_again(event->data.at, event->data.length);
}
