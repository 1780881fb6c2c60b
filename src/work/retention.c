/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ages by marks: a row of the ledger's meta for each period, "clock position;..." with the oldest
 * mark first. A new mark is made when the last one is an eighth of the period old and there are new
 * positions. Of the marks older than the period only the newest is kept: it says all that the
 * others do.
 *
 *     killed before a mark is durable    the next one is made later, so ages are underestimated
 *
 * Two processes that do this at once overwrite each other's marks; either's marks are true.
 */

#include "work/retention.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/command.h"

#define NAME_SIZE 64
#define TEXT_SIZE 1024 /* AGE_MARKS_MAX pairs of numbers */

struct mark {
    int64_t clock_ms, position;
};

struct marks {
    struct mark marks[AGE_MARKS_MAX];
    int count;
};

static int64_t number_or(const json_t *object, const char *name, int64_t otherwise)
{
    json_int_t value;
    return json_integer_at(object, name, &value) && value >= 0 ? value : otherwise;
}

struct retention retention_of(const json_t *config)
{
    const json_t *said = json_object_get(config, "retention");
    struct retention retention = {
        .events_kept_ms = number_or(said, "events_kept_ms", RETENTION_EVENTS_KEPT_MS),
        .events_kept_ms_max = number_or(said, "events_kept_ms_max", RETENTION_EVENTS_KEPT_MS_MAX),
        .events_max = number_or(said, "events_max", RETENTION_EVENTS_MAX),
        .outside_kept_ms = number_or(said, "outside_kept_ms", 0),
        .sagas_kept_ms = number_or(said, "sagas_kept_ms", RETENTION_SAGAS_KEPT_MS),
    };
    int64_t look_ms =
        retention.events_kept_ms < RETENTION_LOOK_MS ? retention.events_kept_ms : RETENTION_LOOK_MS;
    retention.look_ms = number_or(
        said, "look_ms", look_ms < RETENTION_LOOK_MS_MIN ? RETENTION_LOOK_MS_MIN : look_ms);
    return retention;
}

/* ---- marks ---- */

static void marks_parse(const char *text, struct marks *ret)
{
    int length;
    struct mark mark;
    ret->count = 0;
    while (ret->count < AGE_MARKS_MAX && sscanf(text, "%" SCNd64 " %" SCNd64 ";%n", &mark.clock_ms,
                                                &mark.position, &length) == 2) {
        ret->marks[ret->count++] = mark;
        text += length;
    }
}

static void marks_format(const struct marks *marks, char text[TEXT_SIZE])
{
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < marks->count; i++)
        length += (size_t)snprintf(text + length, TEXT_SIZE - length, "%" PRId64 " %" PRId64 ";",
                                   marks->marks[i].clock_ms, marks->marks[i].position);
}

/* Removes all marks that are old enough except the newest of them, and returns its position; 0: no
 * mark is old enough. */
static int64_t marks_pass(struct marks *marks, int64_t now_ms, int64_t period_ms)
{
    int old = 0;
    while (old < marks->count && marks->marks[old].clock_ms <= now_ms - period_ms)
        old++;
    if (old == 0)
        return 0;
    marks->count -= old - 1;
    memmove(marks->marks, marks->marks + old - 1, (size_t)marks->count * sizeof *marks->marks);
    return marks->marks[0].position;
}

static bool mark_due(const struct marks *marks, int64_t now_ms, int64_t period_ms, int64_t last)
{
    if (marks->count == 0)
        return last > 0;
    const struct mark *newest = &marks->marks[marks->count - 1];
    return newest->position != last && newest->clock_ms + period_ms / 8 <= now_ms;
}

struct marking {
    const char *name;
    char text[TEXT_SIZE];
};

static enum fh_code put_age_marks(struct store_work *work, void *what, struct fh_error *error)
{
    const struct marking *marking = what;
    enum fh_code code = ledger_meta_put(work, marking->name, marking->text, error);
    CRASH_POINT("trim.marked");
    return code;
}

enum fh_code age_position(struct work_context *context, const char *name, int64_t period_ms,
                          int64_t *ret, struct fh_error *error)
{
    char meta[NAME_SIZE], text[TEXT_SIZE] = "";
    struct store_work *work;
    struct marks marks;
    int64_t last = 0, now_ms = command_clock_ms(context);
    *ret = 0;
    snprintf(meta, sizeof meta, "age_%s", name);
    enum fh_code code = store_begin(context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_position(work, &last, error);
    if (code == FH_OK)
        code = ledger_meta_get(work, meta, text, sizeof text, error);
    store_rollback(work);
    if (code != FH_OK)
        return code;
    if (period_ms == 0) {
        *ret = last;
        return FH_OK;
    }
    marks_parse(text, &marks);
    *ret = marks_pass(&marks, now_ms, period_ms);
    if (marks.count == AGE_MARKS_MAX || !mark_due(&marks, now_ms, period_ms, last))
        return FH_OK;
    marks.marks[marks.count++] = (struct mark){now_ms, last};
    struct marking marking = {.name = meta};
    marks_format(&marks, marking.text);
    return work_write(context, put_age_marks, &marking, -1, error);
}
