/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing here is remembered: a process that is killed, and started again, goes on from the cursors
 * in the new store. "Has all that there is" is decided by what publishers last said, each within
 * one question of now, so that under load it does not wait for a moment without events.
 */

#include "service/rebuild.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "event/subscribe/subscribe.h"
#include "service/runtime.h"
#include "store/beside.h"
#include "store/derived/derived.h"
#include "store/ledger.h"
#include "store/model.h"

#define LOOK_MS 100
#define TOLD_MS 500
#define FORMER_LAGS_MS_MAX 30000

bool service_is_rebuilt(const json_t *config)
{
    return json_is_object(json_object_get(config, "rebuild"));
}

bool service_rebuild_joins(const fh_service *service)
{
    return service->publishes[0].type || service->sagas[0].name;
}

static const char *first_command(const fh_service *service)
{
    const size_t count = sizeof service->routes / sizeof *service->routes;
    for (size_t i = 0; i < count && service->routes[i].method; i++) {
        if (strcmp(service->routes[i].method, "GET") != 0)
            return service->routes[i].path;
    }
    return NULL;
}

/* Handlers that may change rows, when others have answered. */
static bool handles_sagas(const fh_service *service)
{
    const size_t count = sizeof service->sagas / sizeof *service->sagas;
    for (size_t i = 0; i < count && service->sagas[i].name; i++) {
        const fh_step *step = service->sagas[i].steps;
        while (step && step->name && !step->run)
            step++;
        if (service->sagas[i].undone || (step && step->name))
            return true;
    }
    return false;
}

/* Of which the points are nowhere else. */
static bool keeps_facts(const fh_service *service)
{
    for (int i = 0; i < derived_count(service); i++) {
        if (service->derives[i].model != FH_SEARCH)
            return true;
    }
    return false;
}

enum fh_code service_may_be_rebuilt(const fh_service *service, struct fh_error *error)
{
    const char *own = first_command(service)   ? "takes commands"
                      : handles_sagas(service) ? "handles steps of sagas, or their undoing, itself"
                      : service->timers[0].name || service->every[0].name ? "has timers"
                      : service->takes_over[0].service ? "has taken over what was another's"
                      : keeps_facts(service)           ? "keeps series or columns"
                                                       : NULL;
    if (own)
        return error_set(error, FH_UNSUPPORTED,
                         "%s %s, and the effects are in its own store alone: only a service of "
                         "which all rows come from others' events can be rebuilt from them.",
                         service->name, own);
    if (!service->subscribes[0].service)
        return error_set(error, FH_UNSUPPORTED,
                         "%s subscribes to nothing that its store could be rebuilt from.",
                         service->name);
    return FH_OK;
}

/* A server's is among the terms of the rebuild: a program from before there were such rebuilds
 * finds none, and so does not fill the store that serves. */
enum fh_code service_rebuild_enter(const json_t *config, struct fh_error *error)
{
    const char *folder = json_string_at(config, "folder");
    json_t *store = json_at(config, "rebuild.store");
    if (store)
        json_object_set((json_t *)(uintptr_t)config, "store", store); /* this process's own */
    if (folder && (mkdir(folder, 0700) == 0 || errno == EEXIST) && chdir(folder) == 0)
        return FH_OK;
    return error_set_errno(error, FH_UNAVAILABLE, errno, "The folder %s can't be made",
                           folder ? folder : "of the new store");
}

/* ---- How far it is ---- */

struct filled {
    bool all;      /* that there is */
    int64_t done;  /* events passed and rows applied */
    int64_t total; /* events published */
    bool resynced; /* some come as their publisher's state, and nobody knows how much that is */
    int64_t parked;
    char parked_source[64];
};

static enum fh_code look_at_filled(const struct event_manager *manager, struct filled *ret,
                                   struct fh_error *error)
{
    const struct subscription *at = NULL;
    *ret = (struct filled){.all = true};
    while ((at = subscription_next(manager, at))) {
        struct subscription_view view;
        subscription_view(at, &view);
        if (view.stopped)
            return error_set(error, FH_CONFLICT, "The subscription to %s has stopped: %.300s",
                             view.source, view.reason);
        ret->all &= view.caught_up;
        ret->done += view.resynced ? (int64_t)(view.resynced + view.applied) : view.position;
        ret->total += view.last;
        ret->resynced |= view.resynced > 0;
        if (view.parked_events && !ret->parked)
            snprintf(ret->parked_source, sizeof ret->parked_source, "%s", view.source);
        ret->parked += view.parked_events;
    }
    return FH_OK;
}

static void tell_filled(const struct runtime *runtime, const struct filled *filled)
{
    struct course course = {
        .done = filled->done, .total = filled->resynced ? 0 : filled->total, .of = COURSE_EVENTS};
    if (runtime->host->told)
        runtime->host->told((struct runtime *)(uintptr_t)runtime, &course);
}

