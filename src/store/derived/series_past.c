/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question of a series with roll-ups whose points lie on a server as well. Roll-ups are nowhere
 * but in the service's own store, which has all points besides: so it answers what is not a point
 * any more, and the server what still is, and both are one tally.
 *
 *     own store    intervals of roll-ups, and what is before points_ms and not moved yet
 *     server       points from points_ms on
 *
 * points_ms is of one moment with what was found in the own store, and never before what was moved
 * there. So each point counts on one side, however far the sweep is, and whatever the server has
 * that is older: it is not read. Nothing of a roll-up is carried, so nothing of it comes late,
 * twice, or into another generation.
 *
 * A curve may be on both sides, with an id of each; it has one place among all.
 */

#include <stdlib.h>

#include "store/derived/series_past.h"
#include "store/derived/series_rollup.h"

static int64_t id_of_past(int64_t id)
{
    return INT64_MIN + id; /* below whatever a server calls a curve */
}

struct series_past *series_past_new(const struct fh_derived *declared,
                                    const struct fh_series *series, int64_t oldest_ms,
                                    struct fh_error *error)
{
    struct series_past *past = calloc(1, sizeof *past);
    FH_ASSERT(past != NULL);
    if (series_question_init(&past->question, declared, series, oldest_ms, error) != FH_OK) {
        free(past);
        return NULL;
    }
    series_tally_init(&past->tally, &past->question);
    return past;
}

void series_past_free(struct series_past *past)
{
    if (!past)
        return;
    series_tally_release(&past->tally);
    free(past);
}

void series_question_past(struct series_question *question, const struct series_past *past)
{
    if (!past)
        return;
    question->from_ms = past->question.from_ms;
    question->to_ms = past->question.to_ms;
    question->rolled = past->question.rolled;
    question->points_ms = question->from_ms > past->points_ms ? question->from_ms : past->points_ms;
}

enum fh_code series_past_curves(const struct series_past *past, struct series_tally *tally,
                                struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; past && i < past->tally.curve_count && code == FH_OK; i++) {
        const struct series_curve *curve = past->tally.curves[i];
        const struct fh_derived_field *fields = past->question.declared->fields;
        struct sql_value values[DERIVED_FIELDS_MAX + 1] = {sql_integer(id_of_past(curve->id))};
        int count = 1;
        for (int j = 0; fields[j].name; j++) {
            if (series_is_tag(&fields[j]))
                values[count++] = curve->tags[j];
        }
        const struct sql_row row = {.count = count, .values = values};
        tally->past_count++; /* first, as it does not count for the most there may be */
        code = series_tally_curve(tally, &row, error);
    }
    return code;
}

/* Times of the two sides differ: which curve is first counts within one of them alone. */
static void add_past_cell(const struct series_past *past, struct series_tally *tally,
                          const int *places, size_t from, size_t to, int read)
{
    const struct series_question *question = tally->question;
    struct series_cell cell = past->tally.cells[series_cell_at(&past->tally, from, read)];
    if (!cell.count)
        return;
    cell.first_curve = places[cell.first_curve];
    cell.last_curve = places[cell.last_curve];
    series_cell_merge(&tally->cells[series_cell_at(tally, to, read)],
                      question->declared->fields[question->reads[read]].type, &cell);
}

static void add_past_group(const struct series_past *past, struct series_tally *tally,
                           const int *places, int from_group, int to_group)
{
    for (int i = 0; i < tally->question->intervals; i++) {
        size_t from = series_interval_at(&past->tally, from_group, i);
        size_t to = series_interval_at(tally, to_group, i);
        tally->counts[to] += past->tally.counts[from];
        for (int read = 0; read < tally->question->read_count; read++)
            add_past_cell(past, tally, places, from, to, read);
    }
}

enum fh_code series_past_cells(const struct series_past *past, struct series_tally *tally,
                               struct fh_error *error)
{
    size_t count = past ? past->tally.curve_count : 0;
    if (count == 0)
        return FH_OK;
    int *places = calloc(count, sizeof *places);
    int *groups = calloc(count, sizeof *groups);
    FH_ASSERT(places && groups);
    for (size_t i = 0; i < count; i++) {
        const struct series_curve *from = past->tally.curves[i];
        const struct series_curve *to = series_tally_known(tally, id_of_past(from->id));
        FH_ASSERT(to != NULL);
        places[from->place] = to->place;
        groups[from->group] = to->group;
    }
    for (int i = 0; i < past->tally.group_count; i++)
        add_past_group(past, tally, places, i, groups[i]);
    free(places);
    free(groups);
    return series_tally_more(tally, past->tally.found, error);
}
