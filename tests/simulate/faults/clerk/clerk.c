/* SPDX-License-Identifier: Apache-2.0 */
/* Writes notes down; most of its handlers have a fault, one of each kind. */

#include <freehold.h>
#include <stdlib.h>

static const fh_field note_shape[] = {{"id", FH_INT}, {"words", FH_STRING}, {0}};

static const fh_step stamp_steps[] = {
    {"stamp", .call = "press POST /stamps", .undo = "press POST /stamps/off"},
    {"seal", .call = "press POST /seals", .pivot = true},
    {0}};

static void misspelt(fh_work *w)
{
    fh_exec(w, "INSERT INTO note (id, text) VALUES (1, 'torn')");
    fh_reply(w, 201, NULL);
}

static void misspelt_read(fh_work *w)
{
    fh_reply(w, 200, fh_rows(w, "SELECT id, text FROM note"));
}

static void undeclared(fh_work *w)
{
    fh_publish(w, "NoteBurnt", json_pack("{s:i}", "id", 1));
}

static void unfit(fh_work *w)
{
    fh_publish(w, "NoteWritten", json_pack("{s:s, s:s}", "id", "1", "words", "one"));
}

static void another_answer(fh_work *w)
{
    fh_reply(w, 200, NULL);
}

/* Nothing calls these: `freehold check` finds what is wrong with them. */
static void never_called(fh_work *w)
{
    const char *built = fh_format(w, "SELECT %d FROM nowhere", 1);
    json_t *id = json_pack("{s:i}", "id", 1);
    fh_exec(w, "INSERT INTO note (id, words) VALUES (:id, :words)",
            json_pack("{s:i}", "id", 1));         /* lacks :words */
    fh_exec(w, "UPDATE note SET words = :words"); /* is given nothing */
    fh_exec(w, "UPDATE note SET words = :words", json_pack("{s:s, s:i", "words", "two", "id", 1));
    fh_exec(w, "UPDATE note SET words = :words", json_pack("{s:s, s:i}", "words", "two", "id"));
    fh_rows(w, "SELECT id FROM note WHERE id IN (:ids) AND words = ''",
            json_pack("{s:[i]}", "id", 1)); /* lacks :ids */
    fh_peek(w, "SELECT id FROM note; DELETE FROM note");
    fh_exec(w, "COMMIT");
    /* And nothing with these. */
    fh_exec(w, built);
    fh_exec(w, "UPDATE note SET words = :words WHERE id = :id", id,
            json_pack("{s:s}", "words", "x"));
    fh_exec(w, "UPDATE note SET words = ':no' WHERE id IN (:ids)",
            json_pack("{s:[i, i]}", "ids", 1, 2));
    fh_exec(
        w, "INSERT INTO note VALUES (:id, :words)",
        json_pack("{s:I, s:o}", "id", (json_int_t)1, "words", json_sprintf("%d, %s", 1, "two")));
    fh_exec(w, "CREATE TABLE IF NOT EXISTS more (id INTEGER PRIMARY KEY)");
    fh_exec(w, "INSERT INTO more VALUES (1)");
}

static void crash(fh_work *w)
{
    (void)w;
    abort();
}

static void busy(fh_work *w)
{
    fh_fail(w, 503, "Later, please.");
}

static void write_note(fh_work *w)
{
    json_t *note = fh_row(w, "INSERT INTO note (words) VALUES ('one') RETURNING id, words");
    fh_publish(w, "NoteWritten", note);
    fh_reply(w, 201, note);
}

static void tear_note(fh_work *w)
{
    fh_publish(w, "NoteTorn", json_pack("{s:i, s:s}", "id", 1, "words", "one"));
}

static void begin_stamping(fh_work *w)
{
    fh_saga_start(w, "stamp_note", json_pack("{}"));
}

static void own_step(fh_work *w)
{
    fh_exec(w, "UPDATE notes SET words = 'sealed'");
}

static void begin_own(fh_work *w)
{
    fh_saga_start(w, "seal_note", json_pack("{}"));
}

static const fh_step own_steps[] = {{"write", .run = own_step, .pivot = true}, {0}};

static void remind(fh_work *w)
{
    fh_exec(w, "UPDATE notes SET words = 'again'");
}

static void begin_reminding(fh_work *w)
{
    for (int i = 0; i < 3; i++)
        fh_at(w, fh_now_ms(w) + 5000, "remind", NULL);
}

FH_SERVICE(clerk, .model = FH_RELATIONAL,
           .routes = {{"POST", "/misspelt", misspelt, .audience = FH_SERVICES},
                      {"GET", "/misspelt", misspelt_read, .audience = FH_SERVICES},
                      {"POST", "/undeclared", undeclared, .audience = FH_SERVICES},
                      {"POST", "/unfit", unfit, .audience = FH_SERVICES},
                      {"POST", "/another_answer", another_answer, .audience = FH_SERVICES,
                       .answer = {201, note_shape}},
                      {"POST", "/never_called", never_called, .audience = FH_SERVICES},
                      {"POST", "/crash", crash, .audience = FH_SERVICES},
                      {"POST", "/busy", busy, .audience = FH_SERVICES},
                      {"POST", "/notes", write_note, .audience = FH_SERVICES},
                      {"POST", "/torn", tear_note, .audience = FH_SERVICES},
                      {"POST", "/stamping", begin_stamping, .audience = FH_SERVICES},
                      {"POST", "/sealing", begin_own, .audience = FH_SERVICES},
                      {"POST", "/reminding", begin_reminding, .audience = FH_SERVICES}},
           .publishes = {{"NoteWritten", 1, note_shape, "id"}, {"NoteTorn", 1, note_shape, "id"}},
           .sagas = {{"stamp_note", stamp_steps}, {"seal_note", own_steps}},
           .timers = {{"remind", remind}});
