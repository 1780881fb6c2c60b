/* SPDX-License-Identifier: Apache-2.0 */
/* {"orders": {"file": 2, "instances": 4}}; a file that can't be read counts as empty. */

#include "system/supervise/scale.h"

#include "base/json.h"

#define SCALE_FILE "scale.json"

static json_t *read_scales(const struct state *state)
{
    json_t *all = NULL;
    if (state_read_json(state->folder_fd, SCALE_FILE, &all, ERROR_UNHEEDED) == FH_OK &&
        json_is_object(all))
        return all;
    json_decref(all);
    return json_object();
}

int scale_of(const struct state *state, const struct system_service *service)
{
    json_t *all = read_scales(state);
    json_int_t file = 0, instances = 0;
    const json_t *said = json_object_get(all, service->name);
    bool holds = json_integer_at(said, "file", &file) && file == service->instances &&
                 json_integer_at(said, "instances", &instances) && instances >= 1 &&
                 instances <= SYSTEM_INSTANCES_MAX;
    json_decref(all);
    return holds ? (int)instances : service->instances;
}

enum fh_code scale_record(const struct state *state, const struct system_service *service,
                          int instances, struct fh_error *error)
{
    json_t *all = read_scales(state);
    if (instances == service->instances)
        json_object_del(all, service->name);
    else
        json_object_set_new(
            all, service->name,
            json_pack("{s:i, s:i}", "file", service->instances, "instances", instances));
    enum fh_code code = state_write_json(state->folder_fd, SCALE_FILE, all, error);
    json_decref(all);
    return code;
}
