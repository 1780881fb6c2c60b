/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ANOTHER_INSTANCE_H
#define TESTS_ANOTHER_INSTANCE_H

/* Another process of a case's service, as the ledger knows it: number 9, and what it tells. Header
 * only. */

#include "conformance.h"

#include "store/ledger.h"
#include "work/lease.h"

#define ANOTHER_INSTANCE LEDGER_INSTANCE "9"
#define ANOTHER_HOLDER "9.other"

/* The case's store once more, as a second process of the service has it; the first is opened again
 * where stores must know from the beginning that others share them. */
static inline bool another_opens(struct conformance *c, struct store **ret)
{
    if (!c->engine->share)
        return c->engine->open(&c->harness, c->model, ret, &c->error) == FH_OK;
    c->engine->close(c->store);
    c->store = NULL;
    return c->engine->share(c, &c->store) == FH_OK && c->engine->share(c, ret) == FH_OK;
}

static inline bool another_commits(struct conformance *c, struct store_work *work,
                                   enum fh_code code)
{
    if (code == FH_OK)
        return conformance_commit(c, work) == FH_OK;
    conformance_rollback(c, work);
    return false;
}

/* NULL: it has told nothing. */
static inline bool another_joins(struct conformance *c, const char *note)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return false;
    enum fh_code code = ledger_lease_take(work, ANOTHER_INSTANCE, 0, ANOTHER_HOLDER, &c->error);
    if (code == FH_OK && note)
        code = ledger_lease_renew(work, ANOTHER_INSTANCE, ANOTHER_HOLDER, note, &c->error);
    return another_commits(c, work, code);
}

static inline bool another_tells(struct conformance *c, const char *note)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    return work && another_commits(
                       c, work,
                       ledger_lease_renew(work, ANOTHER_INSTANCE, ANOTHER_HOLDER, note, &c->error));
}

static inline bool another_leaves(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    return work &&
           another_commits(
               c, work, ledger_lease_drop(work, ANOTHER_INSTANCE, ANOTHER_HOLDER, -1, &c->error));
}

#endif
