/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question is looked at as an embedded one is (store/derived/columns_question.c), so that the
 * same is refused in the same words, and its answer is put together by the same code. What the
 * server answered is read off the loop: there may be 100,000 groups.
 *
 * One about many facts is divided. Where a page came in between its ranges, or they need more
 * memory together than they may have, it is asked once more, as one.
 */

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

#define MEMORY_LIMIT_EXCEEDED 241

struct clickhouse_asking {
    struct clickhouse *server;
    const struct columns_question *question;
    bool kept;
    int64_t deadline_ns;
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

/* Leaves the answer in its call. */
static enum fh_code send_question(struct clickhouse_asking *asking, const struct text *sql)
{
    struct clickhouse *server = asking->server;
    char path[CLICKHOUSE_ASKING_SIZE];
    clickhouse_call_release(&asking->call);
    clickhouse_asking_path(server, asking->deadline_ns, path);
    FH_ASSERT(!sql->overflow);
    asking->call = (struct clickhouse_call){.path = path,
                                            .body = sql->data,
                                            .body_length = sql->length,
                                            .deadline_ns = asking->deadline_ns,
                                            .answer_max = CLICKHOUSE_ANSWER_MAX};
    return clickhouse_ask(server, &asking->call, asking->error);
}

/* It failed because it was divided, or may have. */
static bool is_divided_in_vain(const struct clickhouse_asking *asking)
{
    return asking->call.number == CLICKHOUSE_RANGES_DIFFER ||
           asking->call.number == MEMORY_LIMIT_EXCEEDED;
}

static enum fh_code send_divided(struct clickhouse_asking *asking, const char *table,
                                 const struct text *undivided)
{
    struct clickhouse_ranges ranges = {.count = 1};
    struct text sql;
    enum fh_code code = FH_OK;
    if (undivided->length <= CLICKHOUSE_DIVIDED_MAX)
        code = clickhouse_divide(asking->server, table, asking->question, asking->kept,
                                 asking->deadline_ns, &ranges, asking->error);
    if (code != FH_OK)
        return code;
    if (ranges.count == 1)
        return send_question(asking, undivided);
    text_init(&sql, CLICKHOUSE_SMALL);
    clickhouse_write_ranges(&sql, asking->server, table, asking->question, &ranges);
    code = send_question(asking, &sql);
    text_release(&sql);
    return is_divided_in_vain(asking) ? send_question(asking, undivided) : code;
}

static enum fh_code ask_columns(struct clickhouse_asking *asking, const char *table)
{
    struct clickhouse *server = asking->server;
    struct text sql;
    if (asking->deadline_ns <= world_in_ms(server->world, 0))
        return error_retry(asking->error, FH_UNAVAILABLE, "There is no time left for a question.");
    text_init(&sql, CLICKHOUSE_SMALL);
    clickhouse_write_question(&sql, server, table, asking->question);
    asking->code = send_divided(asking, table, &sql);
    if (asking->code == FH_OK)
        world_blocking(server->world, read_columns_answer, asking);
    else
        asking->code = columns_not_answered(asking, asking->code);
    text_release(&sql);
    return asking->code;
}

enum fh_code clickhouse_columns(struct carried_server *base, const struct fh_derived *declared,
                                const struct carried_name *generation,
                                const struct fh_columns *columns, int64_t oldest_ms,
                                int64_t deadline_ns, json_t **ret, struct fh_error *error)
{
    struct columns_question question;
    struct clickhouse *server = clickhouse_of(base);
    struct clickhouse_asking asking = {server, &question, generation->kept, deadline_ns,
                                       .error = error};
    char table[CLICKHOUSE_TABLE_SIZE];
    *ret = NULL;
    if (deadline_ns <= 0)
        asking.deadline_ns = world_in_ms(server->world, CLICKHOUSE_REQUEST_MS);
    clickhouse_table(declared, generation, table);
    enum fh_code code = columns_question_init(&question, declared, columns, oldest_ms, error);
    if (code != FH_OK)
        return code;
    columns_tally_init(&asking.tally, &question);
    code = ask_columns(&asking, table);
    clickhouse_call_release(&asking.call);
    columns_tally_release(&asking.tally);
    if (code == FH_OK)
        *ret = asking.ret;
    else
        json_decref(asking.ret);
    if (code == FH_NOT_FOUND)
        return clickhouse_confirm_gone(server, table, asking.deadline_ns, error);
    return code;
}
