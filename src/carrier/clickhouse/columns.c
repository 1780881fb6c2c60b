/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question is looked at as an embedded one is (store/derived/columns_question.c), so that the
 * same is refused in the same words, and its answer is put together by the same code. What the
 * server answered is read off the loop: there may be 100,000 groups.
 */

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

#define MEMORY_LIMIT_EXCEEDED 241

struct clickhouse_asking {
    struct clickhouse *server;
    const struct columns_question *question;
    struct clickhouse_call call;
    struct columns_tally tally;
    json_t *ret;
    enum fh_code code;
    struct fh_error *error;
};

/* Off the loop. */
static void read_columns_answer(void *context)
{
    struct clickhouse_asking *asking = context;
    const struct world_request *request = &asking->call.request;
    struct arena *before = json_arena_set(NULL);
    asking->code = clickhouse_read_groups(&asking->tally, request->answer, request->answer_length,
                                          asking->error);
    if (asking->code == FH_OK)
        asking->code = columns_answer(&asking->tally, &asking->ret, asking->error);
    else if (asking->code == FH_UNSUPPORTED)
        clickhouse_strange(asking->server, asking->error);
    json_arena_set(before);
}

/* Nothing was to be done, so it was not. */
static enum fh_code columns_not_answered(struct clickhouse_asking *asking, enum fh_code code)
{
    struct fh_error *error = asking->error;
    if (asking->call.request.oversized)
        return derived_unfit(error, "by",
                             "The groups have more than %zu MiB: expected fewer of them, longer "
                             "intervals or a shorter time.",
                             CLICKHOUSE_ANSWER_MAX >> 20);
    if (asking->call.number == MEMORY_LIMIT_EXCEEDED)
        return derived_unfit(error, "values",
                             "ClickHouse has no memory to keep so many groups and values apart: "
                             "expected fewer of them, longer intervals or a shorter time.");
    if (code == FH_OUTCOME_UNKNOWN)
        return error->code = FH_UNAVAILABLE;
    return code;
}

static enum fh_code ask_columns(struct clickhouse_asking *asking, const char *table,
                                int64_t deadline_ns)
{
    struct clickhouse *server = asking->server;
    struct text sql, path;
    int64_t now_ns = world_in_ms(server->world, 0);
    if (deadline_ns <= 0)
        deadline_ns = world_in_ms(server->world, CLICKHOUSE_REQUEST_MS);
    if (deadline_ns <= now_ns)
        return error_retry(asking->error, FH_UNAVAILABLE, "There is no time left for a question.");
    text_init(&sql, CLICKHOUSE_SMALL);
    text_init(&path, CLICKHOUSE_SMALL);
    clickhouse_write_question(&sql, server, table, asking->question);
    int64_t left_s = (deadline_ns - now_ns) / 1000000000 + 1;
    text_printf(&path, CLICKHOUSE_ASKING "&max_execution_time=%lld", (long long)left_s);
    FH_ASSERT(!sql.overflow && !path.overflow);
    asking->call = (struct clickhouse_call){.path = path.data,
                                            .body = sql.data,
                                            .body_length = sql.length,
                                            .deadline_ns = deadline_ns,
                                            .answer_max = CLICKHOUSE_ANSWER_MAX};
    asking->code = clickhouse_ask(server, &asking->call, asking->error);
    if (asking->code == FH_OK)
        world_blocking(server->world, read_columns_answer, asking);
    else
        asking->code = columns_not_answered(asking, asking->code);
    text_release(&sql);
    text_release(&path);
    return asking->code;
}

enum fh_code clickhouse_columns(struct carried_server *base, const struct fh_derived *declared,
                                const struct carried_name *generation,
                                const struct fh_columns *columns, int64_t oldest_ms,
                                int64_t deadline_ns, json_t **ret, struct fh_error *error)
{
    struct columns_question question;
    struct clickhouse_asking asking = {clickhouse_of(base), &question, .error = error};
    char table[CLICKHOUSE_TABLE_SIZE];
    *ret = NULL;
    clickhouse_table(declared, generation, table);
    enum fh_code code = columns_question_init(&question, declared, columns, oldest_ms, error);
    if (code != FH_OK)
        return code;
    columns_tally_init(&asking.tally, &question);
    code = ask_columns(&asking, table, deadline_ns);
    clickhouse_call_release(&asking.call);
    columns_tally_release(&asking.tally);
    if (code == FH_OK)
        *ret = asking.ret;
    else
        json_decref(asking.ret);
    if (code == FH_NOT_FOUND)
        return clickhouse_confirm_gone(asking.server, table, asking.call.deadline_ns, error);
    return code;
}
