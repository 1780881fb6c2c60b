/* SPDX-License-Identifier: Apache-2.0 */
/* The relational ledger: sagas that ended and were closed long ago are removed, with their steps.
 */

#include <string.h>

#include "store/relational/ledger.h"

struct forgetting {
    struct arena arena;
    const char **births;
    int64_t *numbers;
    int64_t number_max, before_ms;
    int count, limit;
    const char *birth; /* of the last row seen, with its number */
    int64_t number;
    int rows;     /* of this page */
    bool skipped; /* the page ended before its birth's later sagas */
};

/* In the order of births and numbers: after the first that is above number_max all of its birth
 * are. */
static bool take_forgotten(void *context, const struct sql_row *row)
{
    struct forgetting *f = context;
    if (strcmp(f->birth, ledger_word(&row->values[0])) != 0)
        f->birth = arena_text(&f->arena, ledger_word(&row->values[0]));
    f->number = row->values[1].integer;
    f->rows++;
    f->skipped = f->number > f->number_max;
    if (f->skipped) {
        f->number = INT64_MAX;
        return false;
    }
    if (row->values[2].integer >= f->before_ms)
        return true;
    f->births[f->count] = f->birth;
    f->numbers[f->count++] = f->number;
    return f->count < f->limit;
}

/* Page by page: those that took long may be many, and stand before others. */
static enum fh_code find_forgotten(struct store_work *work, const char *status,
                                   struct forgetting *f, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    bool goes_on = f->count < f->limit;
    f->birth = "";
    f->number = 0;
    while (goes_on && code == FH_OK) {
        struct sql_value values[] = {sql_text(status), sql_integer(f->limit), sql_text(f->birth),
                                     sql_integer(f->number)};
        f->rows = 0;
        f->skipped = false;
        code = sql_run(work,
                       "SELECT birth, number, updated_ms FROM fh_saga WHERE status = ?1"
                       " AND closed = 1 AND (birth, number) > (?3, ?4)"
                       " ORDER BY birth, number LIMIT ?2",
                       values, 4, take_forgotten, f, NULL, error);
        goes_on = f->count < f->limit && (f->skipped || f->rows == f->limit);
    }
    return code;
}

enum fh_code sql_ledger_sagas_forget(struct store_work *work, int64_t number_max, int64_t before_ms,
                                     int limit, struct ledger_counts *ret_removed,
                                     struct fh_error *error)
{
    struct forgetting f = {.number_max = number_max, .before_ms = before_ms, .limit = limit};
    arena_init(&f.arena, ARENA_SIZE_MAX);
    f.births = arena_alloc(&f.arena, (size_t)limit * sizeof *f.births);
    f.numbers = arena_alloc(&f.arena, (size_t)limit * sizeof *f.numbers);
    *ret_removed = (struct ledger_counts){0};
    enum fh_code code = find_forgotten(work, "ended", &f, error);
    ret_removed->ended = f.count;
    if (code == FH_OK)
        code = find_forgotten(work, "undone", &f, error);
    ret_removed->undone = f.count - ret_removed->ended;
    if (code == FH_OK)
        code = find_forgotten(work, "abandoned", &f, error);
    ret_removed->abandoned = f.count - ret_removed->ended - ret_removed->undone;
    for (int i = 0; i < f.count && code == FH_OK; i++) {
        struct sql_value values[] = {sql_text(f.births[i]), sql_integer(f.numbers[i])};
        code = ledger_do(work, "DELETE FROM fh_saga_step WHERE birth = ?1 AND number = ?2", values,
                         2, NULL, error);
        if (code == FH_OK)
            code = ledger_do(work, "DELETE FROM fh_saga WHERE birth = ?1 AND number = ?2", values,
                             2, NULL, error);
    }
    arena_release(&f.arena);
    return code;
}
