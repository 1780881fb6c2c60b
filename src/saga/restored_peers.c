/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is stored about other services, for restores: fh_meta's "peers", a JSON object with one
 * member for each. {"payments": {"told": our incarnation when it was notified of our restore;
 * "announced": its incarnation, as it announced it; "seen": the incarnation that was dealt with,
 * and its "ancestors"}}. And the report as it is shown.
 */

#include "saga/restored.h"

#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "saga/manager.h"
#include "work/batch.h"

#define PEERS "peers"        /* in fh_meta */
#define PEERS_SIZE_MAX 60000 /* a MariaDB TEXT holds little more */

/* ---- Storage ---- */

/* {} if there is none yet. On the heap: the caller has set the JSON arena to NULL. */
static enum fh_code peers_read(struct store_work *work, json_t **ret, struct fh_error *error)
{
    char *text = malloc(PEERS_SIZE_MAX + 1);
    FH_ASSERT(text != NULL);
    *ret = NULL;
    enum fh_code code = ledger_meta_get(work, PEERS, text, PEERS_SIZE_MAX + 1, error);
    if (!code && text[0])
        code = json_parse(text, strlen(text), ret, error);
    if (!code && !*ret)
        *ret = json_object();
    free(text);
    return code;
}

/* Stores `fields` of one peer, and what they add to the report. */
static enum fh_code peer_put(struct saga_manager *manager, struct saga_target *target,
                             json_t *fields, saga_peer_look *look, struct store_work *work,
                             struct fh_error *error)
{
    json_t *peers;
    struct restored_news news = {0};
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = peers_read(work, &peers, error);
    if (!code && look)
        code = look(manager, target, json_object_get(peers, target->name), work, &news, error);
    if (!code && !json_object_get(peers, target->name))
        json_object_set_new(peers, target->name, json_object());
    if (!code) {
        json_object_update(json_object_get(peers, target->name), fields);
        char *text = json_text(peers);
        code = strlen(text) <= PEERS_SIZE_MAX
                   ? ledger_meta_put(work, PEERS, text, error)
                   : error_set(error, FH_UNSUPPORTED, "Too many services are remembered.");
        json_text_free(text);
    }
    json_decref(peers);
    json_arena_set(arena);
    if (!code)
        code = restored_put(work, &news, world_wall_ms(manager->context->world), error);
    restored_news_release(&news);
    return code;
}

/* In a transaction of its own; `look`, if not NULL, adds to the news what it finds in it. */
enum fh_code saga_peer_store(struct saga_manager *manager, struct saga_target *target,
                             json_t *fields, saga_peer_look *look, struct fh_error *error)
{
    struct work_tries tries = {0};
    enum fh_code code;
    do {
        struct store_work *work;
        *error = (struct fh_error){0};
        code = store_begin(manager->context->store, work_tries_mode(&tries), &work, error);
        if (code)
            continue;
        code = peer_put(manager, target, fields, look, work, error);
        CRASH_POINT("restored.recorded");
        if (code)
            store_rollback(work);
        else
            code = store_commit(work, error);
        CRASH_POINT("restored.durable");
    } while (code == FH_CONFLICT && error->retryable && !manager->stopping &&
             work_retry(manager->context, &tries, -1));
    struct arena *arena = json_arena_set(NULL);
    json_decref(fields);
    json_arena_set(arena);
    return code;
}

void saga_peer_lives(struct saga_manager *manager, struct saga_target *target, const char *present,
                     const json_t *ancestors)
{
    if (!target->lives)
        target->lives = calloc(1, sizeof *target->lives);
    FH_ASSERT(target->lives != NULL);
    lives_of(present, ancestors, target->lives);
    manager->judges = true;
}

/* Takes over what is stored about a peer, by this instance or another. */
static void take_peer(struct saga_manager *manager, struct saga_target *target,
                      const json_t *stored)
{
    const char *seen = json_string_at(stored, "seen");
    const char *announced = json_string_at(stored, "announced");
    const char *told = json_string_at(stored, "told");
    if (seen && (!target->lives || strcmp(seen, target->lives->present) > 0))
        saga_peer_lives(manager, target, seen, json_object_get(stored, "ancestors"));
    if (seen && strcmp(seen, target->seen) > 0)
        snprintf(target->seen, sizeof target->seen, "%s", seen);
    if (announced && (!seen || strcmp(announced, seen) > 0))
        target->looks = true;
    if (told && strcmp(told, manager->context->store->incarnation) == 0)
        target->untold = false;
}

enum fh_code saga_peers_take(struct saga_manager *manager, struct store_work *work,
                             struct fh_error *error)
{
    json_t *peers, *stored;
    const char *name;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = peers_read(work, &peers, error);
    if (!code) {
        json_object_foreach (peers, name, stored)
            take_peer(manager, saga_manager_target(manager, name), stored);
    }
    json_decref(peers);
    json_arena_set(arena);
    return code;
}

/* ---- The report ---- */

static json_t *lives_restored(const struct lives *lives)
{
    json_t *list = json_array();
    for (int i = 0; i < lives->count; i++) {
        if (lives->before[i].restored)
            json_array_append_new(list, json_pack("{s:s, s:I}", "incarnation",
                                                  lives->before[i].incarnation, "position",
                                                  (json_int_t)lives->before[i].position));
    }
    return list;
}

static json_t *names_of(const struct saga_manager *manager, bool looking)
{
    json_t *list = json_array();
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    while (map_next(&manager->targets, &entry, &name, &value)) {
        const struct saga_target *target = value;
        if (looking ? target->looks : target->untold)
            json_array_append_new(list, json_string(name));
    }
    return list;
}

enum fh_code saga_restored_show(struct saga_manager *manager, json_t **ret, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (code)
        return code;
    code = restored_get(work, ret, error);
    if (!code)
        code = saga_peers_take(manager, work, error); /* another instance may have notified them */
    store_rollback(work);
    if (code)
        return code;
    json_object_set_new(*ret, "service", json_string(manager->context->service->name));
    json_object_set_new(*ret, "incarnation", json_string(manager->lives.present));
    json_object_set_new(*ret, "restored", lives_restored(&manager->lives));
    json_object_set_new(*ret, "untold", names_of(manager, false));
    json_object_set_new(*ret, "looking", names_of(manager, true));
    return FH_OK;
}

int64_t saga_restored_waits(struct saga_manager *manager)
{
    struct store_work *work;
    int64_t count = 0;
    if (store_begin(manager->context->store, STORE_READ_COMMITTED, &work, ERROR_UNHEEDED) != FH_OK)
        return 0;
    restored_count(work, &count, ERROR_UNHEEDED);
    store_rollback(work);
    return count;
}

static enum fh_code seen_put(struct store_work *work, void *what, struct fh_error *error)
{
    return restored_seen(work, what, error);
}

enum fh_code saga_restored_seen(struct saga_manager *manager, struct restored_seen *seen,
                                struct fh_error *error)
{
    return work_write(manager->context, seen_put, seen, -1, error);
}
