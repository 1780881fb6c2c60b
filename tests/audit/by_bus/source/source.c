/* SPDX-License-Identifier: Apache-2.0 */
/* Source: writes entries, many in one unit of work, and publishes each. It numbers the entries of a
 * series itself, so what a restore has taken from it is numbered again, under another tag. Owns
 * `entries`. Nothing in it prevents a double: that is the runtime's promise, and the audit's
 * question. */

#include <freehold.h>

static void write_entries(fh_work *w)
{
    json_t *tag = json_object_get(fh_body(w), "tag"), *series;
    size_t index;
    json_array_foreach (json_object_get(fh_body(w), "series"), index, series)
        fh_publish(w, "EntryWritten",
                   fh_row(w,
                          "INSERT INTO entries (series, number, tag)"
                          " SELECT :series, COALESCE(MAX(number), 0) + 1, :tag"
                          " FROM entries WHERE series = :series RETURNING series, number, tag",
                          json_pack("{s:O, s:O}", "series", series, "tag", tag)));
    fh_reply(w, 201, json_pack("{s:O}", "tag", tag));
}

static void newest_entries(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT series, number, tag FROM entries AS one WHERE series > :after"
                     " AND number = (SELECT MAX(number) FROM entries WHERE series = one.series)"
                     " ORDER BY series LIMIT :limit",
                     fh_query(w)));
}

static const fh_field wanted_shape[] = {
    {"tag", FH_STRING, .min = 1, .max = 64},
    {"series", FH_ARRAY, .elements = FH_STRING, .min = 1, .max = 200},
    {0}};
static const fh_field entry_shape[] = {
    {"series", FH_STRING}, {"number", FH_INT}, {"tag", FH_STRING}, {0}};

FH_SERVICE(source, .model = FH_RELATIONAL,
           .routes = {{"POST", "/entries", write_entries, .body = wanted_shape, .auth = FH_ANYONE}},
           .publishes = {
               {"EntryWritten", 1, entry_shape, .key = "series", .state = newest_entries}});
