/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_SHELF_BOOKS_H
#define SIMULATE_SHELF_BOOKS_H

/* What both services do: books that are in a ring. What is derived of one is how often it and the
 * one before it were changed, "3.1"; every so often it is gone. */

#include <freehold.h>

#define BOOKS 10
#define GONE_AT 5 /* changes, and at each multiple */

static const fh_field change_shape[] = {{"id", FH_STRING}, {0}};
static const struct fh_derived_field books_fields[] = {{"name", FH_STRING, FH_TEXT}, {0}};

static inline void derive_book(fh_work *w, const char *id)
{
    json_t *book = fh_row(w,
                          "SELECT b.n, o.n AS m FROM book b JOIN book o ON o.id = b.before_id"
                          " WHERE b.id = :id",
                          fh_object(w, "id", id));
    int n = (int)fh_int(w, book, "n"), m = (int)fh_int(w, book, "m");
    if (n % GONE_AT == 0)
        fh_derive_gone(w, "books", id);
    else
        fh_derive(w, "books", id, fh_object(w, "name", fh_format(w, "%d.%d", n, m)));
}

static inline void change_book(fh_work *w)
{
    const char *id = fh_text(w, fh_body(w), "id");
    fh_exec(w, "UPDATE book SET n = n + 1 WHERE id = :id", fh_body(w));
    derive_book(w, id);
    derive_book(w, fh_format(w, "k%d", (id[1] - '0' + 1) % BOOKS));
    fh_reply(w, 201, fh_row(w, "SELECT n FROM book WHERE id = :id", fh_body(w)));
}

/* Derives it of what it reads, and changes nothing that others read. */
static inline void derive_again(fh_work *w)
{
    fh_exec(w, "INSERT INTO again (id) VALUES (:id)", fh_body(w));
    derive_book(w, fh_text(w, fh_body(w), "id"));
    fh_reply(w, 204, NULL);
}

static inline void list_books(fh_work *w)
{
    json_t *rows = fh_rows(w,
                           "SELECT b.id, b.n, o.n AS m FROM book b JOIN book o ON o.id ="
                           " b.before_id WHERE b.n % 5 <> 0 AND b.id > :after ORDER BY b.id"
                           " LIMIT :limit",
                           fh_query(w));
    json_t *list = fh_array(w), *row;
    size_t i;
    json_array_foreach (rows, i, row)
        json_array_append_new(list, fh_object(w, "id", fh_text(w, row, "id"), "name",
                                              fh_format(w, "%d.%d", (int)fh_int(w, row, "n"),
                                                        (int)fh_int(w, row, "m"))));
    fh_reply(w, 200, list);
}

static inline void find_books(fh_work *w)
{
    const struct fh_search all = {.limit = 100};
    fh_reply(w, 200, fh_object(w, "found", fh_search(w, "books", &all)));
}

#define BOOKS_SERVICE(service)                                                                     \
    FH_SERVICE(                                                                                    \
        service, .model = FH_RELATIONAL,                                                           \
        .routes = {{"POST", "/books", change_book, .body = change_shape, .auth = FH_ANYONE},       \
                   {"POST", "/books/again", derive_again, .body = change_shape,                    \
                    .auth = FH_ANYONE},                                                            \
                   {"GET", "/books", find_books, .auth = FH_ANYONE}},                              \
        .derives = {{"books", FH_SEARCH, books_fields, .state = list_books}})

#endif
