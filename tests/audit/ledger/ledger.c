/* SPDX-License-Identifier: Apache-2.0 */
/* Ledger: takes entries and tells of each. Owns `entries`. Nothing in it prevents a double: that is
 * the runtime's promise, and the audit's question. */

#include <freehold.h>

static void write_entry(fh_work *w)
{
    json_t *entry = fh_row(w,
                           "INSERT INTO entries (series, number, value)"
                           " VALUES (:series, :number, :value) RETURNING *",
                           fh_body(w));
    fh_publish(w, "EntryWritten", entry);
    fh_reply(w, 201, entry);
}

static void get_entries(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w, "SELECT * FROM entries WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w)));
}

static const fh_field wanted_shape[] = {{"series", FH_STRING, .min = 1, .max = 64},
                                        {"number", FH_INT, .min = 1, .max = -1},
                                        {"value", FH_STRING, .max = 64},
                                        {0}};
static const fh_field entry_shape[] = {
    {"id", FH_INT}, {"series", FH_STRING}, {"number", FH_INT}, {"value", FH_STRING}, {0}};
static const fh_field page_shape[] = {
    {"after", FH_INT}, {"limit", FH_INT, .min = 1, .max = 10000}, {0}};

FH_SERVICE(ledger, .model = FH_RELATIONAL,
           .routes = {{"POST", "/entries", write_entry, .body = wanted_shape, .auth = FH_ANYONE},
                      {"GET", "/entries", get_entries, .query = page_shape, .auth = FH_ANYONE}},
           .publishes = {{"EntryWritten", 1, entry_shape, .key = "series"}});
