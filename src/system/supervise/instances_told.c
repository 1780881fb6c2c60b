/* SPDX-License-Identifier: Apache-2.0 */
/* What `status` shows of a part's processes. */

#include "system/supervise/instances.h"

#include <stdio.h>

void instances_name(const struct instances *instances, const struct child *child, char *ret,
                    size_t size)
{
    if (child->instance == 0 && instances->wanted <= 1 && !instances->surge)
        snprintf(ret, size, "%s", instances->part->name);
    else
        snprintf(ret, size, "%s/%d", instances->part->name, child->instance);
}

static json_t *child_json(const struct child *child)
{
    json_t *item = json_object();
    int64_t now = world_monotonic_ns(child->world);
    bool ready = child->state == CHILD_READY;
    json_object_set_new(item, "instance", json_integer(child->instance));
    json_object_set_new(item, "pid", child->pid ? json_integer(child->pid) : json_null());
    if (child->own_fd >= 0)
        json_object_set_new(item, "address", json_string(child->own_address));
    json_object_set_new(item, "ready", json_boolean(ready));
    json_object_set_new(item, "phase", json_string(child_state_name(child->state)));
    json_object_set_new(item, "restarts", json_integer(child->restarts));
    json_object_set_new(item, "since_s",
                        ready ? json_integer((now - child->ready_ns) / 1000000000) : json_null());
    if (child->clock.is)
        json_object_set_new(item, "clock_ahead_ms", json_integer(child->clock.ahead_ms));
    if (*child->hang.what)
        json_object_set_new(item, "hangs",
                            json_pack("{s:s, s:I}", "what", child->hang.what, "for_s",
                                      (json_int_t)((now - child->hang.since_ns) / 1000000000)));
    json_object_set_new(item, "last_end", *child->why ? json_string(child->why) : json_null());
    return item;
}

/* The one that says most about the whole: the first that is not ready. */
static const struct child *worst_of(const struct instances *instances)
{
    for (int i = 0; i < instances_limit(instances); i++) {
        if (instances->children[i]->state != CHILD_READY)
            return instances->children[i];
    }
    return instances->children[0];
}

json_t *instances_json(const struct instances *instances)
{
    json_t *whole = child_json(worst_of(instances)), *each = json_array();
    json_int_t restarts = 0;
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++) {
        const struct child *child = instances->children[i];
        if (i >= instances_limit(instances) && child_is_over(child))
            continue;
        restarts += child->restarts;
        json_array_append_new(each, child_json(child));
    }
    json_object_del(whole, "instance");
    json_object_set_new(whole, "name", json_string(instances->part->name));
    json_object_set_new(whole, "address", json_string(instances->part->address));
    json_object_set_new(whole, "restarts", json_integer(restarts));
    json_object_set_new(whole, "instances", each);
    return whole;
}
