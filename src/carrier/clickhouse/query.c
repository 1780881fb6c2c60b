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
 * FINAL goes through rows by one thread. Where there are many, each of some ranges of time is read
 * by its own, and what they have come to is joined: no fact is in two of them, since the rows of
 * one have the same time. A range sees the parts that are there when the server opens it, so a page
 * may come in between two. Its link tells: each range counts the newest links, and where they
 * differ the statement fails.
 *
 * All types are forced, since the answer is read as bytes, and names and values are written by
 * sql.c alone. There are no aliases but of ranges, all of which begin with fh_ and are no columns:
 * they would hide them.
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

/* Of a whole table; of a range; of what all ranges have come to. */
enum select_scope { SELECT_WHOLE, SELECT_RANGE, SELECT_JOINED };

struct selecting {
    struct text *sql;
    const struct columns_question *question;
    enum select_scope scope;
    int columns, aggregates; /* so far; a range names the third aggregate fh_2 */
};

/* What it is called in each scope. */
struct aggregate {
    const char *names[SELECT_JOINED + 1];
};
static const struct aggregate count_aggregate = {{"count", "count", "sum"}},
                              sum_aggregate = {{"sum", "sum", "sum"}},
                              real_sum_aggregate = {{"sumKahan", "sumKahanState", "sumKahanMerge"}},
                              min_aggregate = {{"min", "min", "min"}},
                              max_aggregate = {{"max", "max", "max"}},
                              uniq_aggregate = {{"uniqExact", "uniqExactState", "uniqExactMerge"}};

/* Where its interval begins, also before 1970; of a link 0. */
static void write_interval(const struct selecting *selecting)
{
    long long every_ms = (long long)selecting->question->every_ms;
    text_printf(selecting->sql,
                "toInt64(fh_at - ((fh_at %% toInt64(%lld)) + toInt64(%lld)) %% toInt64(%lld))",
                every_ms, every_ms, every_ms);
    if (selecting->scope == SELECT_RANGE)
        text_add(selecting->sql, " * fh_kind");
}

static void write_comma(struct selecting *selecting)
{
    text_add(selecting->sql, selecting->columns++ ? ", " : "");
}

/* Key 0 is the interval. `named`: where a range gives it its name. */
static void write_group_key(const struct selecting *selecting, int key, bool named)
{
    const struct columns_question *question = selecting->question;
    bool in_range = selecting->scope == SELECT_RANGE;
    if (selecting->scope == SELECT_WHOLE || (in_range && named)) {
        if (key == 0)
            write_interval(selecting);
        else
            clickhouse_write_field(selecting->sql,
                                   &question->declared->fields[question->by[key - 1]]);
    }
    if (in_range && named)
        text_add(selecting->sql, " AS ");
    if (selecting->scope != SELECT_WHOLE)
        text_printf(selecting->sql, "fh_key%d", key);
}

static void write_group_keys(struct selecting *selecting, bool named)
{
    const struct columns_question *question = selecting->question;
    for (int key = question->every_ms ? 0 : 1; key <= question->by_count; key++) {
        write_comma(selecting);
        write_group_key(selecting, key, named);
    }
}

/* Of a field's values, with what stands before and behind each; NULL: of rows. Of nothing but nulls
 * it is null, which the count says. */
static void write_aggregate(struct selecting *selecting, const char *type,
                            const struct aggregate *aggregate, const char *before,
                            const struct fh_derived_field *field, const char *behind)
{
    struct text *sql = selecting->sql;
    write_comma(selecting);
    if (selecting->scope != SELECT_RANGE)
        text_printf(sql, "to%s(ifNull(", type);
    text_printf(sql, "%s(", aggregate->names[selecting->scope]);
    if (selecting->scope == SELECT_JOINED) {
        text_printf(sql, "fh_%d", selecting->aggregates);
    } else if (field) {
        text_add(sql, before);
        clickhouse_write_field(sql, field);
        text_add(sql, behind);
    }
    text_add(sql, ")");
    if (selecting->scope == SELECT_RANGE)
        text_printf(sql, " AS fh_%d", selecting->aggregates);
    else
        text_add(sql, ", 0))");
    selecting->aggregates++;
}

