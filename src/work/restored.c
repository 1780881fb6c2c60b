/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lives, and the report. The report is one JSON value under one name of fh_meta, so that every
 * engine has it without a table of its own; it has a bound, and beyond it says how much it leaves
 * out. It grows in the work that finds something out, so it is never told twice and never lost:
 *
 *     killed before that work's commit   it is found out again
 *     killed behind it                   it is there, until somebody has seen it
 */

#include "work/restored.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* ---- Lives ------------------------------------------------------------------------------------
 */

void lives_of(const char *present, const json_t *ancestors, struct lives *ret)
{
    size_t index;
    json_t *ancestor;
    ret->count = 0;
    snprintf(ret->present, sizeof ret->present, "%s", present);
    json_array_foreach (ancestors, index, ancestor) {
        const char *incarnation = json_string_at(ancestor, "incarnation");
        json_int_t position = 0;
        if (ret->count == LIVES_MAX || !incarnation || strlen(incarnation) != ID_SIZE - 1 ||
            !json_integer_at(ancestor, "position", &position))
            continue;
        struct life *life = &ret->before[ret->count++];
        memcpy(life->incarnation, incarnation, ID_SIZE);
        life->position = position;
        life->restored = json_is_true(json_object_get(ancestor, "restored"));
    }
}

enum fh_code lives_read(struct store_work *work, const char *present, struct lives *ret,
                        struct fh_error *error)
{
    char text[LEDGER_ANCESTORS_SIZE];
    json_t *ancestors = NULL;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = ledger_meta_get(work, LEDGER_ANCESTORS, text, sizeof text, error);
    if (code == FH_OK && text[0])
        code = json_parse(text, strlen(text), &ancestors, error);
    if (code == FH_OK)
        lives_of(present, ancestors, ret);
    json_decref(ancestors);
    json_arena_set(arena);
    return code;
}

/* -1: it is none of them. */
static int place_of(const struct lives *lives, const char *incarnation)
{
    for (int i = 0; i < lives->count; i++) {
        if (strcmp(lives->before[i].incarnation, incarnation) == 0)
            return i;
    }
    return -1;
}

bool lives_have(const struct lives *lives, const char *incarnation)
{
    return strcmp(lives->present, incarnation) == 0 || place_of(lives, incarnation) >= 0;
}

bool lives_restored_since(const struct lives *lives, const char *incarnation)
{
    int place = place_of(lives, incarnation);
    for (int i = place; i >= 0 && i < lives->count; i++) {
        if (lives->before[i].restored)
            return true;
    }
    return false;
}

enum lives_lost lives_lost(const struct lives *lives, const char *incarnation, int64_t position)
{
    int place = place_of(lives, incarnation);
    if (strcmp(incarnation, lives->present) >= 0) /* ids are ordered by time */
        return LIVES_KEPT;
    if (place < 0)
        return LIVES_LOST; /* a life that a restore has skipped as a whole */
    const struct life *life = &lives->before[place];
    if (!life->restored || position < life->position)
        return LIVES_KEPT;
    return position == life->position ? LIVES_MAYBE_LOST : LIVES_LOST;
}

/* ---- The report -------------------------------------------------------------------------------
 */

#define REPORT "restored" /* in fh_meta */

void restored_news_add(struct restored_news *news, const struct restored_entry *entry)
{
    struct arena *arena = json_arena_set(NULL);
    if (!news->entries)
        news->entries = json_array();
    if (json_array_size(news->entries) < RESTORED_ENTRIES_MAX)
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

/* On the heap, as all below; the caller has seen to the arena. */
static enum fh_code read_report(struct store_work *work, json_t **ret, struct fh_error *error)
{
    char *text = malloc(RESTORED_SIZE_MAX + 1); /* a fiber's stack is short */
    FH_ASSERT(text != NULL);
    *ret = NULL;
    enum fh_code code = ledger_meta_get(work, REPORT, text, RESTORED_SIZE_MAX + 1, error);
    if (code == FH_OK && text[0])
        code = json_parse(text, strlen(text), ret, error);
    if (code == FH_OK && !*ret)
        *ret = json_pack("{s:[], s:i}", "entries", "left_out", 0);
    free(text);
    return code;
}

static enum fh_code write_report(struct store_work *work, const json_t *report,
                                 struct fh_error *error)
{
    bool empty = json_array_size(json_object_get(report, "entries")) == 0 &&
                 json_integer_value(json_object_get(report, "left_out")) == 0;
    char *text = json_text(report);
    enum fh_code code = ledger_meta_put(work, REPORT, empty ? "" : text, error);
    json_text_free(text);
    return code;
}

enum fh_code restored_put(struct store_work *work, const struct restored_news *news, int64_t now_ms,
                          struct fh_error *error)
{
    json_t *report, *entry;
    size_t index;
    if (!news->entries)
        return FH_OK;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = read_report(work, &report, error);
    json_t *entries = json_object_get(report, "entries");
    json_int_t left_out = json_integer_value(json_object_get(report, "left_out")) + news->left_out;
    char *text = json_text(report);
    size_t size = strlen(text);
    json_text_free(text);
    json_array_foreach (news->entries, index, entry) {
        if (code)
            break;
        json_t *kept = json_copy(entry);
        json_object_set_new(kept, "at_ms", json_integer(now_ms));
        text = json_text(kept);
        size += strlen(text) + 1;
        json_text_free(text);
        bool fits = json_array_size(entries) < RESTORED_ENTRIES_MAX &&
                    size < RESTORED_SIZE_MAX - sizeof "\"left_out\":9007199254740991";
        if (fits)
            json_array_append_new(entries, kept);
        else
            json_decref(kept);
        left_out += !fits;
    }
    if (!code) {
        json_object_set_new(report, "left_out", json_integer(left_out));
        code = write_report(work, report, error);
    }
    json_decref(report);
    json_arena_set(arena);
    return code;
}

enum fh_code restored_get(struct store_work *work, json_t **ret, struct fh_error *error)
{
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = read_report(work, ret, error);
    json_arena_set(arena);
    return code;
}

enum fh_code restored_seen(struct store_work *work, int64_t count, int64_t left_out,
                           struct fh_error *error)
{
    json_t *report;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = read_report(work, &report, error);
    json_t *entries = json_object_get(report, "entries");
    for (; count > 0 && json_array_size(entries) > 0; count--)
        json_array_remove(entries, 0);
    json_int_t left = json_integer_value(json_object_get(report, "left_out")) - left_out;
    if (!code) {
        json_object_set_new(report, "left_out", json_integer(left > 0 ? left : 0));
        code = write_report(work, report, error);
    }
    json_decref(report);
    json_arena_set(arena);
    return code;
}
