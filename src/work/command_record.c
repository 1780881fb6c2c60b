/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing of a secret is recorded (`.secret` and `.card`, shape/mark.h): not in the answer, not in
 * the request, and no digest of one, which would tell a weak secret to whoever tries all of them.
 * So requests that differ in a secret alone are the same, and a repeated answer lacks what the
 * first one had, and says so. A service is answered without secrets the first time, too: what it
 * does next must not depend on which answer reached it.
 *
 * An answer is recorded by its shape. A refusal and a header have none, and are treated as text.
 */

#include "work/command_record.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "shape/mark.h"
#include "work/redact.h"

#define ANSWER_WRITTEN_AT_FIRST 500 /* bytes: more than most answers have */

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

static const fh_field *answer_shape(const fh_work *w)
{
    const struct fh_answer *answer = w->route ? &w->route->answer : NULL;
    return !answer ? NULL : answer->shape ? answer->shape : answer->each;
}

static void given_or_answered(struct shape_cover *cover, const void *context)
{
    const fh_work *w = context;
    work_given(cover, w);
    if (w->replied && w->reply_status < 400)
        shape_cover_given(cover, answer_shape(w), w->reply_body);
}

static json_t *recordable_refusal(const fh_work *w)
{
    json_t *copy = shape_redacted_told(w->reply_body, SHAPE_UNKEPT, given_or_answered, w);
    if (json_object_get(copy, "status")) /* which may be a secret's number */
        json_object_set_new(copy, "status", json_integer(w->reply_status));
    return copy;
}

/* NULL: there is no body. */
static json_t *recordable_body(const fh_work *w, bool *ret_left_out)
{
    if (!w->replied || !w->reply_body)
        return NULL;
    if (w->reply_status >= 400)
        return recordable_refusal(w);
    if (!(shape_marks(answer_shape(w)) & SHAPE_UNKEPT))
        return json_incref(w->reply_body);
    return shape_without(answer_shape(w), w->reply_body, SHAPE_UNKEPT, ret_left_out);
}

/* A header that has something of a secret is left out as a whole. With `drops` the reply loses it,
 * too. */
static json_t *recordable_headers(fh_work *w, bool drops, bool *ret_left_out)
{
    json_t *headers = json_object();
    int kept = 0;
    for (int i = 0; i < w->reply_header_count; i++) {
        struct work_reply_header header = w->reply_headers[i];
        json_t *value = json_string(header.value);
        json_t *told = shape_redacted_told(value, SHAPE_UNKEPT, given_or_answered, w);
        bool same = json_equal(told, value);
        if (same)
            json_object_set(headers, header.name, value);
        *ret_left_out |= !same;
        if (same || !drops)
            w->reply_headers[kept++] = header;
        json_decref(told);
        json_decref(value);
    }
    w->reply_header_count = kept;
    return headers;
}

/* The bytes of the body are sent as they are recorded, unless it lacks what is sent. */
static const char *write_answer(fh_work *w, const json_t *headers, const json_t *body)
{
    struct text text;
    size_t body_at = 0;
    text_init(&text, TEXT_LENGTH_MAX);
    text_reserve(&text, ANSWER_WRITTEN_AT_FIRST);
    text_add(&text, "{\"status\":");
    text_integer(&text, w->replied ? w->reply_status : 204);
    if (json_object_size(headers) > 0) {
        text_add(&text, ",\"headers\":");
        json_write(&text, headers);
    }
    if (body) {
        text_add(&text, ",\"body\":");
        body_at = text.length;
        json_write(&text, body);
    }
    text_add(&text, "}");
    FH_ASSERT(!text.overflow);
    char *copy = arena_copy(&w->kept, text.data, text.length);
    if (body && body == w->reply_body)
        w->reply_text = (struct work_text){body, copy + body_at, text.length - 1 - body_at};
    text_release(&text);
    return copy;
}

const char *command_answer_text(fh_work *w, bool service_asks)
{
    bool left_out = false;
    json_t *headers = w->reply_header_count ? recordable_headers(w, service_asks, &left_out) : NULL;
    json_t *body = recordable_body(w, &left_out);
    if (left_out && !headers)
        headers = json_object();
    if (left_out)
        json_object_set_new(headers, COMMAND_LEFT_OUT_HEADER, json_string("secrets"));
    if (left_out && service_asks)
        command_reply_header(w, COMMAND_LEFT_OUT_HEADER, "secrets");
    if (service_asks)
        w->reply_body = body;
    const char *text = write_answer(w, headers, body);
    json_decref(headers);
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
