/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where command records end. A service's records are deleted when it closes the saga they belong
 * to, in the transaction that stores the closing. From then on late messages of that saga are
 * answered `closed`, for ever, from a row that does not grow with the number of sagas. Outside
 * clients close nothing; their records expire: see expiry.c.
 *
 * Closings only ever close (command_closed_merge), so they may arrive twice and in any order. Only
 * one from an earlier incarnation of the caller is turned away.
 *
 * A restored caller closes its former incarnation above the cut: whatever this service did for
 * sagas that the caller no longer knows is reported in the same transaction (restored_caller.c).
 */

#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "shape/problem.h"
#include "work/command.h"
#include "work/command_key.h"
#include "work/keys.h"
#include "work/restored.h"

struct closing {
    struct work_fence fence; /* first: it is cast from */
    fh_work *w;
    const char *caller, *incarnation, *birth;
    struct ledger_caller told;
    struct restored_caller restored; /* birth NULL: the sender was not restored */
    bool asks_lives;                 /* the sender asks which incarnations this store has had */
};

static enum fh_code add_lives(fh_work *w, json_t *body, struct fh_error *error)
{
    char text[LEDGER_ANCESTORS_SIZE];
    json_t *ancestors = NULL;
    enum fh_code code = ledger_meta_get(w->store_work, LEDGER_ANCESTORS, text, sizeof text, error);
    if (!code && text[0])
        code = json_parse(text, strlen(text), &ancestors, error);
    json_object_set_new(body, "incarnation", json_string(w->context->store->incarnation));
    json_object_set_new(body, "ancestors", ancestors ? ancestors : json_array());
    return code;
}

static enum fh_code store_closing(fh_work *w, struct closing *closing, struct fh_error *error)
{
    struct ledger_caller before, after;
    enum fh_code code =
        ledger_caller_get(w->store_work, &w->kept, closing->caller, closing->birth, &before, error);
    if (!code)
        code = command_closed_merge(&before, &closing->told, &w->kept, &after, error);
    if (!code)
        code = ledger_caller_close(w->store_work, closing->caller, closing->birth, &after, error);
    CRASH_POINT("closing.recorded");
    if (code)
        return code;
    json_t *body = json_object();
    json_object_set_new(body, "birth", json_string(closing->birth));
    json_object_set_new(body, "closed_through", json_integer(after.closed_through));
    if (closing->asks_lives)
        code = add_lives(w, body, error);
    w->reply_status = 200;
    w->reply_body = body;
    return code;
}

static enum work_verdict check_closing_fence(struct work_fence *fence, struct store_work *work,
                                             struct fh_error *error)
{
    struct closing *closing = (struct closing *)fence;
    fh_work *w = closing->w;
    char newest[ID_SIZE];
    enum fh_code code = ledger_caller_newest(work, closing->caller, newest, error);
    if (code)
        return work_verdict_of(code, error);
    w->replied = true;
    int order = strcmp(closing->incarnation, newest);
    if (order < 0) {
        w->reply_status = 403;
        w->reply_body = problem_new(PROBLEM_SENDER_OUTDATED,
                                    "A newer incarnation of the sender is known.", NULL);
        return WORK_IS_ANSWERED;
    }
    if (order > 0)
        code = ledger_caller_set_newest(work, closing->caller, closing->incarnation, error);
    if (!code && closing->restored.birth) {
        code = restored_caller_heard(work, w->context->service->name, &closing->restored, w->now_ms,
                                     error);
        CRASH_POINT("closing.reported");
    }
    if (!code)
        code = store_closing(w, closing, error);
    return code ? work_verdict_of(code, error) : WORK_IS_ANSWERED;
}

static void let_closing_fence_decide(fh_work *w)
{
    work_store_write(w);
}

/* An incarnation missing from the list would be taken for one that no backup has kept, and would be
 * closed: the list must name at least the birth and the present incarnation. */
static bool knows_lives(const json_t *lives, const char *birth, const char *present)
{
    size_t index;
    json_t *life;
    bool knows_birth = false, knows_present = false;
    if (json_array_size(lives) > LIVES_MAX + 1)
        return false;
    json_array_foreach (lives, index, life) {
        const char *text = json_string_value(life);
        knows_birth |= text && birth && strcmp(text, birth) == 0;
        knows_present |= text && strcmp(text, present) == 0;
    }
    return knows_birth && knows_present;
}

/* Parses and checks the message. */
static enum fh_code parse_closing(fh_work *w, const char *from, struct closing *closing,
                                  struct fh_error *error)
{
    char name[COMMAND_CALLER_SIZE];
    if (!from || !command_from_parse(from, name, sizeof name, &closing->incarnation))
        return error_set(error, FH_INVALID, "Freehold-From must be CALLER/INCARNATION.");
    closing->caller = arena_text(&w->kept, name);
    closing->birth = json_string_at(w->body, "birth");
    const json_t *open = json_object_get(w->body, "still_open");
    json_int_t through = 0;
    const json_t *lives = json_object_get(w->body, "lives");
    json_int_t cut = 0;
    bool restored = json_object_get(w->body, "cut") != NULL;
    bool cuts = restored && json_integer_at(w->body, "cut", &cut) && cut >= 0;
    closing->asks_lives = json_is_true(json_object_get(w->body, "asks_lives"));
    if (restored && closing->birth)
        closing->restored = (struct restored_caller){
            .caller = closing->caller, .birth = closing->birth, .cut = cut, .lives = lives};
    if (restored && (!cuts || !knows_lives(lives, closing->birth, closing->incarnation)))
        return error_set(error, FH_INVALID,
                         "A restored caller's closing names its `cut`, and among its `lives`, at "
                         "most %d, the birth and its own.",
                         LIVES_MAX + 1);
    if (!closing->birth || strlen(closing->birth) != ID_SIZE - 1 || !json_is_array(open) ||
        !json_integer_at(w->body, "closed_through", &through) || through < 0)
        return error_set(error, FH_INVALID,
                         "A closing is {\"birth\": incarnation, \"closed_through\": number, "
                         "\"still_open\": [numbers]}.");
    closing->told =
        (struct ledger_caller){.closed_through = through, .still_open = json_text(open)};
    struct ledger_caller none = {.closed_through = 0, .still_open = "[]"}, merged;
    return command_closed_merge(&none, &closing->told, &w->kept, &merged, error);
}

enum fh_code command_closed_run(fh_work *w, const char *from)
{
    struct fh_error error = {0};
    struct closing closing = {.fence = {.check = check_closing_fence}, .w = w};
    struct arena *before = json_arena_set(&w->kept);
    enum fh_code code = parse_closing(w, from, &closing, &error);
    if (code) {
        w->replied = true;
        w->reply_status = 400;
        w->reply_body = problem_new(PROBLEM_REQUEST_MALFORMED, error.message, NULL);
        w->failure = error;
    }
    json_arena_set(before);
    if (code)
        return code;
    CRASH_POINT("closing.heard");
    w->handler = let_closing_fence_decide;
    w->fence = &closing.fence;
    code = work_run(w);
    CRASH_POINT("closing.durable");
    w->fence = NULL; /* it does not outlive this call */
    return code;
}
