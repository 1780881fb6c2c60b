/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The groups that a server answers with, as RowBinary, put into a tally as if their facts had been
 * counted here: so the same code then says which of them are shown, in which order, and what is
 * refused (store/derived/columns_answer.c).
 */

#include <math.h>
#include <string.h>

#include "carrier/clickhouse/internal.h"

struct group_reader {
    const struct columns_question *question;
    const char *at, *end;
    bool broken; /* it ended within a value */
    int64_t apart;
};

/* ---- Values ---- */

static int64_t read_group_integer(struct group_reader *reader)
{
    uint64_t bits = 0;
    if (reader->end - reader->at < 8) {
        reader->broken = true;
        return 0;
    }
    for (int i = 7; i >= 0; i--)
        bits = bits << 8 | (unsigned char)reader->at[i];
    reader->at += 8;
    return (int64_t)bits;
}

static double read_group_real(struct group_reader *reader)
{
    double real;
    int64_t bits = read_group_integer(reader);
    memcpy(&real, &bits, sizeof real);
    return real;
}

/* Of infinities of both signs none is a sum; it is as much too great as they are. */
static long double read_group_sum(struct group_reader *reader)
{
    double sum = read_group_real(reader);
    return isnan(sum) ? (long double)INFINITY : (long double)sum;
}

static unsigned read_group_byte(struct group_reader *reader)
{
    if (reader->at == reader->end) {
        reader->broken = true;
        return 0;
    }
    return (unsigned char)*reader->at++;
}

static struct sql_value read_group_text(struct group_reader *reader)
{
    size_t length = 0;
    unsigned byte = 0x80;
    for (int shift = 0; byte & 0x80 && shift < 28; shift += 7) {
        byte = read_group_byte(reader);
        length |= (size_t)(byte & 0x7f) << shift;
    }
    if (byte & 0x80 || length > (size_t)(reader->end - reader->at)) {
        reader->broken = true;
        length = 0;
    }
    struct sql_value text = {.kind = SQL_TEXT, .text = reader->at, .length = length};
    reader->at += length;
    return text;
}

static struct sql_value read_group_tag(struct group_reader *reader,
                                       const struct fh_derived_field *field)
{
    if (field->type == FH_STRING)
        return read_group_text(reader);
    return (struct sql_value){.kind = SQL_INTEGER,
                              .integer = field->type == FH_BOOL ? read_group_byte(reader) != 0
                                                                : read_group_integer(reader)};
}

/* ---- A group ---- */

static void read_integer_cell(struct group_reader *reader, struct columns_cell *cell,
                              struct clickhouse_needs needs)
{
    for (int i = 0; needs.sum && i < CLICKHOUSE_SUM_PARTS; i++)
        cell->sum.integer = cell->sum.integer * ((series_wide)1 << CLICKHOUSE_SUM_BITS) +
                            read_group_integer(reader);
    if (needs.min)
        cell->min.integer = read_group_integer(reader);
    if (needs.max)
        cell->max.integer = read_group_integer(reader);
}

static void read_real_cell(struct group_reader *reader, struct columns_cell *cell,
                           struct clickhouse_needs needs)
{
    if (needs.sum)
        cell->sum.real = read_group_sum(reader);
    if (needs.min)
        cell->min.real = read_group_real(reader);
    if (needs.max)
        cell->max.real = read_group_real(reader);
}

static void read_group_cells(struct group_reader *reader, struct columns_group *group)
{
    const struct columns_question *question = reader->question;
    for (int i = 0; i < question->read_count; i++) {
        const struct fh_derived_field *field = &question->declared->fields[question->reads[i]];
        struct columns_cell *cell = &group->cells[i];
        struct clickhouse_needs needs = clickhouse_needs_of(question, i);
        cell->count = series_is_tag(field) ? group->count : read_group_integer(reader);
        if (series_is_tag(field))
            continue;
        if (field->type == FH_INT)
            read_integer_cell(reader, cell, needs);
        else
            read_real_cell(reader, cell, needs);
    }
    for (int i = 0; i < question->uniq_count; i++) {
        group->uniq[i] = read_group_integer(reader);
        reader->broken |= group->uniq[i] < 0 || group->uniq[i] > group->count;
        reader->apart += reader->broken ? 0 : group->uniq[i];
    }
}

static enum fh_code read_next_group(struct group_reader *reader, struct columns_tally *tally,
                                    struct fh_error *error)
{
    const struct columns_question *question = reader->question;
    struct sql_value keys[DERIVED_FIELDS_MAX];
    struct columns_group *group = NULL;
    int64_t at_ms = question->every_ms ? read_group_integer(reader) : 0;
    for (int i = 0; i < question->by_count; i++)
        keys[i] = read_group_tag(reader, &question->declared->fields[question->by[i]]);
    int64_t count = read_group_integer(reader);
    enum fh_code code = FH_OK;
    if (!reader->broken && count > 0)
        code = columns_tally_group(tally, at_ms, keys, &group, error);
    if (code != FH_OK || reader->broken)
        return code;
    if (count < 1) { /* without `by` there is one where there are no facts, too */
        reader->at = reader->end;
        return FH_OK;
    }
    group->count = count;
    read_group_cells(reader, group);
    return FH_OK;
}

enum fh_code clickhouse_read_groups(struct columns_tally *tally, const char *bytes, size_t length,
                                    struct fh_error *error)
{
    struct group_reader reader = {tally->question, bytes, bytes + length};
    enum fh_code code = FH_OK;
    while (code == FH_OK && !reader.broken && reader.at < reader.end)
        code = read_next_group(&reader, tally, error);
    if (code == FH_OK && reader.broken)
        return error_set(error, FH_UNSUPPORTED, "An answer has no groups that can be read.");
    if (code == FH_OK && reader.apart > COLUMNS_UNIQ_MAX)
        code = columns_too_many_apart(error);
    return code;
}
