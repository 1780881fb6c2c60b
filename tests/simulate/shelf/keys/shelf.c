/* SPDX-License-Identifier: Apache-2.0 */
/* Books of a service of several instances, as counters under their ids: see ../books.h. */

#include "../books.h"

static int changes_of(fh_work *w, const char *id)
{
    return (int)json_integer_value(fh_try_kv(w, id));
}

static int change_once(fh_work *w, const char *id)
{
    return (int)fh_kv_add(w, id, 1);
}

static void note_again(fh_work *w, const char *id)
{
    (void)id;
    fh_kv_count(w, "again", 1);
}

BOOKS_SERVICE(shelf, FH_KEY_VALUE);
