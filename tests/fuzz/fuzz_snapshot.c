/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot's page: INCARNATION\nPOSITION\nBODY; an empty INCARNATION stands for no headers. What
 * is taken, as data or as digests, has keys and positions that its publisher can have given, and
 * that a round can keep. */

#include "event/resync/page.h"
#include "fuzz.h"
#include "store/ledger_snapshot.h"

static void read_page(const struct world_request *answer, bool digests)
{
    struct page_read *page;
    struct fh_error error;
    if (page_parse(answer, "ItemChanged", digests, 8, &page, &error) != FH_OK)
        return;
    FH_ASSERT(page->count <= 8 && page->position >= 0 && *page->incarnation);
    FH_ASSERT((page->position > 0) == (*page->position_id != '\0'));
    FH_ASSERT(!page->after || (*page->after && strlen(page->after) < LEDGER_AFTER_SIZE - 1));
    for (int i = 0; i < page->count; i++) {
        FH_ASSERT(page->rows[i].position >= 0 && page->rows[i].position <= page->position);
        FH_ASSERT(*page->rows[i].key && strlen(page->rows[i].key) < LEDGER_AFTER_SIZE - 1);
        FH_ASSERT(strcmp(page->rows[i].type, "ItemChanged") == 0);
        if (digests)
            FH_ASSERT(page->digests[i] && *page->digests[i]);
        else
            FH_ASSERT(json_is_object(json_object_get(page->rows[i].said.tree, "data")));
    }
    page_free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *texts[3];
    for (int i = 0; i < 2; i++)
        texts[i] = fuzz_take(&data, &size, '\n');
    texts[2] = fuzz_rest(&data, &size);
    const struct world_header headers[] = {{"freehold-incarnation", texts[0]},
                                           {"freehold-position", texts[1]}};
    const struct world_request answer = {.status = 200,
                                         .answer = texts[2],
                                         .answer_length = strlen(texts[2]),
                                         .answer_headers = headers,
                                         .answer_header_count = *texts[0] ? 2 : 0};
    read_page(&answer, false);
    read_page(&answer, true);
    for (int i = 0; i < 3; i++)
        free(texts[i]);
    return 0;
}
