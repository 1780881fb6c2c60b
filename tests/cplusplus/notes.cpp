/* SPDX-License-Identifier: Apache-2.0 */
/* A service in C++20: handlers hold objects with destructors across calls that may end them. */

#include <freehold.h>

#include <string>

namespace
{

const fh_field note_shape[] = {{.name = "text", .type = FH_STRING, .min = 1, .max = 200}, {}};

/* How many are alive: nobody is left when a handler has ended, however it ended. */
int alive = 0;

class Counted
{
  public:
    explicit Counted(const char *text) : text(text)
    {
        alive++;
    }
    ~Counted()
    {
        alive--;
    }
    Counted(const Counted &) = delete;
    Counted &operator=(const Counted &) = delete;
    const char *c_str() const
    {
        return text.c_str();
    }

  private:
    std::string text;
};

void insert(fh_work *w, const char *text)
{
    Counted inner(text);
    fh_exec(w, "INSERT INTO notes (text) VALUES (:text)",
            fh_object(w, "text", inner.c_str()));
    if (std::string(inner.c_str()) == "refuse")
        fh_fail(w, 409, "Not this one.");
}

void post_note(fh_work *w)
{
    Counted text(json_string_value(json_object_get(fh_body(w), "text")));
    try {
        insert(w, text.c_str());
    } catch (...) {
        throw; /* what ends a handler passes through here, too */
    }
    fh_reply(w, 201, fh_row(w, "SELECT id, text FROM notes WHERE text = :text", fh_body(w)));
}

/* One that keeps what ends it is ended all the same. */
void put_note(fh_work *w)
{
    Counted text("kept");
    try {
        insert(w, "refuse");
    } catch (...) {
        Counted in_the_catch("nothing");
    }
    fh_reply(w, 200, nullptr);
}

/* So is one that asks for more where it was caught, which ends it once more, and once more. */
void patch_note(fh_work *w)
{
    Counted outer("outer");
    try {
        try {
            insert(w, "refuse");
        } catch (...) {
            Counted first("first");
            insert(w, "refuse");
        }
    } catch (...) {
        Counted second("second");
        fh_fail(w, 422, "Once more.");
    }
    fh_reply(w, 200, nullptr);
}

void get_note(fh_work *w)
{
    Counted sql("SELECT id, text FROM notes WHERE id = :id");
    fh_reply(w, 200, fh_row(w, sql.c_str(), fh_path(w)));
}

void get_alive(fh_work *w)
{
    fh_reply(w, 200, fh_object(w, "alive", alive));
}

} // namespace

FH_SERVICE(
    notes, .model = FH_RELATIONAL,
    .routes = {
        {.method = "POST",
         .path = "/api/notes",
         .handler = post_note,
         .body = note_shape,
         .auth = FH_ANYONE},
        {.method = "PUT", .path = "/api/notes", .handler = put_note, .auth = FH_ANYONE},
        {.method = "PATCH", .path = "/api/notes", .handler = patch_note, .auth = FH_ANYONE},
        {.method = "GET", .path = "/api/notes/{id:int}", .handler = get_note, .auth = FH_ANYONE},
        {.method = "GET", .path = "/api/alive", .handler = get_alive, .auth = FH_ANYONE}});
