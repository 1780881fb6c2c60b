/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report: JSON values under names in fh_meta, so that no engine needs a table for it. The first
 * page, "restored", dates from when there was only one page; "restored.1" and so on follow, and
 * "restored.pages" holds the number of these further pages and of their entries. An older program
 * knows only the first page, and leaves the others alone. Entries beyond the last page are only
 * counted.
 *
 * An entry has no number: its id is a hash of its content, so that entries written by older
 * programs have one too. The report grows in the transaction that discovers something, so no entry
 * is reported twice or lost:
 *
 *     killed before that transaction's commit   it is discovered again
 *     killed after it                           it is there until somebody has seen it
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "work/restored.h"

#define REPORT "restored" /* in fh_meta */
#define PAGES "restored.pages"
#define NAME_SIZE 32

/* The pages after the first. */
struct extent {
    int pages;
    int64_t entries;
};

void restored_news_add(struct restored_news *news, const struct restored_entry *entry)
{
    struct arena *arena = json_arena_set(NULL);
    if (!news->entries)
        news->entries = json_array();
    if (json_array_size(news->entries) < RESTORED_NEWS_MAX)
        json_array_append_new(news->entries,
                              json_pack("{s:s, s:s, s:s, s:s}", "peer", entry->peer, "saga",
                                        entry->saga, "what", entry->what, "todo", entry->todo));
    else
        news->left_out++;
    json_arena_set(arena);
}

void restored_news_release(struct restored_news *news)
{
    struct arena *arena = json_arena_set(NULL);
    json_decref(news->entries);
    json_arena_set(arena);
    *news = (struct restored_news){0};
}

/* ---- Pages: on the heap, like everything below; the caller has set the arena ---- */

static enum fh_code read_extent(struct store_work *work, struct extent *ret, struct fh_error *error)
{
    char text[48] = "";
    *ret = (struct extent){0};
    enum fh_code code = ledger_meta_get(work, PAGES, text, sizeof text, error);
    if (code == FH_OK && sscanf(text, "%d %" SCNd64, &ret->pages, &ret->entries) != 2)
        *ret = (struct extent){0};
    return code;
}

static enum fh_code write_extent(struct store_work *work, const struct extent *extent,
                                 struct fh_error *error)
{
    char text[48];
    snprintf(text, sizeof text, "%d %" PRId64, extent->pages, extent->entries);
    return ledger_meta_put(work, PAGES, text, error);
}

static const char *report_page_name(int page, char name[static NAME_SIZE])
{
    snprintf(name, NAME_SIZE, page ? REPORT ".%d" : REPORT, page);
    return name;
}

static enum fh_code read_report_page(struct store_work *work, int page, json_t **ret,
                                     struct fh_error *error)
{
    char name[NAME_SIZE], *text = malloc(RESTORED_SIZE_MAX + 1); /* a fiber's stack is short */
    FH_ASSERT(text != NULL);
    *ret = NULL;
    enum fh_code code =
        ledger_meta_get(work, report_page_name(page, name), text, RESTORED_SIZE_MAX + 1, error);
    if (code == FH_OK && text[0])
        code = json_parse(text, strlen(text), ret, error);
    if (code == FH_OK && !*ret)
        *ret = json_pack("{s:[], s:i}", "entries", "left_out", 0);
    free(text);
    return code;
}

static enum fh_code write_page(struct store_work *work, int page, const json_t *report,
                               struct fh_error *error)
{
    bool empty = json_array_size(json_object_get(report, "entries")) == 0 &&
                 json_integer_value(json_object_get(report, "left_out")) == 0;
    char name[NAME_SIZE], *text = json_text(report);
    enum fh_code code =
        ledger_meta_put(work, report_page_name(page, name), empty ? "" : text, error);
    json_text_free(text);
    return code;
}

/* ---- Growing ---- */

struct growing {
    struct store_work *work;
    struct extent extent;
    json_t *page; /* the last one */
    size_t size;
    int64_t left_out;
};

static size_t report_entry_size(const json_t *value)
{
    char *text = json_text(value);
    size_t size = strlen(text) + 1;
    json_text_free(text);
    return size;
}

static enum fh_code begin_page(struct growing *growing, struct fh_error *error)
{
    enum fh_code code = write_page(growing->work, growing->extent.pages, growing->page, error);
    json_decref(growing->page);
    growing->extent.pages++;
    growing->page = json_pack("{s:[]}", "entries");
    growing->size = report_entry_size(growing->page);
    return code;
}

static enum fh_code add_entry(struct growing *growing, const json_t *entry, int64_t now_ms,
                              struct fh_error *error)
{
    enum fh_code code = FH_OK;
    json_t *kept = json_copy((json_t *)(uintptr_t)entry);
    json_object_set_new(kept, "at_ms", json_integer(now_ms));
    size_t size = report_entry_size(kept);
    bool fits = json_array_size(json_object_get(growing->page, "entries")) < RESTORED_PAGE_MAX &&
                growing->size + size < RESTORED_SIZE_MAX - sizeof "\"left_out\":9007199254740991";
    bool full = !fits && growing->extent.pages + 1 == RESTORED_PAGES_MAX;
    if (!fits && !full)
        code = begin_page(growing, error);
    if (full) {
        growing->left_out++;
        json_decref(kept);
        return code;
    }
    growing->size += size;
    growing->extent.entries += growing->extent.pages > 0;
    json_array_append_new(json_object_get(growing->page, "entries"), kept);
    return code;
}

