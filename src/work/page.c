/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page is what the handler's statement selects, as a subquery, restricted to what follows the
 * cursor's values in the order of `by`; one row more is read to know whether there is a next page.
 * So the statement, which knows what may be listed, stays as it is for all pages.
 */

#include "work/page.h"

#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "work/batch.h"

#define LINK_LENGTH_MAX ((size_t)12 << 10)
#define CURSOR_FIELD_MAX 4096

static int page_limit(const struct fh_page *page)
{
    return page->limit > 0 ? page->limit : PAGE_LIMIT;
}

static int page_limit_max(const struct fh_page *page)
{
    int max = page->limit_max > 0 ? page->limit_max : PAGE_LIMIT_MAX;
    if (max < page_limit(page))
        max = page_limit(page);
    return max > PAGE_LIMIT_MOST ? PAGE_LIMIT_MOST : max;
}

const fh_field *page_query_shape(struct arena *arena, const struct fh_route *route)
{
    size_t count = 0;
    if (!route->page.by)
        return route->query;
    while (route->query && route->query[count].name)
        count++;
    fh_field *shape = arena_alloc(arena, (count + 3) * sizeof *shape);
    shape[0] = (fh_field){.name = "limit",
                          .type = FH_INT,
                          .min = 1,
                          .max = page_limit_max(&route->page),
                          .default_value = arena_printf(arena, "%d", page_limit(&route->page))};
    shape[1] = (fh_field){
        .name = "cursor", .type = FH_STRING, .min = 1, .max = CURSOR_FIELD_MAX, .optional = true};
    for (size_t i = 0; i < count; i++)
        shape[i + 2] = route->query[i];
    return shape;
}

/* "created_at,id": the next column's name, in `ret`; false: no more, or it is no name. */
static bool next_column(const char **by, char ret[static 64])
{
    const char *from = *by + strspn(*by, ", ");
    size_t length = strcspn(from, ", ");
    if (!length || length >= 64)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)from[i]) && from[i] != '_')
            return false;
    }
    memcpy(ret, from, length);
    ret[length] = '\0';
    *by = from + length;
    return true;
}

static size_t count_columns(const char *by)
{
    char column[64];
    size_t count = 0;
    while (next_column(&by, column))
        count++;
    return count;
}

static const fh_field *page_field(const fh_field *shape, const char *name)
{
    for (; shape && shape->name; shape++) {
        if (strcmp(shape->name, name) == 0)
            return shape;
    }
    return NULL;
}

/* Cursors can be read, and stand in addresses, which are in logs. */
static enum fh_code check_columns(const struct fh_route *route, struct fh_error *error)
{
    const char *by = route->page.by;
    char column[64];
    size_t count = 0;
    for (; next_column(&by, column); count++) {
        const fh_field *field = page_field(route->answer.each, column);
        if (route->answer.each && !field && !page_field(route->answer.each, "*"))
            return error_set(error, FH_INVALID,
                             "has a .page by \"%s\", which its .answer does not have.", column);
        if (field && (field->personal || field->secret || field->card))
            return error_set(error, FH_INVALID,
                             "has a .page by \"%s\", which is marked: cursors can be read.",
                             column);
    }
    if (count == 0 || count > PAGE_COLUMNS_MAX || by[strspn(by, ", ")])
        return error_set(error, FH_INVALID,
                         "has a .page by \"%.40s\": expected 1 to %d names of columns, as in "
                         "\"created_at,id\".",
                         route->page.by, PAGE_COLUMNS_MAX);
    return FH_OK;
}

enum fh_code page_check(const struct fh_route *route, struct fh_error *error)
{
    const struct fh_page *page = &route->page;
    if (!page->by && !page->limit && !page->limit_max && !page->descending)
        return FH_OK;
    if (!page->by)
        return error_set(error, FH_INVALID, "has a .page without `by`.");
    if (strcmp(route->method, "GET") != 0)
        return error_set(error, FH_INVALID, "has a .page, which is for GET.");
    if (page->limit < 0 || page->limit > PAGE_LIMIT_MOST || page->limit_max < 0 ||
        page->limit_max > PAGE_LIMIT_MOST ||
        (page->limit_max && page_limit(page) > page->limit_max))
        return error_set(error, FH_INVALID,
                         "has a .page with a limit of %d and a limit_max of %d: expected at most "
                         "%d, and no limit beyond limit_max.",
                         page_limit(page), page->limit_max, PAGE_LIMIT_MOST);
    if (page_field(route->query, "limit") || page_field(route->query, "cursor"))
        return error_set(error, FH_INVALID,
                         "has a .page, so its .query can't declare `limit` or `cursor`.");
    return check_columns(route, error);
}

json_t *page_take_query(fh_work *w)
{
    const char *cursor = json_string_value(json_object_get(w->query, "cursor"));
    w->page.limit = (int)json_integer_value(json_object_get(w->query, "limit"));
    if (cursor)
        cursor = arena_text(&w->kept, cursor);
    json_object_del(w->query, "limit");
    json_object_del(w->query, "cursor");
    if (!cursor)
        return NULL;
    w->page.after = page_cursor_read(w, cursor);
    size_t i;
    json_t *value;
    bool sound = json_array_size(w->page.after) == count_columns(w->route->page.by);
    json_array_foreach (w->page.after, i, value)
        sound = sound && (json_is_string(value) || json_is_number(value) || json_is_boolean(value));
    if (sound)
        return NULL;
    return json_pack("[{s:s, s:s}]", "parameter", "cursor", "detail",
                     "it is no cursor of this list: take it from the header Link of the page "
                     "before, with the same query, or leave it out to begin anew");
}

