/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a page, or of some of its ops: a page is some megabytes, so they are put together
 * off the loop. */

#include <stdio.h>
#include <stdlib.h>

#include "carrier/influxdb/internal.h"

/* ---- What will never be taken ---- */

static const char *unfit_op(const struct carried_op *op)
{
    if (!op->values)
        return "It is not as it is declared.";
    if (op->at_ms < INFLUXDB_AT_MS_MIN || op->at_ms >= INFLUXDB_AT_MS_MAX)
        return "InfluxDB has no such time: expected one from 1679 to 2260.";
    return "";
}

void influxdb_page_refuse(struct carried_page *page)
{
    for (int i = 0; i < page->count; i++) {
        const char *unfit = unfit_op(&page->ops[i]);
        page->ops[i].refused[0] = '\0';
        if (*unfit)
            snprintf(page->ops[i].refused, sizeof page->ops[i].refused, "%s", unfit);
    }
}

/* ---- The days of a page ---- */

static int compare_days(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

/* A page without ops has the day 0. */
static int days_of_page(const struct carried_page *page, int64_t *days)
{
    int count = 0, unique = 0;
    for (int i = 0; i < page->count; i++) {
        int64_t day = series_floor(page->ops[i].at_ms, INFLUXDB_DAY_MS);
        if (!page->ops[i].refused[0] && (!count || days[count - 1] != day))
            days[count++] = day;
    }
    if (!count)
        days[count++] = 0;
    qsort(days, (size_t)count, sizeof *days, compare_days);
    for (int i = 0; i < count; i++) {
        if (!unique || days[unique - 1] != days[i])
            days[unique++] = days[i];
    }
    return unique;
}

static void write_link_parts(struct influxdb_page *page)
{
    int64_t *days = malloc(((size_t)page->page->count + 1) * sizeof *days);
    if (!days) {
        page->body.overflow = true;
        return;
    }
    int count = days_of_page(page->page, days);
    for (int i = 0; i < count; i++)
        influxdb_write_part(&page->body, page->links, &page->page->link, page->page->life, days[i],
                            page->voids ? 0 : count);
    free(days);
}

void influxdb_page_write(void *context)
{
    struct influxdb_page *page = context;
    text_clear(&page->body);
    for (int i = page->first; i < page->first + page->count && !page->voids; i++) {
        const struct carried_op *op = &page->page->ops[i];
        if (!op->refused[0])
            influxdb_write_op(&page->body, &page->form, op);
    }
    if (page->linked || page->voids)
        write_link_parts(page);
    page->whole = page->linked && !page->voids && page->count == page->page->count;
}

void *influxdb_write_page(const struct fh_derived *declared, const struct carried_name *generation,
                          struct carried_page *carried, void *spare)
{
    struct influxdb_page *page = spare ? spare : calloc(1, sizeof *page);
    if (!page)
        return NULL;
    struct text body = page->body;
    if (spare)
        influxdb_form_release(&page->form);
    else
        text_init(&body, INFLUXDB_PAGE_MAX);
    *page = (struct influxdb_page){.body = body};
    page->declared = declared;
    page->page = carried;
    page->count = carried->count;
    page->linked = true;
    influxdb_measurement(declared, generation, "", page->measurement);
    influxdb_measurement(declared, generation, INFLUXDB_LINKS, page->links);
    influxdb_form_init(&page->form, page->measurement, declared);
    influxdb_page_refuse(carried);
    influxdb_page_write(page);
    page->page = NULL; /* it may lie elsewhere when it is sent */
    return page;
}

void influxdb_unwrite_page(void *written)
{
    struct influxdb_page *page = written;
    influxdb_form_release(&page->form);
    text_release(&page->body);
    free(page);
}
