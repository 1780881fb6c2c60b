/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_SHELF_BOOKS_TABLES_H
#define SIMULATE_SHELF_BOOKS_TABLES_H

/* Books in tables. */

#include "books.h"

static int changes_of(fh_work *w, const char *id)
{
    json_t *book = fh_row(w, "SELECT n FROM book WHERE id = :id", fh_object(w, "id", id));
    return (int)fh_int(w, book, "n");
}

static int change_once(fh_work *w, const char *id)
{
    fh_exec(w, "UPDATE book SET n = n + 1 WHERE id = :id", fh_object(w, "id", id));
    return changes_of(w, id);
}

static void note_again(fh_work *w, const char *id)
{
    fh_exec(w, "INSERT INTO again (id) VALUES (:id)", fh_object(w, "id", id));
}

#endif
