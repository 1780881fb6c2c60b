/* SPDX-License-Identifier: Apache-2.0 */
/* A service in C++, tried as users try theirs. */

#include <freehold/test.h>

static json_t *note(fh_test *t, const char *text)
{
    return fh_object(t, "text", text);
}

static void expect_nobody_alive(fh_test *t)
{
    fh_test_expect_json(t, fh_test_request(t, 200, "notes", "GET /api/alive", NULL),
                        fh_object(t, "alive", 0));
}

FH_TEST_OF(notes, a_note_is_kept)
{
    fh_test_request(t, 201, "notes", "POST /api/notes", note(t, "one"));
    fh_test_request(t, 200, "notes", "GET /api/notes/1", NULL);
    expect_nobody_alive(t);
}

FH_TEST_OF(notes, destructors_run_where_a_call_ends_the_handler)
{
    fh_test_request(t, 409, "notes", "POST /api/notes", note(t, "refuse"));
    fh_test_request(t, 404, "notes", "GET /api/notes/1", NULL);
    expect_nobody_alive(t);
}

FH_TEST_OF(notes, what_ends_a_handler_can_not_be_caught)
{
    fh_test_request(t, 409, "notes", "PUT /api/notes", NULL);
    fh_test_request(t, 404, "notes", "GET /api/notes/1", NULL);
    expect_nobody_alive(t);
}

FH_TEST_OF(notes, nor_can_what_ends_it_once_more)
{
    fh_test_request(t, 422, "notes", "PATCH /api/notes", NULL);
    fh_test_request(t, 404, "notes", "GET /api/notes/1", NULL);
    expect_nobody_alive(t);
}
