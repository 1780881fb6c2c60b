/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replacing data that a handler can't process: an operator has seen what is wrong with an event's
 * data, and supplies what they should have been, in the version in which it was parked. The event
 * keeps its id, its type, its version and its place in its key's order. With it is stored who
 * changed it, when, and the data before the change. The publisher's original data are always kept;
 * of later versions only the latest.
 *
 *   1. the first event of the key is read, and the new data are checked against its shape. What the
 *      operator was not shown ("[personal]") and has not changed stays as it is
 *   2. one transaction: the event gets its new data, if not tried or edited since   (the fence)
 *   3. it is retried, as by an operator
 *
 *   killed before 2 is durable   nothing has changed
 *   killed after it              the new data wait for a retry: at the next start, or an operator's
 *
 * A retry that read the event before 2 fails at its own fence, and reads it again.
 */

#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "event/marks.h"
#include "event/outbox/publish.h"
#include "event/subscribe/parked.h"
#include "event/subscribe/subscription.h"
#include "event/versions.h"
#include "shape/mark.h"
#include "shape/shape.h"
#include "world/world.h"

static const struct fh_subscription *subscribed_of(const struct event_manager *manager,
                                                   const char *source, const char *type)
{
    const struct fh_subscription *subscribed = manager->context->service->subscribes;
    for (size_t i = 0; i < SUBSCRIBED_MAX && subscribed[i].service; i++) {
        if (strcmp(subscribed[i].service, source) == 0 && strcmp(subscribed[i].type, type) == 0)
            return &subscribed[i];
    }
    return NULL;
}

/* As the publisher declares this version of the type, or else as the subscription's casts know it.
 * NULL: neither is known. */
static const fh_field *declared_shape(struct arena *arena, const struct event_manager *manager,
                                      const char *source, const char *type,
                                      const struct fh_subscription *subscribed, int version)
{
    const json_t *schema = json_object_get(json_object_get(manager->schemas, source), type);
    if (!subscribed || !subscribed->version)
        return schema ? shape_of_schema(arena, schema) : NULL;
    schema = event_marks_schema(manager, source, type, version);
    return schema ? shape_of_schema(arena, schema)
                  : versions_shape(manager->context->service, subscribed, version);
}

/* That shape, limited to the fields this service has asked for. NULL: any object. */
static const fh_field *shape_of(struct arena *arena, const struct event_manager *manager,
                                const char *source, const char *type, int version)
{
    const fh_service *service = manager->context->service;
    const struct fh_subscription *subscribed = subscribed_of(manager, source, type);
    const fh_field *declared = declared_shape(arena, manager, source, type, subscribed, version);
    size_t count = 0, kept = 0;
    if (!declared || !subscribed || !versions_names_fields(subscribed->fields))
        return declared;
    while (declared[count].name)
        count++;
    fh_field *wanted = arena_alloc(arena, (count + 1) * sizeof *wanted);
    for (size_t i = 0; i < count; i++) {
        if (versions_gets(service, subscribed, version, declared[i].name))
            wanted[kept++] = declared[i];
    }
    wanted[kept] = (fh_field){0};
    return wanted;
}

static enum fh_code check_parked_change(struct event_manager *manager, struct arena *arena,
                                        const struct parked_change *change, const json_t *data,
                                        const struct ledger_parked *parked, int version,
                                        json_t **ret_faults, struct fh_error *error)
{
    if (change->position && change->position != parked->position)
        return error_set(error, FH_CONFLICT,
                         "The event at %lld is no longer the first under this key, that at %lld "
                         "is: look at that one first.",
                         (long long)change->position, (long long)parked->position);
    if (!json_is_object(change->data))
        return error_set(error, FH_INVALID, "The data of an event must be a JSON object.");
    const fh_field *shape = shape_of(arena, manager, parked->source, parked->type, version);
    *ret_faults = shape ? shape_check(shape, data) : NULL;
    if (*ret_faults)
        return error_set(error, FH_INVALID,
                         "The data do not have the shape of %s, as %s declares it.", parked->type,
                         parked->source);
    return FH_OK;
}

/* The event with its new data, as json_text. If the edits are too many or too large, the oldest
 * ones after the first are removed. */
static char *change_event(const struct parked_change *change, json_t *data, json_t *event,
                          int64_t now_ms)
{
    json_t *edits = json_object_get(event, PARKED_EDITS);
    if (!edits) {
        edits = json_array();
        json_object_set_new(event, PARKED_EDITS, edits);
    }
    json_array_append_new(edits, json_pack("{s:I, s:s, s:O*}", "time_ms", (json_int_t)now_ms, "by",
                                           change->by, "before", json_object_get(event, "data")));
    json_object_set(event, "data", data);
    json_object_del(event, PARKED_UNREADABLE);
    char *text = json_text(event);
    while (json_array_size(edits) > 1 &&
           (json_array_size(edits) > PARKED_EDITS_MAX || strlen(text) > PARKED_EDITED_SIZE_MAX)) {
        json_array_remove(edits, 1);
        json_text_free(text);
        text = json_text(event);
    }
    return text;
}

static enum fh_code store_parked_event(struct event_manager *manager,
                                       const struct ledger_parked *parked, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(manager->context->store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_parked_edit(work, parked, error);
    CRASH_POINT("edit.changed");
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    code = store_commit(work, error);
    CRASH_POINT("edit.durable");
    return code;
}

static enum fh_code edit_parked_event(struct event_manager *manager, struct arena *arena,
                                      const struct parked_change *change, json_t **ret_faults,
                                      struct fh_error *error)
{
    struct ledger_parked parked;
    json_t *event = NULL;
    enum fh_code code = parked_head(manager, arena, change->source, change->key, &parked, error);
    if (code == FH_OK)
        code = json_parse(parked.event, strlen(parked.event), &event, error);
    if (code != FH_OK)
        return code;
    int version = batch_event_version(json_object_get(event, "version"));
    json_t *data = shape_restored(event_marks_of(manager, parked.source, parked.type, version),
                                  change->data, json_object_get(event, "data"));
    code = check_parked_change(manager, arena, change, data, &parked, version, ret_faults, error);
    if (code != FH_OK) {
        json_decref(data);
        json_decref(event);
        return code;
    }
    char *text = change_event(change, data, event, world_wall_ms(manager->context->world));
    json_decref(data);
    parked.event = text;
    log_warning("parked-event-edited",
                "An operator (%s) changes the data of the parked event %s %s of %s at %lld, key %s",
                change->by, parked.type, parked.event_id, parked.source, (long long)parked.position,
                change->key);
    code = store_parked_event(manager, &parked, error);
    json_text_free(text);
    json_decref(event);
    return code;
}

enum fh_code parked_edit(struct event_manager *manager, const struct parked_change *change,
                         json_t **ret, json_t **ret_faults, struct fh_error *error)
{
    struct arena arena;
    char *size = json_text(change->data);
    bool large = strlen(size) > OUTBOX_DATA_SIZE_MAX;
    json_text_free(size);
    *ret_faults = NULL;
    if (large)
        return error_set(error, FH_INVALID, "The data of an event may have %zu bytes.",
                         OUTBOX_DATA_SIZE_MAX);
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = edit_parked_event(manager, &arena, change, ret_faults, error);
    arena_release(&arena);
    if (code != FH_OK)
        return code;
    code = parked_retry(manager, change->source, change->key, ret, error);
    if (code != FH_NOT_FOUND)
        return code;
    *ret = json_pack("{s:i, s:[]}", "applied", 0, "keys"); /* another retry was quicker */
    return FH_OK;
}
