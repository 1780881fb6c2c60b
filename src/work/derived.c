/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Derived stores as handlers see them. What is derived is written at once, in the unit of work, so
 * that a value which is unfit ends the handler where it was given; or noted, where the derived
 * store lies on a server (carried.c). A question in a GET handler reads its snapshot. In any other
 * it is asking, as fh_peek is: what a service asks of a derived store must not depend on whether
 * that lies in its own transaction.
 *
 * A text that is unfit came from a client or another service, and is answered with 422. A value
 * that is not as declared, an unknown name or field are the service's fault.
 */

#include "work/derived.h"

#include <string.h>

#include "base/json.h"
#include "work/carried.h"
#include "work/gate.h"

#define DERIVED_CHANGES_MAX 1000

/* The public name is a macro that passes on how large the caller's struct is. */
#undef fh_search

const struct fh_derived *derived_declared(fh_work *w, const char *called, const char *name,
                                          enum fh_model model)
{
    const struct fh_derived *declared = derived_find(w->context->service, name);
    if (!declared)
        work_fault(w, "%s of %s: it is not among the declared `derives` of %s.", called, name,
                   w->context->service->name);
    if (declared->model != model)
        work_fault(w, "%s of %s: it is declared as %s.", called, name,
                   derived_model_name(declared->model));
    return declared;
}

_Noreturn void derived_fail(fh_work *w, struct fh_error *error)
{
    if (error->code == FH_INVALID && !error->field[0])
        error->code = FH_UNSUPPORTED;
    work_fail(w, error);
}

/* It may take long, and wait for others that do: whatever else is to be done has its place. */
static enum fh_code ask_in(fh_work *w, struct store_work *work, const struct fh_derived *declared,
                           derived_question *question, const void *what, json_t **ret,
                           struct fh_error *error)
{
    work_parks(w);
    if (w->deadline_ns > 0)
        work->deadline_ns = w->deadline_ns;
    work_gate_question(w);
    enum fh_code code = question(w, work, declared, what, ret, error);
    work_gate_answered(w);
    return code;
}

static enum fh_code ask_committed(fh_work *w, const char *called, const struct fh_derived *declared,
                                  derived_question *question, const void *what, json_t **ret,
                                  struct fh_error *error)
{
    struct store_work *work;
    work_must_be_asking(w, called);
    enum fh_code code = store_begin(w->context->store, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    code = ask_in(w, work, declared, question, what, ret, error);
    store_rollback(work);
    return code;
}

json_t *derived_ask(fh_work *w, const char *called, const struct fh_derived *declared,
                    derived_question *question, const void *what)
{
    struct fh_error error;
    json_t *answer = NULL;
    if (w->read_only)
        error.code = ask_in(w, work_store_read(w), declared, question, what, &answer, &error);
    else
        error.code = ask_committed(w, called, declared, question, what, &answer, &error);
    if (error.code != FH_OK)
        derived_fail(w, &error);
    return answer;
}

/* What both changes begin with. */
static struct store_work *begin_deriving(fh_work *w, const char *key)
{
    struct fh_error error;
    struct store_work *work = work_store_write(w);
    if (++w->derived > DERIVED_CHANGES_MAX)
        work_fault(w, "One unit of work derives at most %d values.", DERIVED_CHANGES_MAX);
    if (derived_key_check(key, &error) != FH_OK)
        derived_fail(w, &error);
    return work;
}

void fh_derive(fh_work *w, const char *name, const char *key, json_t *value)
{
    const struct fh_derived *declared = derived_declared(w, "fh_derive", name, FH_SEARCH);
    struct store_work *work = begin_deriving(w, key);
    struct fh_error error;
    if (derived_value_check(declared, value, &error) != FH_OK)
        derived_fail(w, &error);
    derived_marks_check_key(w, "fh_derive", declared, key);
    derived_marks_check(w, "fh_derive", declared, value);
    if (work_carries(w->context, declared)) {
        carried_note(w, declared, key, value);
        return;
    }
    work_waits(w);
    if (derived_engine(work->store)->put(work, declared, key, value, &error) != FH_OK)
        work_fail(w, &error);
}

void fh_derive_gone(fh_work *w, const char *name, const char *key)
{
    const struct fh_derived *declared = derived_declared(w, "fh_derive_gone", name, FH_SEARCH);
    struct store_work *work = begin_deriving(w, key);
    struct fh_error error;
    if (work_carries(w->context, declared)) {
        carried_note(w, declared, key, NULL);
        return;
    }
    work_waits(w);
    if (derived_engine(work->store)->remove(work, declared, key, &error) != FH_OK)
        work_fail(w, &error);
}

static enum fh_code ask_search(fh_work *w, struct store_work *work,
                               const struct fh_derived *declared, const void *what, json_t **ret,
                               struct fh_error *error)
{
    (void)w;
    return derived_engine(work->store)->search(work, declared, what, ret, error);
}

static enum fh_code ask_carried(fh_work *w, const struct fh_derived *declared,
                                derived_asked_check *check, const void *what, json_t **ret,
                                struct fh_error *error)
{
    const struct work_carried *carried = w->context->carried;
    enum fh_code code = check ? check(w, declared, what, error) : FH_OK;
    if (code != FH_OK)
        return code;
    if (!carried->ask)
        return error_set(error, FH_UNAVAILABLE, "The derived store %s can't be asked now.",
                         declared->name);
    return carried->ask(w->context, declared, what, w->deadline_ns, ret, error);
}

/* A GET handler asks at any time, any other before it uses its store. */
json_t *derived_ask_server(fh_work *w, const char *called, const struct fh_derived *declared,
                           derived_asked_check *check, const void *what)
{
    struct fh_error error = {0};
    json_t *given = NULL, *answer;
    if (!w->read_only)
        work_must_be_asking(w, called);
    work_parks(w);
    /* Some are made beside the loop, where there is no arena: so all are on the heap. */
    struct arena *arena = json_arena_set(NULL);
    error.code = ask_carried(w, declared, check, what, &given, &error);
    json_arena_set(arena);
    if (error.code != FH_OK)
        derived_fail(w, &error);
    answer = json_copy_all(given);
    json_arena_set(NULL);
    json_decref(given);
    json_arena_set(arena);
    if (!answer)
        work_fault(w, WORK_MEMORY_FAULT);
    return answer;
}

json_t *fh_search(fh_work *w, const char *name, size_t size, const struct fh_search *search)
{
    const struct fh_derived *declared = derived_declared(w, "fh_search", name, FH_SEARCH);
    struct fh_search known = {0};
    memcpy(&known, search, size < sizeof known ? size : sizeof known);
    json_t *answer = work_carries(w->context, declared)
                         ? derived_ask_server(w, "fh_search", declared, NULL, &known)
                         : derived_ask(w, "fh_search", declared, ask_search, &known);
    derived_marks_found(w, declared, answer);
    return answer;
}