static void write_measured_read(struct selecting *selecting, const struct fh_derived_field *field,
                                struct clickhouse_needs needs)
{
    _Static_assert(CLICKHOUSE_SUM_PARTS == 3 && CLICKHOUSE_SUM_BITS == 22, "44, 22, 2^22 - 1");
    const char *type = field->type == FH_INT ? "Int64" : "Float64";
    write_aggregate(selecting, "Int64", &count_aggregate, "", field, "");
    if (needs.sum && field->type == FH_INT) {
        write_aggregate(selecting, type, &sum_aggregate, "bitShiftRight(", field, ", 44)");
        write_aggregate(selecting, type, &sum_aggregate, "bitAnd(bitShiftRight(", field,
                        ", 22), 4194303)");
        write_aggregate(selecting, type, &sum_aggregate, "bitAnd(", field, ", 4194303)");
    } else if (needs.sum) {
        write_aggregate(selecting, type, &real_sum_aggregate, "", field, "");
    }
    if (needs.min)
        write_aggregate(selecting, type, &min_aggregate, "", field, "");
    if (needs.max)
        write_aggregate(selecting, type, &max_aggregate, "", field, "");
}

/* The number of facts comes first, so a range's is fh_0. */
static void write_selected(struct selecting *selecting)
{
    const struct columns_question *question = selecting->question;
    const struct fh_derived_field *fields = question->declared->fields;
    text_add(selecting->sql, "SELECT ");
    write_group_keys(selecting, true);
    write_aggregate(selecting, "Int64", &count_aggregate, "", NULL, "");
    for (int i = 0; i < question->read_count; i++) {
        const struct fh_derived_field *field = &fields[question->reads[i]];
        if (!series_is_tag(field))
            write_measured_read(selecting, field, clickhouse_needs_of(question, i));
    }
    for (int i = 0; i < question->value_count; i++) {
        const struct columns_value *value = &question->values[i];
        if (value->function == COLUMNS_UNIQ)
            write_aggregate(selecting, "Int64", &uniq_aggregate, "",
                            &fields[question->reads[value->read]], "");
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

/* ---- The statement ---- */

static void write_from(struct text *sql, const struct clickhouse *server, const char *table)
{
    text_add(sql, " FROM ");
    clickhouse_write_table(sql, server, table);
    text_add(sql, " FINAL WHERE ");
}

static void write_facts_between(struct text *sql, const struct columns_question *question,
                                int64_t from_ms, int64_t to_ms)
{
    text_printf(sql, "fh_kind = 1 AND fh_at >= %lld AND fh_at < %lld", (long long)from_ms,
                (long long)to_ms);
    write_column_filters(sql, question);
}

/* One group more than there may be, so that it shows. */
static void write_ending(struct text *sql)
{
    text_printf(sql, " LIMIT %d FORMAT RowBinary", COLUMNS_GROUPS_MAX + 1);
}

void clickhouse_write_question(struct text *sql, const struct clickhouse *server, const char *table,
                               const struct columns_question *question)
{
    struct selecting selecting = {sql, question, SELECT_WHOLE};
    write_selected(&selecting);
    write_from(sql, server, table);
    write_facts_between(sql, question, question->from_ms, question->to_ms);
    if (columns_keys(question)) {
        text_add(sql, " GROUP BY ");
        selecting.columns = 0;
        write_group_keys(&selecting, false);
    }
    write_ending(sql);
}

/* Its links are a group of their own, whose keys are all 0 and "". */
static void write_range(struct text *sql, const struct clickhouse *server, const char *table,
                        const struct columns_question *question,
                        const struct clickhouse_ranges *ranges, int number)
{
    struct selecting selecting = {sql, question, SELECT_RANGE};
    write_selected(&selecting);
    text_add(sql, ", fh_kind AS fh_group, max(fh_at) AS fh_last");
    write_from(sql, server, table);
    text_printf(sql, "(fh_kind = 0 AND fh_at >= %lld) OR (", (long long)ranges->link);
    write_facts_between(sql, question, ranges->bounds[number], ranges->bounds[number + 1]);
    text_add(sql, ") GROUP BY fh_group");
    write_group_keys(&selecting, false);
}

void clickhouse_write_ranges(struct text *sql, const struct clickhouse *server, const char *table,
                             const struct columns_question *question,
                             const struct clickhouse_ranges *ranges)
{
    struct selecting selecting = {sql, question, SELECT_JOINED};
    write_selected(&selecting);
    text_add(sql, " FROM (");
    for (int i = 0; i < ranges->count; i++) {
        text_add(sql, i ? " UNION ALL " : "");
        write_range(sql, server, table, question, ranges, i);
    }
    text_add(sql, ") GROUP BY fh_group");
    write_group_keys(&selecting, false);
    text_printf(sql,
                " HAVING fh_group != throwIf(fh_group = 0 AND (count() != %d OR min(fh_0) != "
                "max(fh_0) OR min(fh_last) != max(fh_last)))",
                ranges->count);
    write_ending(sql);
}
