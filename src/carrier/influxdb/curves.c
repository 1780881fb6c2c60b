/* SPDX-License-Identifier: Apache-2.0 */
/* The curves of a question: all tags of which there are points in its time. Answers have tags in
 * an order of their own; here they are in that of the declaration, as they are written ("d1,7,"),
 * and found by that. */

#include <stdlib.h>

#include "carrier/influxdb/internal.h"

#define CURVE_WORDS_MAX ((size_t)256 << 20)

void influxdb_curves_init(struct influxdb_curves *curves, const struct series_question *question)
{
    *curves = (struct influxdb_curves){.question = question};
    text_init(&curves->words, CURVE_WORDS_MAX);
    text_init(&curves->wanted, CURVE_WORDS_MAX);
}

void influxdb_curves_release(struct influxdb_curves *curves)
{
    text_release(&curves->words);
    text_release(&curves->wanted);
    free(curves->curves);
}

/* NULL: it is not among them, so these are no points of ours. */
static const struct influxdb_cell *find_tag(const struct influxdb_rows *rows, const char *name)
{
    for (int i = 0; i < rows->tag_count; i++) {
        if (influxdb_cell_is(&rows->tag_names[i], name))
            return rows->tags[i].foreign ? NULL : &rows->tags[i];
    }
    return NULL;
}

static bool add_curve_words(struct text *words, const struct fh_derived *declared,
                            const struct influxdb_rows *rows)
{
    const struct fh_derived_field *fields = declared->fields;
    for (int i = 0; fields[i].name; i++) {
        char name[INFLUXDB_FIELD_SIZE];
        if (!series_is_tag(&fields[i]))
            continue;
        influxdb_field_name(&fields[i], name);
        const struct influxdb_cell *tag = find_tag(rows, name);
        if (!tag)
            return false;
        text_append(words, tag->text, tag->length);
        text_append(words, ",", 1);
    }
    return true;
}

/* The row that the tally takes, of the words that were added last. */
static bool tally_influxdb_curve(struct influxdb_curves *curves, const struct influxdb_curve *curve,
                                 struct series_tally *tally, enum fh_code *ret_code,
                                 struct fh_error *error)
{
    const struct fh_derived_field *fields = curves->question->declared->fields;
    struct sql_value values[DERIVED_FIELDS_MAX + SQL_VALUES_MIN + 1] = {sql_integer(curve->id)};
    const char *word = curves->words.data + curve->words;
    struct sql_row row = {.count = 1, .values = values};
    for (int i = 0; fields[i].name; i++) {
        if (!series_is_tag(&fields[i]))
            continue;
        size_t length = strcspn(word, ",");
        if (!influxdb_read_word(word, length, fields[i].type, &values[row.count], curves->texts[i]))
            return false;
        row.count++;
        word += length + 1;
    }
    *ret_code = series_tally_curve(tally, &row, error);
    return *ret_code == FH_OK;
}

bool influxdb_curves_add(struct influxdb_curves *curves, const struct influxdb_rows *rows,
                         struct series_tally *tally, enum fh_code *ret_code, struct fh_error *error)
{
    size_t begin = curves->words.length;
    if (curves->count == curves->room) {
        size_t room = curves->room ? curves->room * 2 : 64;
        void *grown = realloc(curves->curves, room * sizeof *curves->curves);
        if (grown) {
            curves->curves = grown;
            curves->room = room;
        }
    }
    bool known = add_curve_words(&curves->words, curves->question->declared, rows);
    if (curves->count == curves->room || curves->words.overflow) {
        *ret_code = error_set(error, FH_NO_MEMORY, "There is no memory for an answer.");
        return false;
    }
    struct influxdb_curve *curve = &curves->curves[curves->count];
    *curve = (struct influxdb_curve){
        .words = begin, .length = curves->words.length - begin, .id = (int64_t)curves->count};
    curves->count++;
    return known && tally_influxdb_curve(curves, curve, tally, ret_code, error);
}

/* ---- Found again ---- */

static int compare_words(const char *one, size_t one_length, const char *other, size_t other_length)
{
    size_t length = one_length < other_length ? one_length : other_length;
    int order = memcmp(one, other, length);
    return order ? order : (one_length > other_length) - (one_length < other_length);
}

static int compare_curve_words(const void *one, const void *other)
{
    const struct influxdb_curve *a = one, *b = other;
    return compare_words(a->text, a->length, b->text, b->length);
}

void influxdb_curves_sort(struct influxdb_curves *curves)
{
    for (size_t i = 0; i < curves->count; i++)
        curves->curves[i].text = curves->words.data + curves->curves[i].words;
    if (curves->count)
        qsort(curves->curves, curves->count, sizeof *curves->curves, compare_curve_words);
}

struct influxdb_curve *influxdb_curves_find(struct influxdb_curves *curves,
                                            const struct influxdb_rows *rows)
{
    struct text *wanted = &curves->wanted;
    text_clear(wanted);
    if (!curves->count || !add_curve_words(wanted, curves->question->declared, rows) ||
        wanted->overflow)
        return NULL;
    struct influxdb_curve key = {.text = wanted->data, .length = wanted->length};
    return bsearch(&key, curves->curves, curves->count, sizeof *curves->curves,
                   compare_curve_words);
}
