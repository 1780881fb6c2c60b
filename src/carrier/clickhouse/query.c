/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question as one SELECT: the server goes through the facts and says what there is of each group.
 * What becomes of the groups (`having`, the order, the limit, means) is done here, by the code that
 * does it for facts in the service's own store (answer.c).
 *
 * It reads FINAL, so of a fact that came twice one counts. An integer's sum may be beyond 64 bits,
 * and ClickHouse's would begin anew: so parts of it are added up apart, the highest bits first. A
 * real's is compensated (Kahan): it is within a digit of the exact one in whatever order the server
 * adds.
 *
 * All types are forced, since the answer is read as bytes, and names and values are written by
 * sql.c alone. There are no aliases: they would hide columns.
 */

#include <string.h>

#include "carrier/clickhouse/internal.h"

struct clickhouse_needs clickhouse_needs_of(const struct columns_question *question, int read)
{
    struct clickhouse_needs needs = {0};
    for (int i = 0; i < question->value_count; i++) {
        const struct columns_value *value = &question->values[i];
        if (value->read != read)
            continue;
        needs.sum |= value->function == COLUMNS_SUM || value->function == COLUMNS_MEAN;
        needs.min |= value->function == COLUMNS_MIN;
        needs.max |= value->function == COLUMNS_MAX;
    }
    return needs;
}

/* ---- What is selected ---- */

/* Where its interval begins, also before 1970. */
static void write_interval(struct text *sql, const struct columns_question *question)
{
    long long every_ms = (long long)question->every_ms;
    text_printf(sql, "toInt64(fh_at - ((fh_at %% toInt64(%lld)) + toInt64(%lld)) %% toInt64(%lld))",
                every_ms, every_ms, every_ms);
}

static void write_group_keys(struct text *sql, const struct columns_question *question)
{
    if (question->every_ms)
        write_interval(sql, question);
    for (int i = 0; i < question->by_count; i++) {
        text_add(sql, i || question->every_ms ? ", " : "");
        clickhouse_write_field(sql, &question->declared->fields[question->by[i]]);
    }
}

/* Of nothing but nulls it is null, which the count says. */
static void write_aggregate(struct text *sql, const char *type, const char *begins,
                            const struct fh_derived_field *field, const char *ends)
{
    text_printf(sql, ", to%s(ifNull(%s", type, begins);
    clickhouse_write_field(sql, field);
    text_printf(sql, "%s, 0))", ends);
}

static void write_measured_read(struct text *sql, const struct fh_derived_field *field,
                                struct clickhouse_needs needs)
{
    _Static_assert(CLICKHOUSE_SUM_PARTS == 3 && CLICKHOUSE_SUM_BITS == 22, "44, 22, 2^22 - 1");
    const char *type = field->type == FH_INT ? "Int64" : "Float64";
    text_add(sql, ", toInt64(count(");
    clickhouse_write_field(sql, field);
    text_add(sql, "))");
    if (needs.sum && field->type == FH_INT) {
        write_aggregate(sql, type, "sum(bitShiftRight(", field, ", 44))");
        write_aggregate(sql, type, "sum(bitAnd(bitShiftRight(", field, ", 22), 4194303))");
        write_aggregate(sql, type, "sum(bitAnd(", field, ", 4194303))");
    } else if (needs.sum) {
        write_aggregate(sql, type, "sumKahan(", field, ")");
    }
    if (needs.min)
        write_aggregate(sql, type, "min(", field, ")");
    if (needs.max)
        write_aggregate(sql, type, "max(", field, ")");
}

static void write_selected(struct text *sql, const struct columns_question *question)
{
    const struct fh_derived_field *fields = question->declared->fields;
    text_add(sql, "SELECT ");
    write_group_keys(sql, question);
    text_printf(sql, "%stoInt64(count())", columns_keys(question) ? ", " : "");
    for (int i = 0; i < question->read_count; i++) {
        const struct fh_derived_field *field = &fields[question->reads[i]];
        if (!series_is_tag(field))
            write_measured_read(sql, field, clickhouse_needs_of(question, i));
    }
    for (int i = 0; i < question->value_count; i++) {
        const struct columns_value *value = &question->values[i];
        if (value->function == COLUMNS_UNIQ)
            write_aggregate(sql, "Int64", "uniqExact(", &fields[question->reads[value->read]], ")");
    }
}

/* ---- Of which facts ---- */

static void write_filter_value(struct text *sql, const struct sql_value *value)
{
    if (value->kind == SQL_TEXT)
        clickhouse_write_literal(sql, value->text, value->length);
    else
        text_printf(sql, "toInt64('%lld')", (long long)value->integer);
}

static void write_column_filters(struct text *sql, const struct columns_question *question)
{
    for (int i = 0; i < question->filter_count; i++) {
        const struct columns_filter *filter = &question->filters[i];
        text_add(sql, " AND ");
        if (!filter->count) { /* one of none */
            text_add(sql, "0");
            continue;
        }
        clickhouse_write_field(sql, &question->declared->fields[filter->field]);
        text_add(sql, " IN (");
        for (int j = 0; j < filter->count; j++) {
            text_add(sql, j ? ", " : "");
            write_filter_value(sql, &question->filter_values[filter->first + j]);
        }
        text_add(sql, ")");
    }
}

void clickhouse_write_question(struct text *sql, const struct clickhouse *server, const char *table,
                               const struct columns_question *question)
{
    write_selected(sql, question);
    text_add(sql, " FROM ");
    clickhouse_write_table(sql, server, table);
    text_printf(sql, " FINAL WHERE fh_kind = 1 AND fh_at >= %lld AND fh_at < %lld",
                (long long)question->from_ms, (long long)question->to_ms);
    write_column_filters(sql, question);
    if (columns_keys(question)) {
        text_add(sql, " GROUP BY ");
        write_group_keys(sql, question);
    }
    /* One more than there may be, so that it shows. */
    text_printf(sql, " LIMIT %d FORMAT RowBinary", COLUMNS_GROUPS_MAX + 1);
}
