/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Derived stores as handlers see them. What is derived is written at once, in the unit of work, so
 * that a value which is unfit ends the handler where it was given. A question in a GET handler
 * reads its snapshot. In any other it is asking, as fh_peek is: what a service asks of a derived
 * store must not depend on whether that lies in its own transaction.
 *
 * A text that is unfit came from a client or another service, and is answered with 422. A value
 * that is not as declared, an unknown name or field are the service's fault.
 */

#include "store/derived/derived.h"

#include <string.h>

#include "work/work.h"

#define DERIVED_CHANGES_MAX 1000

/* The public name is a macro that passes on how large the caller's struct is. */
#undef fh_search

static const struct fh_derived *derived_declared(fh_work *w, const char *called, const char *name)
{
    const struct fh_derived *declared = derived_find(w->context->service, name);
    if (!declared)
        work_fault(w, "%s of %s: it is not among the declared `derives` of %s.", called, name,
                   w->context->service->name);
    return declared;
}

/* An error that names no field is the handler's fault, not the client's. */
static _Noreturn void fail_derived(fh_work *w, struct fh_error *error)
{
    if (error->code == FH_INVALID && !error->field[0])
        error->code = FH_UNSUPPORTED;
    work_fail(w, error);
}

/* What both changes begin with. */
static struct store_work *begin_deriving(fh_work *w, const char *key)
{
    struct fh_error error;
    struct store_work *work = work_store_write(w);
    if (++w->derived > DERIVED_CHANGES_MAX)
        work_fault(w, "One unit of work derives at most %d values.", DERIVED_CHANGES_MAX);
    if (derived_key_check(key, &error) != FH_OK)
        fail_derived(w, &error);
    return work;
}

void fh_derive(fh_work *w, const char *name, const char *key, json_t *value)
{
    const struct fh_derived *declared = derived_declared(w, "fh_derive", name);
    struct store_work *work = begin_deriving(w, key);
    struct fh_error error;
    if (derived_value_check(declared, value, &error) != FH_OK)
        fail_derived(w, &error);
    work_waits(w);
    if (derived_engine(work->store)->put(work, declared, key, value, &error) != FH_OK)
        work_fail(w, &error);
}

void fh_derive_gone(fh_work *w, const char *name, const char *key)
{
    const struct fh_derived *declared = derived_declared(w, "fh_derive_gone", name);
    struct store_work *work = begin_deriving(w, key);
    struct fh_error error;
    work_waits(w);
    if (derived_engine(work->store)->remove(work, declared, key, &error) != FH_OK)
        work_fail(w, &error);
}

static enum fh_code search_committed(fh_work *w, const struct fh_derived *declared,
                                     const struct fh_search *search, json_t **ret,
                                     struct fh_error *error)
{
    struct store_work *work;
    work_must_be_asking(w, "fh_search");
    enum fh_code code = store_begin(w->context->store, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    code = derived_engine(work->store)->search(work, declared, search, ret, error);
    store_rollback(work);
    return code;
}

json_t *fh_search(fh_work *w, const char *name, size_t size, const struct fh_search *search)
{
    const struct fh_derived *declared = derived_declared(w, "fh_search", name);
    struct fh_search known = {0};
    struct fh_error error;
    json_t *answer = NULL;
    memcpy(&known, search, size < sizeof known ? size : sizeof known);
    if (w->read_only) {
        struct store_work *work = work_store_read(w);
        error.code = derived_engine(work->store)->search(work, declared, &known, &answer, &error);
    } else {
        error.code = search_committed(w, declared, &known, &answer, &error);
    }
    if (error.code != FH_OK)
        fail_derived(w, &error);
    return answer;
}
