/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger as records: timers. Their ids begin with the kind and the due time, so that those that
 * are due first come first. */

#include <stdlib.h>

#include "store/records/records.h"

#define TIMERS "timer"

static enum fh_code timer_record_id(char id[static RECORD_ID_SIZE], const char *kind,
                                    int64_t due_ms, const char *name, struct fh_error *error)
{
    return record_id(id, error, "%s" RECORD_SEPARATOR RECORD_NUMBER RECORD_SEPARATOR "%s", kind,
                     due_ms, name);
}

static struct ledger_timer timer_of_record(const json_t *record)
{
    return (struct ledger_timer){.kind = record_text(record, "kind"),
                                 .due_ms = record_integer(record, "due_ms"),
                                 .name = record_text(record, "name"),
                                 .handler = record_text(record, "handler"),
                                 .data = record_text(record, "data"),
                                 .trace = record_optional(record, "trace"),
                                 .attempts = record_integer(record, "attempts"),
                                 .error = record_text(record, "error")};
}

enum fh_code records_timer_put(struct store_work *work, const struct ledger_timer *timer,
                               struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    enum fh_code code = timer_record_id(id, timer->kind, timer->due_ms, timer->name, error);
    if (code)
        return code;
    return records_put(work, TIMERS, id,
                       record_pack("{s:s, s:I, s:s, s:s, s:s, s:s?, s:I, s:s}", "kind", timer->kind,
                                   "due_ms", (json_int_t)timer->due_ms, "name", timer->name,
                                   "handler", timer->handler, "data", timer->data, "trace",
                                   timer->trace, "attempts", (json_int_t)timer->attempts, "error",
                                   timer->error),
                       error);
}

/* By one read, if the engine can. */
static enum fh_code look_ahead(struct store_work *work, const struct ledger_timer *timers,
                               int count, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    if (!records_of(work)->get_ahead || count < 2)
        return FH_OK;
    char(*ids)[RECORD_ID_SIZE] = calloc((size_t)count, sizeof *ids);
    const char **list = calloc((size_t)count, sizeof *list);
    FH_ASSERT(ids && list);
    for (int i = 0; i < count && !code; i++) {
        code = timer_record_id(ids[i], timers[i].kind, timers[i].due_ms, timers[i].name, error);
        list[i] = ids[i];
    }
    if (!code)
        code = records_of(work)->get_ahead(work, TIMERS, list, count, error);
    free(list);
    free(ids);
    return code;
}

enum fh_code records_timers_take(struct store_work *work, const struct ledger_timer *timers,
                                 int count, int64_t *ret_taken, struct fh_error *error)
{
    enum fh_code code = look_ahead(work, timers, count, error);
    *ret_taken = 0;
    for (int i = 0; i < count && !code; i++) {
        char id[RECORD_ID_SIZE];
        json_t *record = NULL;
        code = timer_record_id(id, timers[i].kind, timers[i].due_ms, timers[i].name, error);
        if (!code)
            code = records_get(work, TIMERS, id, &record, error);
        if (!code && record) {
            code = records_put(work, TIMERS, id, NULL, error);
            ++*ret_taken;
        }
        json_decref(record);
    }
    return code;
}

struct timers_seen {
    bool (*visit)(void *context, const struct ledger_timer *timer);
    void *context;
};

static bool see_timer_record(void *context, json_t *record)
{
    struct timers_seen *seen = context;
    struct ledger_timer timer = timer_of_record(record);
    return seen->visit(seen->context, &timer);
}

enum fh_code records_timers_read(struct store_work *work, const char *kind, int limit,
                                 bool (*visit)(void *context, const struct ledger_timer *timer),
                                 void *context, struct fh_error *error)
{
    struct timers_seen seen = {visit, context};
    struct record_range first = {.table = TIMERS, .within = kind, .limit = limit};
    return records_each(work, &first, see_timer_record, &seen, error);
}

enum fh_code records_timer_get(struct store_work *work, struct arena *arena, const char *kind,
                               int64_t due_ms, const char *name, struct ledger_timer *ret,
                               struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *record = NULL;
    enum fh_code code = timer_record_id(id, kind, due_ms, name, error);
    if (!code)
        code = records_get(work, TIMERS, id, &record, error);
    if (code)
        return code;
    if (!record)
        return error_set(error, FH_NOT_FOUND, "There is no such timer.");
    *ret = timer_of_record(record);
    ret->kind = record_copy(arena, record, "kind");
    ret->name = record_copy(arena, record, "name");
    ret->handler = record_copy(arena, record, "handler");
    ret->data = record_copy(arena, record, "data");
    ret->trace = record_copy(arena, record, "trace");
    ret->error = record_copy(arena, record, "error");
    json_decref(record);
    return FH_OK;
}

static bool count_timer_record(void *context, json_t *record)
{
    (void)record;
    ++*(int64_t *)context;
    return true;
}

enum fh_code records_timers_count(struct store_work *work, const char *kind, int64_t most,
                                  int64_t *ret, struct fh_error *error)
{
    struct record_range some = {.table = TIMERS,
                                .within = kind,
                                .limit = most < LEDGER_TIMERS_MAX ? (int)most : LEDGER_TIMERS_MAX,
                                .looks = true,
                                .ids = true};
    *ret = 0;
    return records_each(work, &some, count_timer_record, ret, error);
}
