/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where command records end. A service's records go when it closes the saga they belong to, in
 * the work that stores what is closed: from then on its late messages are answered `closed`, for
 * ever, by a row that does not grow with the number of sagas. Outside clients close nothing; their
 * records go by age.
 *
 * A closing only closes (command_closed_merge), so closings may come twice and in any order. Only
 * one from a former life of the caller is turned away.
 */

#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/mutation.h"
#include "shape/problem.h"
#include "work/command.h"
#include "work/command_key.h"
#include "work/keys.h"

#define CLOCK_JUMP_MS 1000 /* less is drift */

struct closing {
    struct work_fence fence; /* first */
    const char *caller, *incarnation, *birth;
    struct ledger_caller told;
};

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
    w->reply_status = 200;
    w->reply_body = body;
    return FH_OK;
}

static enum fh_code check(fh_work *w, struct work_fence *fence, bool *ret_replied,
                          struct fh_error *error)
{
    struct closing *closing = (struct closing *)fence;
    char newest[ID_SIZE];
    enum fh_code code = ledger_caller_newest(w->store_work, closing->caller, newest, error);
    if (code)
        return code;
    *ret_replied = true;
    w->replied = true;
    int order = strcmp(closing->incarnation, newest);
    if (order < 0) {
        w->reply_status = 403;
        w->reply_body = problem_new(403, "A newer incarnation of the sender is known.", NULL);
        return FH_OK;
    }
    if (order > 0)
        code =
            ledger_caller_set_newest(w->store_work, closing->caller, closing->incarnation, error);
    return code ? code : store_closing(w, closing, error);
}

static void let_fence_decide(fh_work *w)
{
    work_store_write(w);
}

/* What the message says. */
static enum fh_code parse(fh_work *w, const char *from, struct closing *closing,
                          struct fh_error *error)
{
    char name[COMMAND_CALLER_SIZE];
    if (!from || !command_from_parse(from, name, sizeof name, &closing->incarnation))
        return error_set(error, FH_INVALID, "Freehold-From must be CALLER/INCARNATION.");
    closing->caller = arena_text(&w->kept, name);
    closing->birth = json_string_at(w->body, "birth");
    const json_t *open = json_object_get(w->body, "still_open");
    json_int_t through = 0;
    if (!closing->birth || strlen(closing->birth) != ID_SIZE - 1 || !json_is_array(open) ||
        !json_integer_at(w->body, "closed_through", &through) || through < 0)
        return error_set(error, FH_INVALID,
                         "A closing is {\"birth\": incarnation, \"closed_through\": number, "
                         "\"still_open\": [numbers]}.");
    closing->told =
        (struct ledger_caller){.closed_through = through, .still_open = json_text(open)};
    if (MUTATION(open_sagas_closed))
        closing->told.still_open = "[]";
    struct ledger_caller none = {.closed_through = 0, .still_open = "[]"}, merged;
    return command_closed_merge(&none, &closing->told, &w->kept, &merged, error);
}

enum fh_code command_closed_run(fh_work *w, const char *from)
{
    struct fh_error error = {0};
    struct closing closing = {.fence = {.check = check}};
    struct arena *before = json_arena_set(&w->kept);
    enum fh_code code = parse(w, from, &closing, &error);
    if (code) {
        w->replied = true;
        w->reply_status = 400;
        w->reply_body = problem_new(400, error.message, NULL);
        w->failure = error;
    }
    json_arena_set(before);
    if (code)
        return code;
    CRASH_POINT("closing.heard");
    w->handler = let_fence_decide;
    w->fence = &closing.fence;
    code = work_run(w);
    CRASH_POINT("closing.durable");
    w->fence = NULL; /* it lives no longer than this call */
    return code;
}

/* The wall clock, less what it has jumped ahead of the monotonic one. */
static int64_t steady_wall_ms(struct work_context *context)
{
    struct work_keys *keys = context->keys;
    int64_t wall_ms = world_wall_ms(context->world), now_ns = world_monotonic_ns(context->world);
    if (keys->wall_ms) {
        int64_t jump_ms = wall_ms - keys->wall_ms - (now_ns - keys->monotonic_ns) / 1000000;
        if (jump_ms > CLOCK_JUMP_MS)
            keys->ahead_ms += jump_ms;
    }
    keys->wall_ms = wall_ms;
    keys->monotonic_ns = now_ns;
    return wall_ms - keys->ahead_ms;
}

enum fh_code command_expire(struct work_context *context, int64_t *ret_removed,
                            struct fh_error *error)
{
    int64_t before_ms = steady_wall_ms(context) - COMMAND_CLIENT_KEPT_MS;
    int64_t removed = 0;
    *ret_removed = 0;
    do {
        struct store_work *work;
        enum fh_code code = store_begin(context->store, STORE_WRITE, &work, error);
        if (code)
            return code;
        code = ledger_commands_expire(work, before_ms, COMMAND_EXPIRED_SLICE, &removed, error);
        if (code)
            store_rollback(work);
        else
            code = store_commit(work, error);
        if (code)
            return code;
        *ret_removed += removed;
    } while (removed == COMMAND_EXPIRED_SLICE);
    return FH_OK;
}
