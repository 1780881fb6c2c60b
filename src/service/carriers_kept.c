/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points and facts that a server alone has (docs/internals/carriers.md, 23 to 30), as the service's
 * configuration says: {"derives": {"sold": {"driver": "clickhouse", ..., "kept": true}}}.
 *
 * The outbox is the only place of what is not durable there yet, so it is held whatever its bounds
 * are; what would bring it beyond `events_max` is refused instead. And where facts lie is no matter
 * of the configuration alone, once there are any: neither the service's own store nor the server
 * can be made the place of what only the other one has. So the service does not start then.
 */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/manager.h"
#include "service/carriers.h"
#include "store/derived/series.h"
#include "work/retention.h"

enum fh_code carriers_kept_check(const struct carried_driver *driver,
                                 const struct fh_derived *declared, struct fh_error *error)
{
    char why[160];
    bool keeps = carried_keeps(driver, declared->model, why);
    if (keeps && series_rollup_count(declared) == 0)
        return FH_OK;
    if (keeps)
        snprintf(why, sizeof why, CARRIED_KEEPS_NO_ROLLUPS);
    return error_set(error, FH_INVALID, "The derived store %s can't be kept by its server: %s.",
                     declared->name, why);
}

/* ---- Where facts are ---- */

static enum fh_code check_record(const struct carrying_fiber *fiber,
                                 const struct fh_derived *declared,
                                 const struct carried_record *record, struct fh_error *error)
{
    const struct carried_generation *serving = &record->serving;
    bool kept = fiber && fiber->carrier.kept;
    char digest[DERIVED_DIGEST_SIZE];
    derived_digest(declared, digest);
    if (serving->name.kept && !kept)
        return error_set(error, FH_UNSUPPORTED,
                         "A server alone has the derived store %s: expected `kept` in the system "
                         "file, as it was, or another name for a new one.",
                         declared->name);
    bool was_copied = serving->name.number || record->filling.name.number || record->last;
    if (kept && was_copied && !serving->name.kept)
        return error_set(error, FH_UNSUPPORTED,
                         "A server has had a copy of the derived store %s: it can't become `kept`; "
                         "expected a new one, of another name.",
                         declared->name);
    if (serving->name.kept && strcmp(serving->digest, digest) != 0)
        return error_set(error, FH_UNSUPPORTED,
                         "The derived store %s was declared otherwise when its server began to "
                         "keep it: expected that declaration, or another name.",
                         declared->name);
    return FH_OK;
}

static bool is_a_fact(void *context, const struct derived_fact *fact)
{
    (void)fact;
    *(bool *)context = true;
    return false;
}

static enum fh_code check_own_facts(struct store_work *work, const struct fh_derived *declared,
                                    struct fh_error *error)
{
    bool some = false;
    enum fh_code code =
        derived_engine(work->store)->list(work, declared, NULL, INT64_MIN, is_a_fact, &some, error);
    if (code == FH_OK && some)
        return error_set(error, FH_UNSUPPORTED,
                         "The service's own store has something in the derived store %s: it can't "
                         "become `kept`; expected a new one, of another name.",
                         declared->name);
    return code;
}

static enum fh_code prepare_kept(struct runtime *runtime, struct store_work *work,
                                 const struct fh_derived *declared, bool own,
                                 struct fh_error *error)
{
    struct carrying_fiber *fiber = carriers_find(&runtime->context, declared->name);
    bool kept = fiber && fiber->carrier.kept;
    struct carried_record *record;
    char id[ID_SIZE];
    enum fh_code code = carried_record_get(work, declared->name, &record, error);
    if (code == FH_OK)
        code = check_record(fiber, declared, record, error);
    if (code == FH_OK && kept) {
        fiber->settled = record->serving.kept.settled;
        if (!record->serving.name.number)
            code = ledger_outbox_trimmed(work, &fiber->settled, id, error);
    }
    free(record);
    bool looks = kept && own && derived_engine(work->store);
    return code == FH_OK && looks ? check_own_facts(work, declared, error) : code;
}

enum fh_code carriers_kept_prepare(struct runtime *runtime, bool own, struct fh_error *error)
{
    const fh_service *service = runtime->service;
    struct store_work *work;
    bool some = false;
    for (int i = 0; i < derived_count(service); i++)
        some |= service->derives[i].model != FH_SEARCH;
    if (!some)
        return FH_OK;
    enum fh_code code = store_begin(runtime->context.store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    for (int i = 0; i < derived_count(service) && code == FH_OK; i++) {
        if (service->derives[i].model != FH_SEARCH)
            code = prepare_kept(runtime, work, &service->derives[i], own, error);
    }
    store_rollback(work);
    return code;
}

/* So that a carrier which gets to it later, and whoever trims the outbox meanwhile, know of it. */
enum fh_code carriers_kept_begin(struct runtime *runtime, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0; runtime->context.serves && i < derived_count(runtime->service); i++) {
        struct carrying_fiber *fiber =
            carriers_find(&runtime->context, runtime->service->derives[i].name);
        if (!fiber || !fiber->carrier.kept)
            continue;
        code = carrier_begin_kept(&fiber->carrier, error);
        if (code != FH_OK)
            break;
        if (fiber->carrier.counters.begun)
            log_info("derived-kept", "%s alone has the derived store %s from now on",
                     fiber->driver->title, fiber->carrier.declared->name);
    }
    return code;
}

/* ---- Room ---- */

enum fh_code carriers_kept_take(struct work_context *context, const struct fh_derived *declared,
                                int64_t at_ms, struct fh_error *error)
{
    const struct carrying_fiber *fiber = carriers_find(context, declared->name);
    const struct runtime *runtime = fiber->carriers->runtime;
    const struct carried_driver *driver = fiber->driver;
    int64_t most = retention_of(runtime->config).events_max;
    if (driver->from_ms < driver->to_ms && (at_ms < driver->from_ms || at_ms >= driver->to_ms))
        return derived_unfit(error, "at_ms", "`at_ms` is a time that %s can't store.",
                             driver->title);
    if (context->events->position - fiber->settled < most)
        return FH_OK;
    return error_retry(
        error, FH_UNAVAILABLE,
        "%s does not have everything that was derived for %s yet, and the outbox has no room for "
        "more (events_max).",
        fiber->driver->title, declared->name);
}

/* ---- What is given up ---- */

enum fh_code carriers_accept_loss(struct runtime *runtime, const char *name, json_t **ret,
                                  struct fh_error *error)
{
    struct carrying_fiber *fiber = carriers_ask_for(runtime, name, error);
    struct carried_loss loss;
    if (!fiber)
        return error->code;
    enum fh_code code = carrier_accept_loss(&fiber->carrier, &loss, error);
    if (code != FH_OK)
        return code;
    log_warning(
        "derived-accepted",
        "what %s has lost of the derived store %s was given up: some or all of what was derived at "
        "positions %lld to %lld",
        fiber->driver->title, name, (long long)loss.after + 1, (long long)loss.to);
    *ret = json_pack("{s:s, s:I, s:I}", "name", name, "after", (json_int_t)loss.after, "to",
                     (json_int_t)loss.to);
    carriers_hurry(fiber->carriers);
    return FH_OK;
}
