/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was found for a question of columns, fact by fact. It knows no store: whoever reads the rows
 * can do so anywhere.
 *
 * Groups are found by a table of their hashes, with open addressing, as are the values that "uniq"
 * has met; both compare the values themselves, so what is counted is exact. Most facts are of the
 * group of the one before, or of one of few.
 */

#include "store/derived/columns.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SLOTS_MIN 64
#define TALLY_SIZE_MAX ((size_t)256 << 20)

/* A value that was met in a group. */
struct columns_seen {
    const struct columns_group *group;
    uint64_t hash;
    int uniq;
    struct sql_value value;
};

static enum fh_code no_columns_room(struct fh_error *error)
{
    return error_set(error, FH_NO_MEMORY, "There is no memory for an answer.");
}

/* Long texts, and many values of many groups, come to this before they are too many. */
static enum fh_code is_too_large(struct fh_error *error, const char *field)
{
    return derived_unfit(error, field,
                         "A question keeps at most %zu MiB of groups and values that it tells "
                         "apart: expected fewer of them, longer intervals or a shorter time.",
                         TALLY_SIZE_MAX >> 20);
}

void columns_tally_init(struct columns_tally *tally, const struct columns_question *question)
{
    *tally = (struct columns_tally){.question = question};
    arena_init(&tally->arena, TALLY_SIZE_MAX);
}

void columns_tally_release(struct columns_tally *tally)
{
    free(tally->groups);
    free(tally->slots);
    free(tally->seen);
    arena_release(&tally->arena);
}

/* ---- Values ---- */

static uint64_t hash_column(uint64_t hash, const struct sql_value *value)
{
    if (value->kind == SQL_TEXT)
        return XXH3_64bits_withSeed(value->text, value->length, hash);
    if (value->kind == SQL_REAL)
        return XXH3_64bits_withSeed(&value->real, sizeof value->real, hash);
    return XXH3_64bits_withSeed(&value->integer, sizeof value->integer, hash);
}

static bool is_same_value(const struct sql_value *one, const struct sql_value *other)
{
    if (one->kind != other->kind)
        return false;
    if (one->kind == SQL_TEXT)
        return one->length == other->length && memcmp(one->text, other->text, one->length) == 0;
    return one->kind == SQL_REAL ? one->real == other->real : one->integer == other->integer;
}

/* A number of an FH_NUMBER is a real, however it is kept; and there is one zero. */
static struct sql_value plain_value(const struct fh_derived_field *field,
                                    const struct sql_value *value)
{
    struct sql_value plain = *value;
    if (field->type == FH_NUMBER && value->kind == SQL_INTEGER)
        plain = (struct sql_value){.kind = SQL_REAL, .real = (double)value->integer};
    if (plain.kind == SQL_REAL && plain.real == 0)
        plain.real = 0;
    return plain;
}

static bool keep_column(struct columns_tally *tally, const struct sql_value *value,
                        struct sql_value *ret)
{
    *ret = *value;
    if (value->kind != SQL_TEXT)
        return true;
    char *text = arena_try_alloc(&tally->arena, value->length + 1);
    if (text)
        memcpy(text, value->text, value->length);
    ret->text = text;
    return text != NULL;
}

/* ---- Groups ---- */

static bool is_of_group(const struct columns_group *group, int64_t at_ms,
                        const struct sql_value *keys, int count)
{
    bool same = group->at_ms == at_ms;
    for (int i = 0; i < count && same; i++)
        same = is_same_value(&group->keys[i], &keys[i]);
    return same;
}

