/* SPDX-License-Identifier: Apache-2.0 */
/* Taker: keeps what it hears of `legacy`, which is no service, as it comes. Owns `taken`. A message
 * with "fails" is one that its handler can't take. */

#include <freehold.h>

static void keep(fh_work *w, const char *type)
{
    json_t *event = fh_event(w), *data = json_object_get(event, "data");
    if (json_is_true(json_object_get(data, "fails")))
        fh_fail(w, 500, "It can't be taken.");
    fh_exec(w,
            "INSERT INTO taken (type, key, partition, number) "
            "VALUES (:type, :key, :partition, :number)",
            json_pack("{s:s, s:O, s:O?, s:O?}", "type", type, "key",
                      json_object_get(event, "subject"), "partition",
                      json_object_get(data, "partition"), "number",
                      json_object_get(data, "number")));
}

static void counted(fh_work *w)
{
    keep(w, "Counted");
}

static void forgotten(fh_work *w)
{
    keep(w, "Forgotten");
}

static void get_taken(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_rows(w, "SELECT * FROM taken WHERE id > :after ORDER BY id LIMIT :limit", fh_query(w)));
}

static const fh_field page_shape[] = {
    {"after", FH_INT}, {"limit", FH_INT, .min = 1, .max = 10000}, {0}};

FH_SERVICE(taker, .model = FH_RELATIONAL,
           .routes = {{"GET", "/taken", get_taken, .query = page_shape, .auth = FH_ANYONE}},
           .subscribes = {{"legacy", "Counted", counted}, {"legacy", "Forgotten", forgotten}});
