/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing of a secret is recorded (`.secret` and `.card`, shape/mark.h): not in the answer, not in
 * the request, and no digest of one, which would tell a weak secret to whoever tries all of them.
 * So requests that differ in a secret alone are the same, and a repeated answer lacks what the
 * first one had, and says so. A service is answered without secrets the first time, too: what it
 * does next must not depend on which answer reached it.
 *
 * An answer is recorded by its shape. A refusal has none, and is treated as text.
 */

#include "work/command_record.h"

#include <string.h>

#include "base/json.h"
#include "shape/mark.h"
#include "shape/problem.h"
#include "work/redact.h"

#define LABELS_SPACE 256 /* for what becomes longer */

void command_reply_header(fh_work *w, const char *name, const char *value)
{
    if (w->reply_header_count < WORK_REPLY_HEADERS_MAX + WORK_REPLY_HEADERS_OWN)
        w->reply_headers[w->reply_header_count++] = (struct work_reply_header){name, value};
}

void command_reply(fh_work *w, int status, json_t *body)
{
    w->replied = true;
    w->reply_status = status;
    w->reply_body = body;
}

enum fh_code command_reply_recorded(fh_work *w, const char *answer, struct fh_error *error)
{
    json_t *recorded = NULL;
    enum fh_code code = answer ? json_parse(answer, strlen(answer), &recorded, error) : FH_OK;
    if (code)
        return code;
    json_int_t status = 204;
    json_integer_at(recorded, "status", &status);
    const json_t *body = json_object_get(recorded, "body");
    command_reply(w, (int)status,
                  json_is_null(body) ? NULL : json_incref(json_object_get(recorded, "body")));
    const char *name;
    json_t *value;
    json_t *headers = json_object_get(recorded, "headers");
    json_object_foreach (headers, name, value)
        command_reply_header(w, name, json_string_value(value));
    return FH_OK;
}

static json_t *recordable_problem(fh_work *w)
{
    char *text = json_text(w->reply_body);
    size_t size = strlen(text) + LABELS_SPACE;
    char *roomy = arena_alloc(&w->kept, size);
    json_t *copy = NULL;
    memcpy(roomy, text, strlen(text) + 1);
    work_redact(w, SHAPE_UNKEPT, roomy, size);
    bool same = strcmp(roomy, text) == 0;
    json_text_free(text);
    if (same)
        return json_incref(w->reply_body);
    if (json_parse(roomy, strlen(roomy), &copy, ERROR_UNHEEDED) == FH_OK)
        return copy;
    return problem_of_service(w->reply_status, NULL, NULL); /* a number: its text is no JSON now */
}

/* NULL: there is no body. */
static json_t *recordable_body(fh_work *w, bool *ret_left_out)
{
    const struct fh_answer *answer = w->route ? &w->route->answer : NULL;
    const fh_field *shape = !answer ? NULL : answer->shape ? answer->shape : answer->each;
    if (!w->replied || !w->reply_body)
        return NULL;
    if (w->reply_status >= 400)
        return recordable_problem(w);
    if (!(shape_marks(shape) & SHAPE_UNKEPT))
        return json_incref(w->reply_body);
    return shape_without(shape, w->reply_body, SHAPE_UNKEPT, ret_left_out);
}

char *command_answer_text(fh_work *w, bool service_asks)
{
    bool left_out = false;
    json_t *recorded = json_object(), *headers = json_object();
    json_t *body = recordable_body(w, &left_out);
    json_object_set_new(recorded, "status", json_integer(w->replied ? w->reply_status : 204));
    for (int i = 0; i < w->reply_header_count; i++)
        json_object_set_new(headers, w->reply_headers[i].name,
                            json_string(w->reply_headers[i].value));
    if (left_out)
        json_object_set_new(headers, COMMAND_LEFT_OUT_HEADER, json_string("secrets"));
    if (left_out && service_asks) {
        w->reply_body = body;
        command_reply_header(w, COMMAND_LEFT_OUT_HEADER, "secrets");
    }
    if (json_object_size(headers) > 0)
        json_object_set(recorded, "headers", headers);
    json_decref(headers);
    if (body)
        json_object_set(recorded, "body", body);
    char *text = json_text(recorded);
    json_decref(recorded);
    return text;
}

/* Of a body that could not be read nothing is recorded if it might have held a secret. */
void command_recordable_body(fh_work *w, const struct command_request *request, const char **ret,
                             size_t *ret_length)
{
    const fh_field *shape = w->route ? w->route->body : NULL;
    bool left_out = false;
    *ret = request->body;
    *ret_length = request->body_length;
    if (!(shape_marks(shape) & SHAPE_UNKEPT))
        return;
    struct arena *before = json_arena_set(&w->kept);
    *ret = w->body ? json_text(shape_without(shape, w->body, SHAPE_UNKEPT, &left_out)) : NULL;
    *ret_length = *ret ? strlen(*ret) : 0;
    json_arena_set(before);
}