/* The count of entries left out is in the first page. */
static enum fh_code add_left_out(struct store_work *work, int64_t more, struct fh_error *error)
{
    json_t *first;
    enum fh_code code = read_report_page(work, 0, &first, error);
    int64_t left_out = json_integer_value(json_object_get(first, "left_out")) + more;
    json_object_set_new(first, "left_out", json_integer(left_out > 0 ? left_out : 0));
    if (!code)
        code = write_page(work, 0, first, error);
    json_decref(first);
    return code;
}

enum fh_code restored_put(struct store_work *work, const struct restored_news *news, int64_t now_ms,
                          struct fh_error *error)
{
    struct growing growing = {.work = work, .left_out = news->left_out};
    json_t *entry;
    size_t index;
    if (!news->entries)
        return FH_OK;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = read_extent(work, &growing.extent, error);
    if (!code)
        code = read_report_page(work, growing.extent.pages, &growing.page, error);
    growing.size = growing.page ? report_entry_size(growing.page) : 0;
    json_array_foreach (news->entries, index, entry) {
        if (!code)
            code = add_entry(&growing, entry, now_ms, error);
    }
    if (!code)
        code = write_page(work, growing.extent.pages, growing.page, error);
    if (!code && growing.extent.pages > 0)
        code = write_extent(work, &growing.extent, error);
    if (!code && growing.left_out > 0)
        code = add_left_out(work, growing.left_out, error);
    json_decref(growing.page);
    json_arena_set(arena);
    return code;
}

/* ---- Reading ---- */

static uint64_t hash_text(uint64_t so_far, const char *text)
{
    for (; text && *text; text++)
        so_far = (so_far ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return so_far * UINT64_C(1099511628211);
}

static void report_id(const json_t *entry, char id[static RESTORED_ID_SIZE])
{
    uint64_t made = hash_text(UINT64_C(14695981039346656037), json_string_at(entry, "peer"));
    made = hash_text(made, json_string_at(entry, "saga"));
    made = hash_text(made, json_string_at(entry, "what"));
    made ^= (uint64_t)json_integer_value(json_object_get(entry, "at_ms"));
    snprintf(id, RESTORED_ID_SIZE, "%016" PRIx64, made);
}

enum fh_code restored_get(struct store_work *work, json_t **ret, struct fh_error *error)
{
    struct extent extent;
    json_t *entry, *page;
    size_t index;
    char id[RESTORED_ID_SIZE];
    *ret = NULL;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = read_extent(work, &extent, error);
    if (!code)
        code = read_report_page(work, 0, ret, error);
    for (int i = 1; !code && i <= extent.pages; i++) {
        code = read_report_page(work, i, &page, error);
        json_array_extend(json_object_get(*ret, "entries"), json_object_get(page, "entries"));
        json_decref(page);
    }
    json_array_foreach (json_object_get(*ret, "entries"), index, entry) {
        report_id(entry, id);
        json_object_set_new(entry, "id", json_string(id));
    }
    json_arena_set(arena);
    return code;
}

enum fh_code restored_count(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    struct extent extent;
    json_t *first = NULL;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = read_extent(work, &extent, error);
    if (!code)
        code = read_report_page(work, 0, &first, error);
    *ret = extent.entries + (int64_t)json_array_size(json_object_get(first, "entries")) +
           json_integer_value(json_object_get(first, "left_out"));
    json_decref(first);
    json_arena_set(arena);
    return code;
}

/* ---- Entries that were seen ---- */

static bool is_seen(const json_t *entry, int64_t *first, const json_t *ids)
{
    char id[RESTORED_ID_SIZE];
    size_t index;
    json_t *one;
    if (*first > 0) {
        --*first;
        return true;
    }
    report_id(entry, id);
    json_array_foreach (ids, index, one) {
        const char *text = json_string_value(one);
        if (text && strcmp(text, id) == 0)
            return true;
    }
    return false;
}

/* Removes the seen entries from one page. */
static enum fh_code see_page(struct store_work *work, int page, int64_t *first, const json_t *ids,
                             size_t *ret_left, struct fh_error *error)
{
    json_t *report;
    enum fh_code code = read_report_page(work, page, &report, error);
    json_t *entries = json_object_get(report, "entries");
    size_t before = json_array_size(entries);
    for (size_t i = 0; i < json_array_size(entries);) {
        if (is_seen(json_array_get(entries, i), first, ids))
            json_array_remove(entries, i);
        else
            i++;
    }
    *ret_left = json_array_size(entries);
    if (!code && *ret_left != before)
        code = write_page(work, page, report, error);
    json_decref(report);
    return code;
}

enum fh_code restored_seen(struct store_work *work, const struct restored_seen *seen,
                           struct fh_error *error)
{
    struct extent before, after = {0};
    int64_t first = seen->first;
    size_t left;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = read_extent(work, &before, error);
    for (int i = 0; !code && i <= before.pages; i++) {
        code = see_page(work, i, &first, seen->ids, &left, error);
        after.entries += i ? (int64_t)left : 0;
        after.pages = left ? i : after.pages;
    }
    if (!code && before.pages > 0)
        code = write_extent(work, &after, error);
    if (!code && seen->left_out > 0)
        code = add_left_out(work, -seen->left_out, error);
    json_arena_set(arena);
    return code;
}
