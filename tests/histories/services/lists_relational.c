/* SPDX-License-Identifier: Apache-2.0 */
/* Lists as rows of one table. */

#include "lists.h"

#define LISTS_A_STATEMENT 50 /* fewer rows in all than a statement may return */

json_int_t lists_append(fh_work *w, json_int_t list, const char *value)
{
    json_t *entry = json_pack("{s:I, s:s}", "list", list, "value", value);
    json_t *row = fh_row(w,
                         "INSERT INTO entries (list, number, value)"
                         " SELECT :list, COUNT(*) + 1, :value FROM entries WHERE list = :list"
                         " RETURNING number",
                         entry);
    return lists_number(row, "number");
}

static json_t *texts_of(const json_t *rows)
{
    json_t *values = json_array();
    size_t i;
    json_t *row;
    json_array_foreach (rows, i, row)
        json_array_append(values, json_object_get(row, "value"));
    return values;
}

json_t *lists_values(fh_work *w, json_int_t list)
{
    return texts_of(fh_rows(w, "SELECT value FROM entries WHERE list = :list ORDER BY number, id",
                            json_pack("{s:I}", "list", list)));
}

void lists_put(fh_work *w, json_int_t list, json_t *values)
{
    size_t i;
    json_t *value;
    fh_exec(w, "DELETE FROM entries WHERE list = :list", json_pack("{s:I}", "list", list));
    json_array_foreach (values, i, value)
        fh_exec(w, "INSERT INTO entries (list, number, value) VALUES (:list, :number, :value)",
                json_pack("{s:I, s:I, s:O}", "list", list, "number", (json_int_t)i + 1, "value",
                          value));
}

/* Adds the lists of `rows`, which are in order. */
static void add_lists(json_t *page, const json_t *rows)
{
    size_t i;
    json_t *row, *last = NULL;
    json_array_foreach (rows, i, row) {
        if (!last || lists_number(last, "list") != lists_number(row, "list")) {
            last = json_pack("{s:O, s:[]}", "list", json_object_get(row, "list"), "values");
            json_array_append_new(page, last);
        }
        json_object_set(last, "number", json_object_get(row, "number"));
        json_object_set(last, "value", json_object_get(row, "value"));
        json_array_append(json_object_get(last, "values"), json_object_get(row, "value"));
    }
}

json_t *lists_page(fh_work *w, json_int_t after, json_int_t below, json_int_t limit)
{
    json_t *page = json_array();
    while (limit > 0) {
        json_int_t wanted = limit < LISTS_A_STATEMENT ? limit : LISTS_A_STATEMENT;
        json_t *names =
            json_pack("{s:I, s:I, s:I}", "after", after, "below", below, "limit", wanted);
        json_t *lists = fh_rows(w,
                                "SELECT DISTINCT list FROM entries WHERE list > :after"
                                " AND list < :below ORDER BY list LIMIT :limit",
                                names);
        size_t found = json_array_size(lists);
        if (found == 0)
            break;
        json_int_t last = lists_number(json_array_get(lists, found - 1), "list");
        json_object_set_new(names, "last", json_integer(last));
        add_lists(page, fh_rows(w,
                                "SELECT list, number, value FROM entries WHERE list > :after"
                                " AND list <= :last ORDER BY list, number, id",
                                names));
        after = last;
        limit -= (json_int_t)found;
        if ((json_int_t)found < wanted)
            break;
    }
    return page;
}
