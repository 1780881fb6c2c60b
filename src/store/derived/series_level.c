/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which time of a series is kept as points, and which as intervals of which length, and what of
 * that a question may ask for.
 *
 * A question over time that is kept as intervals counts whole ones: the first may begin before its
 * `from_ms`, the last may end after its `to_ms`. Where both lie within longer intervals of the
 * answer that changes nothing but what the first and the last of these have.
 */

#include "store/derived/series_rollup.h"

#define DAY_MS INT64_C(86400000)
#define EVERY_MS_MAX (SERIES_KEEP_DAYS_MAX * DAY_MS)

/* ---- The declaration ---- */

int series_rollup_count(const struct fh_derived *declared)
{
    int count = 0;
    while (count < SERIES_ROLLUPS_MAX && declared->rollups[count].every_ms)
        count++;
    return count;
}

int64_t series_points_ms(const struct fh_derived *declared, int64_t oldest_ms)
{
    if (oldest_ms < -SERIES_AT_MS_MAX || series_rollup_count(declared) == 0)
        return oldest_ms;
    return series_floor(oldest_ms, declared->rollups[0].every_ms);
}

static enum fh_code check_rollup(const struct fh_derived *declared, int at, struct fh_error *error)
{
    const struct fh_rollup *rollup = &declared->rollups[at];
    const struct fh_rollup *before = at ? rollup - 1 : NULL;
    int kept_days = before ? before->keep_days : declared->keep_days;
    if (rollup->every_ms < 1 || rollup->every_ms > EVERY_MS_MAX)
        return error_set(error, FH_INVALID,
                         "A roll-up of %s has intervals of %lld ms: expected 1 to %lld.",
                         declared->name, (long long)rollup->every_ms, (long long)EVERY_MS_MAX);
    if (before && (rollup->every_ms == before->every_ms || rollup->every_ms % before->every_ms))
        return error_set(error, FH_INVALID,
                         "A roll-up of %s has intervals of %lld ms: expected a multiple of the "
                         "%lld of the one before.",
                         declared->name, (long long)rollup->every_ms, (long long)before->every_ms);
    if (rollup->keep_days == 0 && at + 1 == series_rollup_count(declared))
        return FH_OK;
    if (rollup->keep_days <= kept_days || rollup->keep_days > SERIES_KEEP_DAYS_MAX)
        return error_set(error, FH_INVALID,
                         "A roll-up of %s is kept for %d days: expected more than the %d of what "
                         "it is made of, and at most %d; 0, for ever, is for the last one.",
                         declared->name, rollup->keep_days, kept_days, SERIES_KEEP_DAYS_MAX);
    return FH_OK;
}

enum fh_code series_rollups_check(const struct fh_derived *declared, struct fh_error *error)
{
    int count = series_rollup_count(declared);
    enum fh_code code = FH_OK;
    for (int i = count; i < SERIES_ROLLUPS_MAX; i++) {
        if (declared->rollups[i].every_ms || declared->rollups[i].keep_days)
            return error_set(error, FH_INVALID, "A roll-up of %s lacks its `every_ms`.",
                             declared->name);
    }
    if (count && declared->model != FH_SERIES)
        return error_set(error, FH_INVALID, "%s has `rollups`, which FH_SERIES alone has.",
                         declared->name);
    if (count && declared->keep_days <= 0)
        return error_set(error, FH_INVALID,
                         "The series %s keeps its points for ever, so none of them becomes a "
                         "roll-up: expected `keep_days`.",
                         declared->name);
    for (int i = 0; i < count && code == FH_OK; i++)
        code = check_rollup(declared, i, error);
    return code;
}

/* ---- Bounds ---- */

int series_level_fitting(const struct fh_derived *declared, int level, int64_t every_ms)
{
    for (int count = series_rollup_count(declared); level < count; level++) {
        if (declared->rollups[level].every_ms % every_ms == 0)
            return level;
    }
    return -1;
}