static enum fh_code grow_slots(struct columns_tally *tally, struct fh_error *error)
{
    size_t count = tally->slot_count ? tally->slot_count * 2 : SLOTS_MIN;
    if ((tally->group_count + 1) * 2 <= tally->slot_count)
        return FH_OK;
    struct columns_group **groups = realloc(tally->groups, count * sizeof *groups);
    tally->groups = groups ? groups : tally->groups;
    uint32_t *slots = calloc(count, sizeof *slots);
    if (!groups || !slots) {
        free(slots);
        return no_columns_room(error);
    }
    for (size_t i = 0; i < tally->group_count; i++) {
        size_t at = groups[i]->hash & (count - 1);
        while (slots[at])
            at = (at + 1) & (count - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(tally->slots);
    tally->slots = slots;
    tally->slot_count = count;
    return FH_OK;
}

/* NULL: there is no memory. */
static struct columns_group *make_group(struct columns_tally *tally, int64_t at_ms,
                                        const struct sql_value *keys, uint64_t hash)
{
    const struct columns_question *question = tally->question;
    size_t key_count = (size_t)question->by_count, cells = (size_t)question->read_count;
    size_t uniqs = (size_t)question->uniq_count;
    struct columns_group *group = arena_try_alloc(&tally->arena, sizeof *group);
    struct sql_value *kept = arena_try_alloc(&tally->arena, (key_count + 1) * sizeof *kept);
    struct columns_cell *cell = arena_try_alloc(&tally->arena, (cells + 1) * sizeof *cell);
    int64_t *uniq = arena_try_alloc(&tally->arena, (uniqs + 1) * sizeof *uniq);
    if (!group || !kept || !cell || !uniq)
        return NULL;
    memset(cell, 0, cells * sizeof *cell);
    memset(uniq, 0, uniqs * sizeof *uniq);
    *group = (struct columns_group){
        .at_ms = at_ms, .keys = kept, .cells = cell, .uniq = uniq, .hash = hash};
    for (size_t i = 0; i < key_count; i++) {
        if (!keep_column(tally, &keys[i], &kept[i]))
            return NULL;
    }
    return group;
}

static enum fh_code find_columns_group(struct columns_tally *tally, int64_t at_ms,
                                       const struct sql_value *keys, struct fh_error *error)
{
    int count = tally->question->by_count;
    uint64_t hash = (uint64_t)at_ms;
    if (tally->last && is_of_group(tally->last, at_ms, keys, count))
        return FH_OK;
    enum fh_code code = grow_slots(tally, error);
    if (code != FH_OK)
        return code;
    hash = XXH3_64bits(&hash, sizeof hash);
    for (int i = 0; i < count; i++)
        hash = hash_column(hash, &keys[i]);
    size_t at = hash & (tally->slot_count - 1);
    for (; tally->slots[at]; at = (at + 1) & (tally->slot_count - 1)) {
        tally->last = tally->groups[tally->slots[at] - 1];
        if (tally->last->hash == hash && is_of_group(tally->last, at_ms, keys, count))
            return FH_OK;
    }
    tally->last = NULL;
    if (tally->group_count == COLUMNS_GROUPS_MAX)
        return derived_unfit(error, "by",
                             "A question has at most %d groups: expected fewer tags, longer "
                             "intervals or a shorter time.",
                             COLUMNS_GROUPS_MAX);
    struct columns_group *group = make_group(tally, at_ms, keys, hash);
    if (!group)
        return is_too_large(error, "by");
    tally->groups[tally->group_count++] = tally->last = group;
    tally->slots[at] = (uint32_t)tally->group_count;
    return FH_OK;
}

enum fh_code columns_tally_group(struct columns_tally *tally, int64_t at_ms,
                                 const struct sql_value *keys, struct columns_group **ret,
                                 struct fh_error *error)
{
    enum fh_code code = find_columns_group(tally, at_ms, keys, error);
    *ret = tally->last;
    return code;
}

/* ---- Different values ---- */

enum fh_code columns_too_many_apart(struct fh_error *error)
{
    return derived_unfit(error, "values", "\"uniq\" tells at most %d values apart.",
                         COLUMNS_UNIQ_MAX);
}

static enum fh_code grow_seen(struct columns_tally *tally, struct fh_error *error)
{
    size_t room = tally->seen_room ? tally->seen_room * 2 : SLOTS_MIN;
    if ((tally->seen_count + 1) * 2 <= tally->seen_room)
        return FH_OK;
    struct columns_seen **seen = calloc(room, sizeof(struct columns_seen *));
    if (!seen)
        return no_columns_room(error);
    for (size_t i = 0; i < tally->seen_room; i++) {
        if (!tally->seen[i])
            continue;
        size_t at = tally->seen[i]->hash & (room - 1);
        while (seen[at])
            at = (at + 1) & (room - 1);
        seen[at] = tally->seen[i];
    }
    free(tally->seen);
    tally->seen = seen;
    tally->seen_room = room;
    return FH_OK;
}

static enum fh_code count_uniq(struct columns_tally *tally, int uniq, const struct sql_value *value,
                               struct fh_error *error)
{
    struct columns_group *group = tally->last;
    enum fh_code code = grow_seen(tally, error);
    if (code != FH_OK)
        return code;
    uint64_t hash = hash_column(group->hash + (uint64_t)uniq, value);
    size_t at = hash & (tally->seen_room - 1);
    for (; tally->seen[at]; at = (at + 1) & (tally->seen_room - 1)) {
        const struct columns_seen *seen = tally->seen[at];
        if (seen->hash == hash && seen->group == group && seen->uniq == uniq &&
            is_same_value(&seen->value, value))
            return FH_OK;
    }
    if (tally->seen_count == COLUMNS_UNIQ_MAX)
        return columns_too_many_apart(error);
    struct columns_seen *seen = arena_try_alloc(&tally->arena, sizeof *seen);
    if (!seen)
        return is_too_large(error, "values");
    *seen = (struct columns_seen){.group = group, .hash = hash, .uniq = uniq};
    if (!keep_column(tally, value, &seen->value))
        return is_too_large(error, "values");
    tally->seen[at] = seen;
    tally->seen_count++;
    group->uniq[uniq]++;
    return FH_OK;
}

/* ---- Facts ---- */

static void add_to_columns_cell(struct columns_cell *cell, const struct fh_derived_field *field,
                                const struct sql_value *value)
{
    bool only = cell->count++ == 0;
    if (series_is_tag(field))
        return;
    if (field->type == FH_INT) {
        cell->sum.integer += value->integer;
        if (only || value->integer < cell->min.integer)
            cell->min.integer = value->integer;
        if (only || value->integer > cell->max.integer)
            cell->max.integer = value->integer;
        return;
    }
    cell->sum.real += (long double)value->real;
    if (only || value->real < cell->min.real)
        cell->min.real = value->real;
    if (only || value->real > cell->max.real)
        cell->max.real = value->real;
}

enum fh_code columns_tally_fact(struct columns_tally *tally, const struct sql_row *row,
                                struct fh_error *error)
{
    const struct columns_question *question = tally->question;
    const struct sql_value *reads = &row->values[1];
    int64_t at_ms =
        question->every_ms ? series_floor(row->values[0].integer, question->every_ms) : 0;
    enum fh_code code =
        find_columns_group(tally, at_ms, reads, error); /* those of `by` come first */
    if (code != FH_OK)
        return code;
    tally->last->count++;
    for (int i = 0; i < question->read_count; i++) {
        const struct fh_derived_field *field = &question->declared->fields[question->reads[i]];
        struct sql_value value = plain_value(field, &reads[i]);
        if (value.kind != SQL_NULL)
            add_to_columns_cell(&tally->last->cells[i], field, &value);
    }
    for (int i = 0; i < question->value_count && code == FH_OK && question->uniq_count; i++) {
        const struct columns_value *value = &question->values[i];
        if (value->function != COLUMNS_UNIQ || reads[value->read].kind == SQL_NULL)
            continue;
        struct sql_value plain = plain_value(
            &question->declared->fields[question->reads[value->read]], &reads[value->read]);
        code = count_uniq(tally, value->uniq, &plain, error);
    }
    return code;
}
