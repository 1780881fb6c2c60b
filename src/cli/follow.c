/* SPDX-License-Identifier: Apache-2.0 */
/* What `up` reports on a change, line by line: see system/supervise/control.h. */

#include "cli/follow.h"

#include "base/json.h"

static void follow_rows(struct following *following, const json_t *line)
{
    struct course course = {.done = cli_number(line, "done"),
                            .total = cli_number(line, "total"),
                            .guessed = json_is_true(json_object_get(line, "guessed")),
                            .of = json_string_at(line, "of")};
    if (!following->progress.what)
        progress_begin(&following->progress, following->service, course_unit(&course), 0,
                       following->quiet);
    progress_follow(&following->progress, &course);
}

static void take_progress(void *context, const json_t *line)
{
    struct following *following = context;
    const char *text = json_string_at(line, "progress");
    if (json_object_get(line, "of")) {
        follow_rows(following, line);
    } else if (text) {
        progress_hide(&following->progress);
        if (!following->quiet)
            cli_note(CLI_PLAIN, "  %s", text);
    } else if (!following->end) {
        following->end = json_copy_out(line);
    }
}

int follow(struct following *following, const struct state *state, json_t *request, int timeout_ms)
{
    int code = cli_control_request(state, request, timeout_ms, take_progress, following);
    progress_end(&following->progress);
    return code;
}

void follow_release(struct following *following)
{
    json_decref(following->end);
}