static _Noreturn void page_fault(fh_work *w, const char *message)
{
    work_fail_with(w, FH_UNSUPPORTED, message);
}

static const struct fh_page *page_of(fh_work *w)
{
    const struct fh_page *page = w->route ? &w->route->page : NULL;
    if (!page || !page->by || !w->read_only)
        page_fault(w, "Pages are for the handler of a GET route that declares .page.");
    if (!w->page.limit)
        w->page.limit = page_limit(page);
    return page;
}

struct page_statement page_statement_of(fh_work *w, const char *sql)
{
    const struct fh_page *page = page_of(w);
    const char *by = page->by, *columns = "", *places = "", *order = "", *after = "";
    char column[64];
    struct page_statement statement = {.values = json_object()};
    size_t count = 0;
    for (; next_column(&by, column); count++) {
        const char *comma = count ? ", " : "", *name = work_printf(w, "page_after_%zu", count);
        columns = work_printf(w, "%s%spage.%s", columns, comma, column);
        places = work_printf(w, "%s%s:%s", places, comma, name);
        order =
            work_printf(w, "%s%spage.%s%s", order, comma, column, page->descending ? " DESC" : "");
        if (w->page.after)
            json_object_set(statement.values, name, json_array_get(w->page.after, count));
    }
    json_object_set_new(statement.values, "page_limit", json_integer(w->page.limit + 1));
    const char *one = count == 1 ? "" : "(", *end = count == 1 ? "" : ")";
    if (w->page.after)
        after = work_printf(w, " WHERE %s%s%s %s %s%s%s", one, columns, end,
                            page->descending ? "<" : ">", one, places, end);
    /* The line's end ends a comment, too. */
    statement.sql = work_printf(
        w, "SELECT page.* FROM (%s\n) AS page%s ORDER BY %s LIMIT :page_limit", sql, after, order);
    return statement;
}

/* The path or query, percent-encoded where it would end the Link's target. */
static void add_raw(struct text *link, const char *raw, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)raw[i];
        if (c <= ' ' || c >= 0x7f || strchr("<>\"\\^`{|}", c))
            text_printf(link, "%%%02X", c);
        else
            text_append(link, raw + i, 1);
    }
}

static bool is_parameter(const char *raw, size_t length, const char *name)
{
    size_t named = strlen(name);
    return length >= named && memcmp(raw, name, named) == 0 &&
           (length == named || raw[named] == '=');
}

/* The request's own address with another cursor: relative, so that it holds behind any door. */
static void add_link(fh_work *w, const char *cursor)
{
    struct text link;
    text_init(&link, LINK_LENGTH_MAX);
    text_add(&link, "<");
    add_raw(&link, w->page.path, strlen(w->page.path));
    char joint = '?';
    for (const char *at = w->page.query; *at;) {
        size_t length = strcspn(at, "&");
        if (length && !is_parameter(at, length, "cursor")) {
            text_append(&link, &joint, 1);
            add_raw(&link, at, length);
            joint = '&';
        }
        at += length + (at[length] == '&');
    }
    text_append(&link, &joint, 1);
    text_printf(&link, "cursor=%s>; rel=\"next\"", cursor);
    bool overflow = link.overflow;
    char *value = overflow ? NULL : arena_try_alloc(&w->arena, link.length + 1);
    if (value)
        memcpy(value, link.data, link.length + 1);
    text_release(&link);
    if (!overflow && !value)
        work_fail_with(w, FH_NO_MEMORY, WORK_MEMORY_FAULT);
    if (overflow)
        work_fail_as(w, PROBLEM_TARGET_TOO_LONG, NULL, "The next page's address is too long.");
    fh_reply_header(w, "Link", value);
}

json_t *page_end(fh_work *w, json_t *rows)
{
    const struct fh_page *page = page_of(w);
    size_t count = json_array_size(rows);
    if (count <= (size_t)w->page.limit)
        return rows;
    json_array_remove(rows, count - 1);
    const json_t *last = json_array_get(rows, count - 2);
    json_t *values = json_array();
    char column[64];
    for (const char *by = page->by; next_column(&by, column);) {
        json_t *value = json_object_get(last, column);
        if (!value || json_is_null(value))
            page_fault(w, work_printf(w,
                                      "A page's last row has no \"%s\", by which its route's .page "
                                      "orders: select it, and let it never be null.",
                                      column));
        json_array_append(values, value);
    }
    if (w->page.path)
        add_link(w, page_cursor_make(w, values));
    return rows;
}

json_t *fh_page_docs(fh_work *w, const char *collection, json_t *filter)
{
    const struct fh_page *page = page_of(w);
    if (strcmp(page->by, "id") != 0 || page->descending)
        page_fault(w, "Documents are answered in pages by \"id\", ascending: say so in .page.");
    const char *after = json_string_value(json_array_get(w->page.after, 0));
    return page_end(w, fh_docs(w, collection, filter, NULL, after, w->page.limit + 1));
}
