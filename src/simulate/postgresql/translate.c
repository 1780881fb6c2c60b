/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From PostgreSQL's words to SQLite's. The ledger's statements are mostly the same in both; what
 * differs is replaced by what stands here, and what only makes things faster is left out. Nothing
 * is guessed: what SQLite can't prepare afterwards ends the run with its text.
 */

#include "simulate/postgresql/model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const struct {
    const char *from, *to;
} words[] = {
    {" COLLATE \"C\"", ""},
    {"GENERATED ALWAYS AS IDENTITY (CACHE 1)", "DEFAULT (nextval('fh_outbox_seq_seq'))"},
    {" WITH (fillfactor = 60)", ""},
    {" WITH (fillfactor = 50)", ""},
    {"  WITH (fillfactor = 50)", ""},
    {"INSERT INTO fh_counter VALUES (1, 0, 0)",
     "INSERT INTO fh_counter (one, position, epoch) VALUES (1, 0, 0)"},
    {"start_id TEXT NOT NULL, owner TEXT NOT NULL, PRIMARY",
     "start_id TEXT NOT NULL, owner TEXT NOT NULL, ctid TEXT DEFAULT (next_place()), PRIMARY"},
    {"DEFAULT now()", "DEFAULT (now())"},
    {"extract(epoch FROM now()) * 1000", "now()"},
    {"extract(epoch FROM clock_timestamp()) * 1000", "now()"},
    {"(clock_timestamp() < transaction_timestamp() + interval '10 ms' AND "
     "current_setting('transaction_isolation') = 'serializable') OR ",
     ""},
    {"interval '1 day'", "86400000"},
    {"interval '30 days'", "2592000000"},
    {"NOT EXISTS (SELECT FROM ", "NOT EXISTS (SELECT 1 FROM "},
    {"DELETE FROM fh_mark m WHERE", "DELETE FROM fh_mark AS m WHERE"},
    /* The lock is taken by statement.c. */
    {"(SELECT opening, ", "SELECT opening, "},
    {" FOR SHARE)", ""},
    {"UPDATE fh_saga SET ", "UPDATE fh_saga SET ctid = next_place(), "},
    {"CAST(ctid AS text)", "ctid"},
    {"CAST($8 AS tid)", "$8"},
    {"= ANY (ARRAY(SELECT jsonb_array_elements_text(CAST($1 AS jsonb))))",
     "IN (SELECT value FROM json_each($1))"},
    {"(SELECT jsonb_array_elements_text(CAST($1 AS jsonb)))", "(SELECT value FROM json_each($1))"},
    {"FROM jsonb_array_elements(CAST($1 AS jsonb)) AS pair",
     "FROM (SELECT value AS pair FROM json_each($1)) WHERE true"},
    {"(SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST($3 AS jsonb)))",
     "(SELECT value FROM json_each($3))"},
    {"(SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST($4 AS jsonb)))",
     "(SELECT value FROM json_each($4))"},
};

/* Server code, which is cut out, and what only concerns storage. */
static const char *const cut_out[] = {"CREATE OR REPLACE FUNCTION", "CREATE TRIGGER",
                                      "DROP TRIGGER", "CREATE OR REPLACE TRIGGER"};

static bool is_cut_out(const char *text)
{
    for (size_t i = 0; i < sizeof cut_out / sizeof cut_out[0]; i++) {
        if (strncmp(text, cut_out[i], strlen(cut_out[i])) == 0)
            return true;
    }
    return strncmp(text, "ALTER TABLE", 11) == 0 && strstr(text, " SET (fillfactor");
}

static char *replace_all(const char *text, const char *from, const char *to)
{
    struct text out;
    text_init(&out, TEXT_LENGTH_MAX);
    text_add(&out, "");
    for (const char *found; (found = strstr(text, from)); text = found + strlen(from)) {
        text_append(&out, text, (size_t)(found - text));
        text_add(&out, to);
    }
    text_add(&out, text);
    return text_take(&out);
}

char *model_translate(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    if (is_cut_out(text))
        return strdup("");
    char *now = strdup(text);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char *next = replace_all(now, words[i].from, words[i].to);
        free(now);
        now = next;
    }
    return now;
}

int model_parameters(const char *text)
{
    int most = 0, number;
    for (const char *at = text; (at = strchr(at, '$')); at++) {
        if (sscanf(at, "$%3d", &number) == 1 && number > most)
            most = number;
    }
    return most;
}
