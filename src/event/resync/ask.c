/* SPDX-License-Identifier: Apache-2.0 */
/* A resync's requests to its publisher: one page, after a key and with a limit of rows; either
 * while nothing else happens, or while the page before is applied. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "event/feed/query.h"
#include "event/feed/snapshot.h"
#include "event/resync/page.h"
#include "event/resync/parts.h"
#include "world/world.h"

#define PATH_SIZE_MAX ((size_t)32 << 10)

void resync_ask_init(struct resync_asking *asking, struct subscription *s,
                     const struct ledger_resync *at, int limit)
{
    *asking = (struct resync_asking){
        .subscription = s, .subscribed = s->subscribed[at->type], .limit = limit};
    struct text *path = &asking->path;
    const char *separator = "&fields=";
    text_init(path, PATH_SIZE_MAX);
    text_printf(path,
                SNAPSHOT_PATH "?name=%s&share=%s&limit=%d&type=", work_reader(s->manager->context),
                s->partition, limit);
    query_encode(path, asking->subscribed->type);
    if (limit > 0) {
        text_printf(path, "&incarnation=%s&done=%" PRId64 "&seen=%" PRId64 "&seen_id=%s",
                    s->cursor.incarnation, s->cursor.position, at->seen_position, at->seen_id);
        if (at->after[0]) {
            text_add(path, "&after=");
            query_encode(path, at->after);
        }
    }
    query_add_fields(path, s->manager->context->service, asking->subscribed, &separator);
    separator = "&versions=";
    query_add_version(path, asking->subscribed, &separator);
}

void resync_ask_digests(struct resync_asking *asking, struct subscription *s,
                        const struct ledger_resync *at, int limit, const json_t *names,
                        const char *same)
{
    size_t i;
    json_t *name;
    resync_ask_init(asking, s, at, limit);
    asking->digests = json_array_size(names) > 0;
    json_array_foreach (names, i, name) {
        text_add(&asking->path, i ? "," : "&digests=");
        query_encode(&asking->path, json_string_value(name));
    }
    asking->same = asking->digests && same[0];
    if (asking->same)
        text_printf(&asking->path, "&same=%s", same);
}

/* The reason includes the detail of the publisher's problem. */
static void asking_refused(struct resync_asking *asking, const struct world_request *request)
{
    const struct subscription *s = asking->subscription;
    json_t *problem = NULL;
    if (request->status == 500 || request->status == 403)
        json_parse(request->answer, request->answer_length, &problem, ERROR_UNHEEDED);
    const char *detail = json_string_at(problem, "detail");
    asking->fault = request->status == 500;
    snprintf(asking->reason, sizeof asking->reason, "%s answers the snapshot of %s with %d%s%s",
             s->source, asking->subscribed->type, request->status, detail ? ": " : ".",
             detail ? detail : "");
    json_decref(problem);
}

void resync_ask_run(struct resync_asking *asking)
{
    struct subscription *s = asking->subscription;
    struct work_context *context = s->manager->context;
    struct fh_error error;
    char from[128];
    FH_ASSERT(!asking->path.overflow);
    snprintf(from, sizeof from, "%s/%s", context->service->name, context->store->incarnation);
    struct world_request request = {
        .service = s->source,
        .method = "GET",
        .path = asking->path.data,
        .headers = {{"Accept", SNAPSHOT_CONTENT_TYPE}, {"Freehold-From", from}},
        .deadline_ns = world_in_ms(context->world, SUBSCRIBE_ANSWER_MS_MAX),
    };
    world_request_wait(context->world, &request);
    asking->anew = request.status == 409;
    asking->status = request.status;
    bool same = asking->same && request.status == 304;
    if (same || request.status == 200) {
        asking->fault = (same ? page_parse_same(&request, &asking->page, &error)
                              : page_parse(&request, asking->subscribed->type, asking->digests,
                                           RESYNC_ROWS_MAX, &asking->page, &error)) != FH_OK;
        if (asking->fault)
            snprintf(asking->reason, sizeof asking->reason,
                     "%s answered the snapshot with what can't be read: %s", s->source,
                     error.message);
    } else if (request.status) {
        asking_refused(asking, &request);
    } else {
        snprintf(asking->reason, sizeof asking->reason, "%s can't be reached: %s.", s->source,
                 request.failure ? request.failure : "no answer");
    }
    world_request_release(&request);
    text_release(&asking->path);
    asking->answered = true;
    fiber_wake_all(&asking->waiting);
}

static void asking_entry(void *argument)
{
    struct resync_asking *asking = argument;
    struct event_manager *manager = asking->subscription->manager;
    resync_ask_run(asking); /* `asking` may be gone after this, since its waiter is woken */
    event_manager_fiber_ends(manager);
}

bool resync_ask_ahead(struct resync_asking *asking, struct subscription *s,
                      const struct page_read *page)
{
    struct ledger_resync at = s->resync;
    if (!page->after)
        return false;
    snprintf(at.after, sizeof at.after, "%s", page->after);
    if (page->position > at.seen_position) {
        at.seen_position = page->position;
        memcpy(at.seen_id, page->position_id, ID_SIZE);
    }
    resync_ask_init(asking, s, &at, portion_size(&s->rows, RESYNC_ROWS_MAX));
    if (event_manager_fiber(s->manager, asking_entry, asking))
        return true;
    text_release(&asking->path);
    return false;
}

void resync_ask_wait(struct resync_asking *asking)
{
    while (!asking->answered)
        fiber_wait(&asking->waiting);
}