static int64_t no_earlier(int64_t at_ms, int64_t bound_ms)
{
    return at_ms < bound_ms ? bound_ms : at_ms;
}

void series_levels_init(struct series_levels *levels, const struct fh_derived *declared,
                        const struct series_lengths *lengths, int64_t oldest_ms)
{
    int count = series_rollup_count(declared);
    int64_t to_ms = -SERIES_AT_MS_MAX - EVERY_MS_MAX, begin_ms = to_ms;
    *levels = (struct series_levels){.count = count};
    oldest_ms = no_earlier(oldest_ms, -SERIES_AT_MS_MAX);
    for (int i = count - 1; i >= 0; i--) { /* what is later is never before what is earlier */
        const struct fh_rollup *rollup = &declared->rollups[i];
        struct series_level *level = &levels->levels[i];
        int64_t days = rollup->keep_days - declared->keep_days;
        level->every_ms = rollup->every_ms;
        if (i + 1 < count)
            level->from_ms = to_ms;
        else if (rollup->keep_days)
            level->from_ms = series_floor(oldest_ms - days * DAY_MS, rollup->every_ms);
        else
            level->from_ms = begin_ms;
        int kept_days = i ? declared->rollups[i - 1].keep_days : declared->keep_days;
        to_ms =
            series_floor(oldest_ms - (kept_days - declared->keep_days) * DAY_MS, rollup->every_ms);
        to_ms = no_earlier(to_ms, level->from_ms);
        for (int j = 0; j < lengths->count; j++) {
            if (lengths->lengths[j].level == i)
                to_ms = no_earlier(to_ms, lengths->lengths[j].until_ms);
        }
        level->to_ms = to_ms;
    }
    levels->points_ms = no_earlier(series_points_ms(declared, oldest_ms), lengths->points_ms);
    levels->alone_ms = no_earlier(to_ms, levels->points_ms);
}

int series_level_at(const struct series_levels *levels, int level, int64_t at_ms)
{
    while (level < levels->count && at_ms < levels->levels[level].from_ms)
        level++;
    return level;
}

/* ---- A question ---- */

static enum fh_code check_rolled(const struct series_question *question,
                                 const struct series_level *level, struct fh_error *error)
{
    for (int i = 0; i < question->value_count; i++) {
        if (question->values[i].function == SERIES_QUANTILE)
            return derived_unfit(error, "from_ms",
                                 "\"%.64s\" is of points, which are kept for %d days, and roll-ups "
                                 "have none: expected a later `from_ms`.",
                                 question->series->values[i], question->declared->keep_days);
    }
    if (question->series->every_ms % level->every_ms == 0)
        return FH_OK;
    return derived_unfit(error, "every_ms",
                         "Of that time intervals of %lld ms are kept: expected a multiple of that, "
                         "or a later `from_ms`.",
                         (long long)level->every_ms);
}

enum fh_code series_question_roll(struct series_question *question,
                                  const struct series_levels *levels, struct fh_error *error)
{
    if (!question->intervals) {
        question->from_ms = no_earlier(question->from_ms, levels->points_ms);
        return FH_OK;
    }
    question->from_ms = no_earlier(question->from_ms, levels->levels[levels->count - 1].from_ms);
    if (question->from_ms >= question->to_ms || question->from_ms >= levels->alone_ms)
        return FH_OK;
    const struct series_level *first =
        &levels->levels[series_level_at(levels, 0, question->from_ms)];
    if (check_rolled(question, first, error) != FH_OK)
        return error->code;
    question->rolled = true;
    question->from_ms = series_floor(question->from_ms, first->every_ms);
    if (question->to_ms < levels->alone_ms) {
        int last = series_level_at(levels, 0, question->to_ms - 1);
        question->to_ms = series_ceiling(question->to_ms, levels->levels[last].every_ms);
    }
    return FH_OK;
}
