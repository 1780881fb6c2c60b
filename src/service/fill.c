/* SPDX-License-Identifier: Apache-2.0 */
/* Making a store from another one, including what a store records about itself, which copying rows
 * does not cover. */

#include "service/fill.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "carrier/record.h"
#include "service/runtime.h"
#include "store/ledger.h"
#include "store/model.h"

#define TOLD_MS 300 /* between two progress reports */
#define LOGGED_MS 2000

enum fh_code service_store_prepare(const fh_service *service, struct store *store,
                                   const char *migrations, struct fh_error *error)
{
    struct model_data data = model_data_of(service);
    int applied;
    if (model_of(service->model)->has_migrations)
        return service_migrate(store, migrations, &applied, error);
    return model_prepare(store, &data, error);
}

/* ---- copying ---- */

enum fh_code service_store_copy(const fh_service *service, const struct copy_options *options,
                                struct copy_result *ret, struct fh_error *error)
{
    struct copy_count count = {0};
    struct copy_options counted = *options;
    struct model_data data = model_data_of(service);
    counted.count = &count;
    counted.along = carried_kept_copy;
    counted.service = service;
    *ret = (struct copy_result){0};
    return model_of(service->model)->copy(&counted, &data, ret, error);
}

void fill_told(void *context, const struct copy_step *step)
{
    struct fill_watch *filling = context;
    const struct course *course = &step->course;
    int64_t now_ns = world_monotonic_ns(filling->world);
    if (filling->logged_ns && now_ns >= filling->logged_ns)
        log_info("store-fill-continued",
                 "%s the store: %" PRId64 " of %s%" PRId64 " rows; it is at %s", filling->doing,
                 course->done, course->guessed ? "about " : "", course->total, course->of);
    if (now_ns >= filling->logged_ns)
        filling->logged_ns = world_in_ms(filling->world, LOGGED_MS);
    if (now_ns < filling->told_ns || !filling->watch->told)
        return;
    filling->told_ns = world_in_ms(filling->world, TOLD_MS);
    filling->watch->told(filling->watch->context, course);
}

/* ---- what a store records about itself ---- */

static bool see_any_migration(void *context, int64_t version, const char *name,
                              const char *checksum)
{
    (void)version;
    (void)name;
    (void)checksum;
    *(bool *)context = true;
    return false;
}

enum fh_code service_store_used(const fh_service *service, struct store *store, bool *ret,
                                struct fh_error *error)
{
    struct model_data data = model_data_of(service);
    struct store_work *work;
    int64_t position = 0;
    *ret = false;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_position(work, &position, error);
    if (code == FH_OK)
        code = ledger_migrations_get(work, see_any_migration, ret, error);
    store_rollback(work);
    *ret |= position > 0;
    if (code != FH_OK || *ret)
        return code;
    return model_of(service->model)->is_used(store, &data, ret, error);
}

static enum fh_code read_self(struct store *store, char ancestors[static LEDGER_ANCESTORS_SIZE],
                              struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_meta_get(work, LEDGER_ANCESTORS, ancestors, LEDGER_ANCESTORS_SIZE, error);
    store_rollback(work);
    return code;
}

enum fh_code service_store_become(struct store *from, struct store *to,
                                  const struct store_becoming *becoming, struct fh_error *error)
{
    struct store_work *work;
    char ancestors[LEDGER_ANCESTORS_SIZE];
    enum fh_code code = read_self(from, ancestors, error);
    if (code == FH_OK)
        code = store_begin(to, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_meta_put(work, LEDGER_INCARNATION, from->incarnation, error);
    if (code == FH_OK)
        code = ledger_meta_put(work, LEDGER_ANCESTORS, ancestors, error);
    for (size_t i = 0; i < becoming->count && code == FH_OK; i++)
        code = ledger_meta_put(work, becoming->marks[i].name, becoming->marks[i].value, error);
    if (code == FH_OK && becoming->renew)
        code = ledger_incarnation_renew_above(work, becoming->restored, becoming->above, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}
