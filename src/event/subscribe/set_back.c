/* SPDX-License-Identifier: Apache-2.0 */
/* What is durable of it: see set_back.h. */

#include "event/subscribe/set_back.h"

#include <stdio.h>

/* Of any number but 0, so that it is none of a cursor that was not begun yet. */
#define COUNTED "counted"

static void set_back_source(const char *source, char ret[static SET_BACK_SOURCE_SIZE])
{
    int length = snprintf(ret, SET_BACK_SOURCE_SIZE, "%s" SET_BACK_SUFFIX, source);
    FH_ASSERT(length < SET_BACK_SOURCE_SIZE);
}

enum fh_code set_back_put(struct store_work *work, const struct subscription *s, int64_t *ret,
                          struct fh_error *error)
{
    char source[SET_BACK_SOURCE_SIZE];
    struct ledger_cursor before, next = {.incarnation = COUNTED};
    set_back_source(s->source, source);
    enum fh_code code = ledger_cursor_get(work, source, s->partition, &before, error);
    if (code != FH_OK)
        return code;
    *ret = next.position = before.position + 1;
    return ledger_cursor_move(work, source, s->partition, &before, &next, error);
}

enum fh_code set_back_get(struct store_work *work, const struct subscription *s, int64_t *ret,
                          struct fh_error *error)
{
    char source[SET_BACK_SOURCE_SIZE];
    struct ledger_cursor number;
    set_back_source(s->source, source);
    enum fh_code code = ledger_cursor_get(work, source, s->partition, &number, error);
    *ret = number.position;
    return code;
}

enum fh_code set_back_each(struct store_work *work, const char *source, ledger_visit_cursor *visit,
                           void *context, struct fh_error *error)
{
    char counted[SET_BACK_SOURCE_SIZE];
    set_back_source(source, counted);
    return ledger_cursors_get(work, counted, visit, context, error);
}
