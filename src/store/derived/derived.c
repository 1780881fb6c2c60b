/* SPDX-License-Identifier: Apache-2.0 */
/* Derived stores of a service, whichever engine keeps them. */

#include "store/derived/derived.h"

#include "store/engine.h"

const struct derived_ops *derived_engine(const struct store *store)
{
    return store->engine->derived;
}

const char *derived_model_name(enum fh_model model)
{
    return model == FH_SEARCH ? "FH_SEARCH" : model == FH_SERIES ? "FH_SERIES" : "FH_COLUMNS";
}

static enum fh_code look_for_any(struct store *store, bool *ret, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = derived_engine(store)->any(work, ret, error);
    store_rollback(work);
    return code;
}

enum fh_code derived_prepare(struct store *store, const fh_service *service, unsigned carried,
                             struct fh_error *error)
{
    const struct derived_ops *derived = derived_engine(store);
    struct fh_derived inside[sizeof service->derives / sizeof *service->derives];
    int count = 0;
    for (int i = 0; i < derived_count(service); i++) {
        if (!(carried >> i & 1) || (derived && service->derives[i].model != FH_SEARCH))
            inside[count++] = service->derives[i];
    }
    struct store_work *work;
    if (!derived)
        return count ? error_set(error, FH_UNSUPPORTED, "%s keeps no derived stores.",
                                 store->engine->title)
                     : FH_OK;
    bool any = count > 0;
    enum fh_code code = any ? FH_OK : look_for_any(store, &any, error);
    if (code == FH_OK && any)
        code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK || !any)
        return code;
    code = derived->prepare(work, inside, count, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}
