/* SPDX-License-Identifier: Apache-2.0 */
/* A feed's answer: INCARNATION\nNEXT\nLAST\nBODY. What is taken moves the cursor forward only, and
 * its events ascend; and it is what json_parse reads. */

#include "event/feed/bus.h"
#include "fuzz.h"

#define EVENTS_MAX 8

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void check_event(const struct batch_event *event, const struct batch_event *wanted)
{
    json_t *of[] = {work_event_data(&event->said), work_event_data(&wanted->said),
                    work_event_envelope(&event->said), work_event_envelope(&wanted->said)};
    FH_ASSERT(of[0] && json_equal(of[0], of[1]) && of[2] && json_equal(of[2], of[3]));
    FH_ASSERT(event->position == wanted->position && same_text(event->id, wanted->id) &&
              same_text(event->type, wanted->type) && same_text(event->key, wanted->key) &&
              same_text(event->trace, wanted->trace) && same_text(event->time, wanted->time));
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        json_decref(of[i]);
}

/* Read as values: the same. */
static void check_batch(const struct batch *batch, const char *body, int64_t after)
{
    json_t *list = NULL;
    struct batch *other = batch_new(ERROR_UNHEEDED);
    FH_ASSERT(other && json_parse(body, strlen(body), &list, ERROR_UNHEEDED) == FH_OK);
    other->next = batch->next;
    other->last = batch->last;
    FH_ASSERT(batch_take(other, list, after, EVENTS_MAX, ERROR_UNHEEDED) == FH_OK &&
              other->count == batch->count);
    for (int i = 0; i < batch->count; i++)
        check_event(&batch->events[i], &other->events[i]);
    batch_free(other);
    json_decref(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *texts[4];
    for (int i = 0; i < 3; i++)
        texts[i] = fuzz_take(&data, &size, '\n');
    texts[3] = fuzz_rest(&data, &size);
    const struct world_header headers[] = {{"freehold-incarnation", texts[0]},
                                           {"freehold-next", texts[1]},
                                           {"freehold-last", texts[2]}};
    const struct world_request answer = {.status = 200,
                                         .answer = texts[3],
                                         .answer_length = strlen(texts[3]),
                                         .answer_headers = headers,
                                         .answer_header_count = 3};
    const struct ledger_cursor after = {.position = 5, .event_id = "e5"};
    struct batch *batch;
    struct fh_error error;
    if (feed_batch_parse(&answer, &after, EVENTS_MAX, &batch, &error) == FH_OK) {
        int64_t position = after.position;
        FH_ASSERT(batch->count <= EVENTS_MAX);
        for (int i = 0; i < batch->count; i++) {
            FH_ASSERT(batch->events[i].position > position);
            position = batch->events[i].position;
        }
        FH_ASSERT(batch->next.position >= position && batch->last >= batch->next.position);
        check_batch(batch, texts[3], after.position);
        batch_free(batch);
    }
    for (int i = 0; i < 4; i++)
        free(texts[i]);
    return 0;
}