static bool fill_is_over(const struct runtime *runtime, const struct filled *filled)
{
    bool takes_parked = json_is_true(json_at(runtime->config, "rebuild.takes_parked"));
    return filled->all || (filled->parked && !takes_parked);
}

static enum fh_code asked_to_end(struct fh_error *error)
{
    return error_set(
        error, FH_UNAVAILABLE,
        "The process that fills the new store was asked to end before it was complete.");
}

static enum fh_code fill_all(struct runtime *runtime, struct filled *ret, struct fh_error *error)
{
    int64_t told_ns = 0;
    enum fh_code code;
    while ((code = look_at_filled(runtime->context.events, ret, error)) == FH_OK &&
           !fill_is_over(runtime, ret) && runtime->phase != RUNTIME_DRAINING) {
        int64_t now_ns = world_monotonic_ns(runtime->world);
        if (now_ns >= told_ns) {
            tell_filled(runtime, ret);
            told_ns = now_ns + TOLD_MS * INT64_C(1000000);
        }
        fiber_sleep_until(runtime->world, world_in_ms(runtime->world, LOOK_MS));
    }
    tell_filled(runtime, ret);
    if (code == FH_OK && !fill_is_over(runtime, ret))
        code = asked_to_end(error);
    return code;
}

/* What follows from an event that the new store has applied, and the other one has not, would never
 * happen (rebuild_join.h). Where that can be seen from here, it is waited for, while the service
 * still serves. */
static enum fh_code await_former(struct runtime *runtime, struct fh_error *error)
{
    bool leads = true;
    struct store *store = runtime->context.store;
    int64_t until_ns = world_in_ms(runtime->world, FORMER_LAGS_MS_MAX);
    event_manager_drain(runtime->context.events);
    event_manager_wait(runtime->context.events);
    enum fh_code code = store->engine->beside->leads(store, &leads, error);
    while (code == FH_OK && leads && runtime->phase != RUNTIME_DRAINING) {
        if (world_monotonic_ns(runtime->world) >= until_ns)
            return error_set(error, FH_CONFLICT,
                             "It lags by more than %d s behind what its new store has applied: try "
                             "again when it lags no more.",
                             FORMER_LAGS_MS_MAX / 1000);
        fiber_sleep_until(runtime->world, world_in_ms(runtime->world, LOOK_MS));
        code = store->engine->beside->leads(store, &leads, error);
    }
    return code == FH_OK && leads ? asked_to_end(error) : code;
}

/* The serving process goes on with the new store as it is: with the migrations that it has now. */
static enum fh_code has_same_schema(const struct runtime *runtime, struct fh_error *error)
{
    json_int_t serving = 0;
    if (!model_of(runtime->service->model)->has_migrations ||
        !json_integer_at(runtime->config, "rebuild.migration", &serving) ||
        service_migrated(runtime->context.store) == serving)
        return FH_OK;
    return error_set(
        error, FH_CONFLICT,
        "The migrations are not those that its store has been through (the newest of these is "
        "%lld): upgrade it first.",
        (long long)serving);
}

/* So that no service takes it for a whole one. */
static enum fh_code mark_filled_store(struct store *store, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_meta_put(work, LEDGER_UNFINISHED, LEDGER_REBUILT, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static enum fh_code has_none_parked(const struct runtime *runtime, const struct filled *filled,
                                    struct fh_error *error)
{
    if (!filled->parked || json_is_true(json_at(runtime->config, "rebuild.takes_parked")))
        return FH_OK;
    return error_set(
        error, FH_CONFLICT,
        "An event of %s could not be applied to the new store: see rebuild.log. With --force such "
        "events are left out.",
        filled->parked_source);
}

/* Of a store on a server: only looked at, or to be taken soon. */
static enum fh_code end_beside(struct runtime *runtime, struct fh_error *error)
{
    struct store *store = runtime->context.store;
    if (!store->engine->beside)
        return FH_OK;
    if (json_is_true(json_at(runtime->config, "rebuild.keeps")))
        return store->engine->beside->keep(store, error);
    return service_rebuild_joins(runtime->service) ? await_former(runtime, error) : FH_OK;
}

enum fh_code service_rebuild_fill(struct runtime *runtime, struct fh_error *error)
{
    struct filled filled = {0};
    if (runtime->host->works)
        runtime->host->works(runtime, true);
    CRASH_POINT("rebuild.begun");
    enum fh_code code = has_same_schema(runtime, error);
    if (code == FH_OK && service_rebuild_joins(runtime->service))
        code = mark_filled_store(runtime->context.store, error);
    if (code == FH_OK)
        code = fill_all(runtime, &filled, error);
    if (code == FH_OK)
        code = has_none_parked(runtime, &filled, error);
    if (code == FH_OK)
        code = end_beside(runtime, error);
    CRASH_POINT("rebuild.filled");
    if (runtime->host->works)
        runtime->host->works(runtime, false);
    if (code == FH_OK)
        log_info("store-rebuilt", "the new store is complete: %lld events or rows",
                 (long long)filled.done);
    return code;
}
