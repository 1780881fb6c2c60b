/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page as the server is given it: columns, each an array. Ops that are no points as declared are
 * refused, so that nothing in the arrays can be wrong; of several of one point the one of the
 * highest version counts, as one statement changes a row once.
 *
 * A digest of all its tags tells curves apart, here and on the server, whatever texts they are: an
 * index can't hold 32 of 255 bytes each.
 */

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/postgresql/internal.h"
#include "carrier/values.h"

#define ARRAY_SIZE_MAX ((size_t)256 << 20)

/* ---- Points ---- */

static bool is_fit(struct carried_op *op)
{
    op->refused[0] = '\0';
    if (!op->values)
        snprintf(op->refused, sizeof op->refused,
                 "PostgreSQL does not take it: no point as declared");
    return op->values != NULL;
}

static bool sort_fit_points(struct curves_page *page, const struct carried_name *generation,
                            struct carried_page *carried)
{
    int count = 0;
    struct carried_op **fit = malloc(((size_t)carried->count + 1) * sizeof *fit);
    if (!fit)
        return false;
    for (int i = 0; i < carried->count; i++) {
        if (is_fit(&carried->ops[i]))
            fit[count++] = &carried->ops[i];
    }
    bool sorted = curves_page_sort(page, generation, fit, count);
    free(fit);
    return sorted;
}

void *curves_write_page(const struct fh_derived *declared, const struct carried_name *generation,
                        struct carried_page *carried, void *spare)
{
    size_t count = carried->count > 0 ? (size_t)carried->count : 1;
    struct curves_page *page = calloc(1, sizeof *page);
    if (spare)
        curves_unwrite_page(spare);
    if (!page)
        return NULL;
    page->declared = declared;
    page->kept = generation->kept;
    page->points = calloc(count, sizeof *page->points);
    page->tags = calloc(count, sizeof *page->tags);
    page->times = calloc(count, sizeof *page->times);
    if (!page->points || !page->tags || !page->times ||
        !sort_fit_points(page, generation, carried)) {
        curves_unwrite_page(page);
        return NULL;
    }
    page->arrays_count = curves_page_points(page, 0, page->count, page->arrays);
    return page;
}

void curves_unwrite_page(void *written)
{
    struct curves_page *page = written;
    for (int i = 0; i < page->arrays_count; i++)
        free(page->arrays[i]);
    free(page->points);
    free(page->tags);
    free(page->times);
    free(page);
}

/* ---- Arrays ---- */

static void array_begin(struct text *array)
{
    text_init(array, ARRAY_SIZE_MAX);
    text_add(array, "{");
}

static void array_next(struct text *array)
{
    if (array->length > 1)
        text_append(array, ",", 1);
}

static char *array_end(struct text *array)
{
    text_add(array, "}");
    FH_ASSERT(!array->overflow);
    return text_take(array);
}

static void array_add_text(struct text *array, const char *text, size_t length)
{
    text_append(array, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' || text[i] == '\\')
            text_append(array, "\\", 1);
        text_append(array, &text[i], 1);
    }
    text_append(array, "\"", 1);
}

static void array_add(struct text *array, const struct carried_value *value)
{
    switch (value->kind) {
    case CARRIED_NUMBER:
        text_append(array, value->text, value->length);
        break;
    case CARRIED_FALSE:
        text_add(array, "0");
        break;
    case CARRIED_TRUE:
        text_add(array, "1");
        break;
    case CARRIED_TEXT:
        array_add_text(array, value->text, value->length);
        break;
    case CARRIED_NULL:
        text_add(array, "NULL");
        break;
    }
}

static char *array_of_digests(const struct curves_page *page, int from, int to)
{
    struct text array;
    char hex[2 * CURVES_TAGS_DIGEST + 1];
    array_begin(&array);
    for (int i = from; i < to; i++) {
        if (page->tags[i].id)
            continue;
        array_next(&array);
        sodium_bin2hex(hex, sizeof hex, page->tags[i].digest, CURVES_TAGS_DIGEST);
        text_printf(&array, "\"\\\\x%s\"", hex);
    }
    return array_end(&array);
}

int curves_page_tags(const struct curves_page *page, int from, int to,
                     char *ret[static DERIVED_FIELDS_MAX + 1])
{
    int count = 0;
    ret[count++] = array_of_digests(page, from, to);
    for (int column = 0; page->declared->fields[column].name; column++) {
        struct text array;
        if (!series_is_tag(&page->declared->fields[column]))
            continue;
        array_begin(&array);
        for (int i = from; i < to; i++) {
            if (page->tags[i].id)
                continue;
            array_next(&array);
            array_add(&array, &page->tags[i].values[column]);
        }
        ret[count++] = array_end(&array);
    }
    return count;
}

char *curves_page_curves(const struct curves_page *page, int from, int to)
{
    struct text array;
    array_begin(&array);
    for (int i = from; i < to; i++) {
        array_next(&array);
        text_integer(&array, page->tags[page->points[i].tags].id);
    }
    return array_end(&array);
}

enum { POINT_TIME = -3, POINT_POSITION = -2, POINT_LIFE = -1 };

static void array_add_of_point(struct text *array, const struct carried_op *op, int column)
{
    if (column >= 0)
        array_add(array, &op->values[column]);
    else if (column == POINT_LIFE)
        array_add_text(array, op->life, strlen(op->life));
    else
        text_integer(array, column == POINT_TIME ? op->at_ms : op->position);
}

int curves_page_points(const struct curves_page *page, int from, int to,
                       char *ret[static DERIVED_FIELDS_MAX + 3])
{
    int count = 0;
    for (int column = POINT_TIME; column < 0 || page->declared->fields[column].name; column++) {
        struct text array;
        if (column >= 0 && series_is_tag(&page->declared->fields[column]))
            continue;
        if (column == POINT_LIFE && !page->kept)
            continue;
        array_begin(&array);
        for (int i = from; i < to; i++) {
            array_next(&array);
            array_add_of_point(&array, page->points[i].op, column);
        }
        ret[count++] = array_end(&array);
    }
    return count;
}
