/* SPDX-License-Identifier: Apache-2.0 */
/* Books that are searched: an edition that does not do so yet, two that declare it each in their
 * own way, one that can't be made anew of anything, and one whose list of them is wrong. */

#include <freehold.h>

static void add_many(fh_work *w)
{
    for (int i = 1; i <= 1200; i++) {
        json_t *book =
            json_pack("{s:i, s:s}", "id", i, "title", fh_format(w, "Running number %d", i));
        fh_exec(w, "INSERT INTO book (id, title) VALUES (:id, :title)", book);
    }
}

static void add_book(fh_work *w)
{
    json_t *book = fh_row(
        w, "INSERT INTO book (id, title) VALUES (:id, :title) RETURNING id, title", fh_body(w));
    if (EDITION > 1)
        fh_derive(w, "books", fh_format(w, "%d", (int)fh_int(w, book, "id")), book);
    fh_reply(w, 201, book);
}

static void books_state(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     EDITION == 5
                         ? "SELECT id, title FROM books WHERE id > :after ORDER BY id LIMIT :limit"
                         : "SELECT id, title FROM book WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w)));
}

static void find_books(fh_work *w)
{
    const struct fh_search search = {.text = fh_text(w, fh_query(w), "q"), .limit = 3};
    fh_reply(w, 200, fh_search(w, "books", &search));
}

static const fh_field book_shape[] = {{"id", FH_INT}, {"title", FH_STRING}, {0}};
static const fh_field find_shape[] = {{"q", FH_STRING, .max = 100}, {0}};
static const struct fh_derived_field books_fields[] = {{"title", FH_STRING, FH_TEXT}, {0}};

FH_SERVICE(shelf, .model = FH_RELATIONAL,
           .routes = {{"POST", "/api/books/many", add_many, .auth = FH_ANYONE},
                      {"POST", "/api/books", add_book, .body = book_shape, .auth = FH_ANYONE},
                      {"GET", "/api/books", find_books, .query = find_shape, .auth = FH_ANYONE}},
           .derives = {{EDITION > 1 ? "books" : NULL, FH_SEARCH, books_fields,
                        EDITION != 4 ? books_state : NULL, FH_INT,
                        EDITION == 3 || EDITION == 5 ? "english" : NULL}});
