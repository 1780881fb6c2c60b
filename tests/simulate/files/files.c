/* SPDX-License-Identifier: Apache-2.0 */
/* Routes that take and give other than JSON: scenario test_types. */

#include <freehold.h>
#include <string.h>

static void note_upload(fh_work *w, size_t length)
{
    fh_exec(w, "INSERT INTO upload (length) VALUES (:length)",
            fh_object(w, "length", (int64_t)length));
}

/* The same bytes, once more. */
static void post_bytes(fh_work *w)
{
    size_t length;
    const void *bytes = fh_body_bytes(w, &length);
    note_upload(w, length);
    fh_reply_bytes(w, 201, bytes, length);
}

/* How many lines a table has. */
static void post_table(fh_work *w)
{
    size_t length;
    int lines = 0;
    const char *text = fh_body_bytes(w, &length);
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    note_upload(w, length);
    fh_reply(w, 200, fh_object(w, "lines", lines));
}

static void get_table(fh_work *w)
{
    static const char table[] = "name,price\r\ncaf\xc3\xa9,3\r\n";
    fh_reply_bytes(w, 200, table, strlen(table));
}

static void get_latin(fh_work *w)
{
    fh_reply_bytes(w, 200, "caf\xe9", 4);
}

static void get_json(fh_work *w)
{
    fh_reply(w, 200, fh_object(w, "a", 1));
}

static void get_missing(fh_work *w)
{
    fh_fail(w, 404, "There is no such table.");
}

static void get_nothing(fh_work *w)
{
    fh_reply_bytes(w, 200, NULL, 0);
}

#define LARGE_MAX 8388609

static const fh_field large_shape[] = {{"length", FH_INT, .min = 1, .max = LARGE_MAX}, {0}};

/* So many bytes. */
static void post_large(fh_work *w)
{
    size_t length = (size_t)json_integer_value(json_object_get(fh_body(w), "length"));
    static unsigned char bytes[LARGE_MAX];
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)(i * 7);
    note_upload(w, length);
    fh_reply_bytes(w, 201, bytes, length);
}

static void get_uploads(fh_work *w)
{
    fh_reply(w, 200, fh_rows(w, "SELECT length FROM upload ORDER BY id"));
}

FH_SERVICE(files, .model = FH_RELATIONAL,
           .routes = {
               {"POST", "/api/bytes", post_bytes, .auth = FH_ANYONE,
                .body_type = "application/octet-stream", .answer_type = "image/x-echo"},
               {"POST", "/api/large", post_large, .auth = FH_ANYONE, .body = large_shape,
                .answer_type = "application/octet-stream"},
               {"POST", "/api/table", post_table, .auth = FH_ANYONE, .body_type = "text/csv"},
               {"GET", "/api/table", get_table, .auth = FH_ANYONE, .answer_type = "text/csv"},
               {"GET", "/api/latin", get_latin, .auth = FH_ANYONE, .answer_type = "text/csv"},
               {"GET", "/api/json", get_json, .auth = FH_ANYONE, .answer_type = "text/csv"},
               {"GET", "/api/missing", get_missing, .auth = FH_ANYONE, .answer_type = "text/csv"},
               {"GET", "/api/nothing", get_nothing, .auth = FH_ANYONE, .answer_type = "text/csv"},
               {"GET", "/api/uploads", get_uploads, .auth = FH_ANYONE}});
