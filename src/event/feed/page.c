/* SPDX-License-Identifier: Apache-2.0 */
/* Writes down a page that was read. */

#include "event/feed/page.h"

#include <string.h>

#include "base/json.h"
#include "event/digest.h"
#include "event/envelope.h"

/* The key after which the next page begins; NULL: this is the last one. */
static const char *page_after(const struct page *page, size_t count)
{
    return count && count == (size_t)page->limit
               ? json_string_value(json_array_get(page->keys, count - 1))
               : NULL;
}

static bool page_has_key(const struct page *page, const char *key)
{
    return page->partition_count <= 1 ||
           envelope_partition(key, page->partition_count) == page->partition_index;
}

bool page_is_same(const struct page *page)
{
    const char *expected = json_string_value(json_object_get(page->typed, "same"));
    size_t count = json_array_size(page->w.reply_body);
    char digest[DIGEST_SIZE];
    if (!expected || !page->asked.digests || !row_is_as_asked(page->published, &page->asked))
        return false;
    struct digest_page *whole = digest_page_begin();
    for (size_t i = 0; i < count; i++) {
        const char *key = json_string_value(json_array_get(page->keys, i));
        if (!page_has_key(page, key))
            continue;
        digest_of(json_array_get(page->w.reply_body, i), page->asked.digests, digest);
        digest_page_add(whole, key, digest);
    }
    digest_page_end(whole, page_after(page, count), digest);
    return strcmp(digest, expected) == 0;
}

enum fh_code page_write(struct page *page, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    struct text *body = &page->body;
    size_t i, sent = 0;
    size_t count = page->limit ? json_array_size(page->w.reply_body) : 0;
    const char *after = page_after(page, count);
    text_release(body);
    text_init(body, SNAPSHOT_BODY_SIZE_MAX);
    text_printf(body, "{\"key\":\"%s\",\"after\":", page->integers ? "integer" : "string");
    if (after)
        envelope_string(body, after);
    else
        text_add(body, "null");
    text_add(body, ",\"rows\":[");
    for (i = 0; i < count && code == FH_OK; i++) {
        const char *key = json_string_value(json_array_get(page->keys, i));
        const int64_t *place = map_get(&page->places, key);
        if (!page_has_key(page, key))
            continue;
        if (sent++)
            text_add(body, ",");
        struct ledger_event at = {.key = key, .position = place ? *place : 0};
        code = row_write(body, page->w.context, page->published, &at,
                         json_array_get(page->w.reply_body, i), &page->asked, error);
    }
    text_add(body, "]}");
    return code;
}

enum fh_code page_name_row(const struct page *page, enum fh_code code, struct fh_error *error)
{
    struct fh_error why = *error;
    const char *key = page->keys ? json_string_value(json_array_get(page->keys, 0)) : NULL;
    const char *after = json_string_value(json_object_get(page->typed, "after"));
    if (key)
        return error_set(error, code, "The state of %.64s can't be given for the key \"%.64s\": %s",
                         page->published->type, key, why.message);
    return error_set(error, code, "The state of %.64s can't be given %s%.64s%s: %s",
                     page->published->type, after ? "after the key \"" : "for its first key",
                     after ? after : "", after ? "\"" : "", why.message);
}
