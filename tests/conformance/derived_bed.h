/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_DERIVED_BED_H
#define TESTS_DERIVED_BED_H

/* What cases of derived stores of every model have in common. */

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "conformance.h"
#include "store/derived/derived.h"

static inline const struct derived_ops *derived(struct conformance *c)
{
    return derived_engine(c->store);
}

static inline bool keeps_derived(const struct engine *engine)
{
    return engine->derived;
}

/* Valgrind computes with no more than doubles, where others have 64 bits of an integer. */
static inline bool adds_beyond_doubles(const struct engine *engine)
{
    volatile long double most = DBL_MAX;
    most *= 2;
    return keeps_derived(engine) && most / 2 == DBL_MAX;
}

static inline enum fh_code prepare(struct conformance *c, const struct fh_derived *declared,
                                   int count)
{
    static fh_service service; /* too large for a fiber's stack */
    memset(&service, 0, sizeof service);
    service.name = "conformance";
    for (int i = 0; i < count; i++)
        service.derives[i] = declared[i];
    return derived_prepare(c->store, &service, 0, &c->error);
}

/* ---- What is listed of points and facts ---- */

struct derived_listed {
    char text[256];
    int room;
};

static bool take_listed(void *context, const struct derived_fact *fact)
{
    struct derived_listed *listed = context;
    size_t length = strlen(listed->text);
    if (listed->room-- == 0)
        return false;
    snprintf(listed->text + length, sizeof listed->text - length, "%lld@%lld ", (long long)fact->id,
             (long long)fact->at_ms);
    return true;
}

/* Whether these, "ID@AT_MS ID@AT_MS ", come behind `after` (NULL: the first one). */
static inline bool lists(struct conformance *c, const struct fh_derived *declared,
                         const struct derived_fact *after, int64_t oldest_ms, int limit,
                         const char *expected)
{
    struct derived_listed listed = {.room = limit};
    struct store_work *work = conformance_begin(c, STORE_READ);
    if (!work)
        return false;
    enum fh_code code =
        derived(c)->list(work, declared, after, oldest_ms, take_listed, &listed, &c->error);
    conformance_rollback(c, work);
    if (code == FH_OK && strcmp(listed.text, expected) == 0)
        return true;
    conformance_note(c, __FILE__, __LINE__, code == FH_OK ? listed.text : c->error.message);
    return false;
}

#endif
