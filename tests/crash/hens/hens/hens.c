/* SPDX-License-Identifier: Apache-2.0 */
/* Hens that lay their eggs when it is time, a document and an event each: test_timers_mongodb.py.
 */

#include <freehold.h>

static void lay_egg(fh_work *w)
{
    fh_publish(w, "EggLaid", fh_doc_insert(w, "eggs", fh_timer_data(w)));
}

/* It does more than make a document. */
static void look_and_lay(fh_work *w)
{
    fh_try_doc(w, "eggs", "golden");
    lay_egg(w);
}

static void set_hens(fh_work *w)
{
    const json_t *body = fh_body(w);
    json_t *names = json_object_get(body, "names"), *name;
    size_t i;
    json_array_foreach (names, i, name)
        fh_at(w, fh_int(w, body, "due_ms"), i % 8 == 7 ? "look" : "lay",
              json_pack("{s:O}", "name", name));
    fh_reply(w, 201, fh_body(w));
}

static void get_eggs(fh_work *w)
{
    const char *after = json_string_value(json_object_get(fh_query(w), "after"));
    fh_reply(w, 200, fh_docs(w, "eggs", NULL, NULL, after && *after ? after : NULL, 200));
}

static const fh_field hens_shape[] = {
    {"names", FH_ARRAY, .elements = FH_STRING, .max = 1000}, {"due_ms", FH_INT}, {0}};
static const fh_field egg_shape[] = {{"id", FH_STRING}, {"name", FH_STRING}, {0}};
static const fh_field named_shape[] = {{"name", FH_STRING}, {0}};
static const fh_field page_shape[] = {{"after", FH_STRING, .optional = true}, {0}};

FH_SERVICE(hens, .model = FH_DOCUMENT, .collections = {{"eggs"}},
           .routes = {{"POST", "/hens", set_hens, .body = hens_shape, .auth = FH_ANYONE},
                      {"GET", "/eggs", get_eggs, .query = page_shape, .auth = FH_ANYONE}},
           .publishes = {{"EggLaid", 1, egg_shape, .key = "id"}},
           .timers = {{"lay", lay_egg, .data = named_shape},
                      {"look", look_and_lay, .data = named_shape}});
