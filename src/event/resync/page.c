/* SPDX-License-Identifier: Apache-2.0 */
/* Parses a snapshot's answer. It came over the network: nothing in it is trusted unchecked, because
 * a row with a wrong position would hide events for ever. */

#include "event/resync/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/digest.h"
#include "event/outbox/publish.h"

void page_free(struct page_read *page)
{
    if (!page)
        return;
    arena_release(&page->arena);
    free(page);
}

/* "17,ID", or "0," */
static bool take_page_place(const char *text, int64_t *ret, char id[ID_SIZE])
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    if (errno != 0 || *end != ',' || strlen(end + 1) >= ID_SIZE || (*ret > 0) != (end[1] != '\0'))
        return false;
    snprintf(id, ID_SIZE, "%s", end + 1);
    return true;
}

static enum fh_code parse_page_headers(const struct world_request *answer, struct page_read *page,
                                       struct fh_error *error)
{
    const char *incarnation = world_answer_header(answer, "freehold-incarnation");
    const char *position = world_answer_header(answer, "freehold-position");
    if (!incarnation || !position)
        return error_set(error, FH_INVALID, "It lacks Freehold-Incarnation or -Position.");
    if (!*incarnation || strlen(incarnation) >= ID_SIZE)
        return error_set(error, FH_INVALID, "Its Freehold-Incarnation is not an incarnation.");
    if (!take_page_place(position, &page->position, page->position_id))
        return error_set(error, FH_INVALID, "Its Freehold-Position is not a position with an id.");
    snprintf(page->incarnation, sizeof page->incarnation, "%s", incarnation);
    return FH_OK;
}

static bool is_key(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && *text && json_string_length(value) <= OUTBOX_KEY_LENGTH_MAX &&
           strlen(text) == json_string_length(value);
}

static enum fh_code parse_page_row(json_t *row, const char *type, struct page_read *page,
                                   struct fh_error *error)
{
    json_int_t position;
    const char *digest = json_string_at(row, "digest");
    struct batch_event *event = &page->rows[page->count];
    bool has_data = page->digests ? digest && strlen(digest) == DIGEST_SIZE - 1
                                  : json_is_object(json_object_get(row, "data"));
    const char *of = json_string_at(row, "type");
    *event = (struct batch_event){
        .said.tree = row, .id = "", .type = of, .key = json_string_at(row, "subject")};
    if (!of || strcmp(of, type) != 0 || !is_key(json_object_get(row, "subject")) || !has_data)
        return error_set(error, FH_INVALID, "A row in it is not of %s, or lacks its key or %s.",
                         type, page->digests ? "digest" : "data");
    if (!json_integer_at(row, "position", &position) || position < 0 || position > page->position)
        return error_set(error, FH_INVALID, "A row in it is of no position up to %lld.",
                         (long long)page->position);
    if (page->digests)
        page->digests[page->count] = digest;
    event->position = position;
    event->version = batch_event_version(json_object_get(row, "version"));
    page->count++;
    return FH_OK;
}

static enum fh_code parse_page_body(const json_t *body, const char *type, bool digests,
                                    int count_max, struct page_read *page, struct fh_error *error)
{
    const char *key = json_string_at(body, "key");
    const json_t *after = json_object_get(body, "after");
    const json_t *rows = json_object_get(body, "rows");
    if (!key || (strcmp(key, "integer") != 0 && strcmp(key, "string") != 0))
        return error_set(error, FH_INVALID, "It does not say of what kind its keys are.");
    page->integers = strcmp(key, "integer") == 0;
    if (!json_is_array(rows) || (!json_is_null(after) && !is_key(after)))
        return error_set(error, FH_INVALID, "It lacks `rows` or `after`.");
    if (json_array_size(rows) > (size_t)count_max)
        return error_set(error, FH_INVALID, "It has more than the %d rows asked for.", count_max);
    page->after = json_string_value(after);
    page->rows = arena_alloc(&page->arena, (json_array_size(rows) + 1) * sizeof *page->rows);
    if (digests)
        page->digests =
            arena_alloc(&page->arena, (json_array_size(rows) + 1) * sizeof *page->digests);
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < json_array_size(rows) && code == FH_OK; i++)
        code = parse_page_row(json_array_get(rows, i), type, page, error);
    return code;
}

static struct page_read *page_new(struct fh_error *error)
{
    struct page_read *page = calloc(1, sizeof *page);
    if (page)
        arena_init(&page->arena, 2 * ARENA_SIZE_MAX); /* as one row's unit of work could hold */
    else
        error_set(error, FH_NO_MEMORY, "There is no memory for a page of a snapshot.");
    return page;
}

enum fh_code page_parse_same(const struct world_request *answer, struct page_read **ret,
                             struct fh_error *error)
{
    struct page_read *page = page_new(error);
    *ret = NULL;
    if (!page)
        return error->code;
    enum fh_code code = parse_page_headers(answer, page, error);
    page->same = true;
    if (code == FH_OK)
        *ret = page;
    else
        page_free(page);
    return code;
}

enum fh_code page_parse(const struct world_request *answer, const char *type, bool digests,
                        int count_max, struct page_read **ret, struct fh_error *error)
{
    json_t *body = NULL;
    struct page_read *page = page_new(error);
    *ret = NULL;
    if (!page)
        return error->code;
    enum fh_code code = parse_page_headers(answer, page, error);
    if (code == FH_OK) {
        struct arena *before = json_arena_set(&page->arena);
        code = json_parse(answer->answer, answer->answer_length, &body, error);
        json_arena_set(before);
    }
    if (code == FH_OK)
        code = parse_page_body(body, type, digests, count_max, page, error);
    if (code == FH_OK)
        *ret = page;
    else
        page_free(page);
    return code;
}
