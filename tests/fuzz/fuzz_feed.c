/* SPDX-License-Identifier: Apache-2.0 */
/* A feed's answer: INCARNATION\nNEXT\nLAST\nBODY. What is taken moves the cursor forward only, and
 * its events ascend. */

#include "event/feed/bus.h"
#include "fuzz.h"

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
    if (feed_batch_parse(&answer, &after, 8, &batch, &error) == FH_OK) {
        int64_t position = after.position;
        FH_ASSERT(batch->count <= 8);
        for (int i = 0; i < batch->count; i++) {
            FH_ASSERT(batch->events[i].position > position);
            position = batch->events[i].position;
        }
        FH_ASSERT(batch->next.position >= position && batch->last >= batch->next.position);
        batch_free(batch);
    }
    for (int i = 0; i < 4; i++)
        free(texts[i]);
    return 0;
}
