/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas whose definitions only other instances have. During an upgrade, instances of an older and a
 * newer program run side by side, and one may adopt a saga (takeover.c) whose definition only the
 * other's program has. Each tells the others which definitions it has, so the saga is handed over:
 * the row gets the other's session and the next epoch. An instance that learns of a handover, or
 * that an instance came or went, looks for rows of its own that it does not know: so a death after
 * the handover loses nothing either. If no instance has the definition, one that has it may be
 * about to restart; after STRANGERS_MS_MAX the saga is parked.
 */

#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "saga/manager.h"

#define STRANGERS_MS_MAX 30000
#define STRANGERS_LOOK_MS 2000

json_t *saga_handover_tell(void *context)
{
    struct saga_manager *manager = context;
    json_t *has = json_array();
    for (int i = 0; i < manager->type_count; i++) {
        char tag[SAGA_TYPE_TAG_SIZE];
        saga_type_tag(&manager->types[i], tag);
        json_array_append_new(has, json_string(tag));
    }
    return json_pack("{s:s, s:o, s:I}", "saga_life", manager->context->store->instance, "has", has,
                     "handed", (json_int_t)manager->handed);
}

struct search {
    char tag[SAGA_TYPE_TAG_SIZE];
    char life[STORE_INSTANCE_SIZE]; /* of an instance that has it; "": none */
};

static void find_life(void *context, const json_t *told)
{
    struct search *search = context;
    const char *life = json_string_at(told, "saga_life");
    size_t i;
    json_t *tag;
    json_array_foreach (json_object_get(told, "has"), i, tag) {
        if (life && strlen(life) < sizeof search->life && json_is_string(tag) &&
            strcmp(json_string_value(tag), search->tag) == 0)
            snprintf(search->life, sizeof search->life, "%s", life);
    }
}

/* Copied, as what others told may be gone after the next wait. False: none that we know of. */
static bool life_with(const struct saga_manager *manager, const struct ledger_saga *row,
                      char ret[static STORE_INSTANCE_SIZE])
{
    struct search search = {.life = ""};
    json_t *state = NULL;
    json_int_t version = 0;
    if (json_parse(row->state, strlen(row->state), &state, ERROR_UNHEEDED) != FH_OK)
        return false;
    const char *digest = json_string_at(state, "digest");
    if (digest && json_integer_at(state, "version", &version)) {
        snprintf(search.tag, sizeof search.tag, "%s %lld %s", row->name, (long long)version,
                 digest);
        lease_told(manager->context->leases, find_life, &search);
    }
    json_decref(state);
    memcpy(ret, search.life, STORE_INSTANCE_SIZE);
    return ret[0] != '\0';
}

static enum fh_code hand_saga_over(struct saga_manager *manager, const struct ledger_saga *row,
                                   const char *life, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(manager->context->store, STORE_WRITE, &work, error);
    if (code)
        return code;
    code = ledger_saga_take(work, row->birth, row->number, life, error);
    CRASH_POINT("handing.given");
    if (code) {
        store_rollback(work);
        return code;
    }
    code = store_commit(work, error);
    CRASH_POINT("handing.durable");
    return code;
}

bool saga_handover_leave(struct saga_manager *manager, const struct ledger_saga *row)
{
    char life[STORE_INSTANCE_SIZE];
    if (!manager->context->leases)
        return false;
    if (life_with(manager, row, life) &&
        hand_saga_over(manager, row, life, ERROR_UNHEEDED) == FH_OK) {
        log_info(
            "saga-handed-over",
            "saga %s %s.%lld continues on another instance (%s): this program does not have the "
            "definition that it began with.",
            row->name, row->birth, (long long)row->number, life);
        manager->handed++;
        return true;
    }
    int64_t now_ns = world_monotonic_ns(manager->context->world);
    if (!manager->stranger_at_ns)
        manager->stranger_at_ns = now_ns;
    if (now_ns - manager->stranger_at_ns >= STRANGERS_MS_MAX * INT64_C(1000000))
        return false;
    manager->strangers++;
    return true;
}

static void add_handed(void *context, const json_t *told)
{
    json_int_t handed = 0;
    json_integer_at(told, "handed", &handed);
    *(int64_t *)context += handed;
}

bool saga_handover_news(struct saga_manager *manager, bool changed)
{
    int64_t handed = 0;
    lease_told(manager->context->leases, add_handed, &handed);
    bool due =
        manager->strangers && world_monotonic_ns(manager->context->world) - manager->looked_at_ns >=
                                  STRANGERS_LOOK_MS * INT64_C(1000000);
    bool news = changed || handed != manager->handed_seen || due;
    manager->handed_seen = handed;
    return news;
}
