/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of sagas, as operators ask for them, and one by what it began with.
 *
 * Those that are over come the newest first: those of this incarnation of the store, then those of
 * the incarnations before it. "Newest" is by their starts, which every engine's index of statuses
 * can be read backwards in; so nothing is written for this. They are read a page at a time, each in
 * a snapshot of its own: what is over does not change. What is searched for is looked for in
 * SAGA_LOOKED_MAX sagas alone, of those that are over in the newest: each has to be read whole.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "saga/decide.h"
#include "saga/manager.h"
#include "saga/marks.h"
#include "saga/show.h"
#include "store/ledger.h"

#define OVER_PAGE 100

/* ---- What is searched for ---- */

static bool is_shown_as(const json_t *value, const char *text)
{
    if (json_is_string(value))
        return strcmp(json_string_value(value), text) == 0;
    char *shown = value ? json_text(value) : NULL;
    bool same = shown && strcmp(shown, text) == 0;
    json_text_free(shown);
    return same;
}

/* What is marked is not compared: or a search would tell it. */
static bool is_found(const struct work_context *context, const char *with,
                     const struct ledger_saga *row)
{
    json_t *input = NULL, *state = NULL, *value;
    const char *equals = with ? strchr(with, '=') : NULL, *name;
    bool found = false;
    if (!equals)
        return true;
    if (json_parse(row->input, strlen(row->input), &input, ERROR_UNHEEDED) == FH_OK &&
        json_parse(row->state, strlen(row->state), &state, ERROR_UNHEEDED) == FH_OK) {
        saga_redact_input(saga_shown_type(context, row->name, state), &input);
        json_object_foreach (input, name, value) {
            if (strlen(name) == (size_t)(equals - with) && memcmp(name, with, strlen(name)) == 0)
                found |= is_shown_as(value, equals + 1);
        }
    }
    json_decref(input);
    json_decref(state);
    return found;
}

/* ---- Open ones ---- */

static void keep_row(struct arena *arena, const struct ledger_saga *row, struct ledger_saga *ret)
{
    *ret = *row;
    ret->birth = arena_text(arena, row->birth);
    ret->name = arena_text(arena, row->name);
    ret->state = arena_text(arena, row->state);
    ret->status = arena_text(arena, row->status);
    ret->start_id = arena_text(arena, row->start_id);
    ret->input = "";
}

struct list_visit {
    struct work_context *context;
    const struct saga_search *search;
    struct arena *arena;
    struct ledger_saga *rows;
    int count;
    int looked; /* at so many, for what is searched for */
};

static bool keep_saga_row(void *context, const struct ledger_saga *row)
{
    struct list_visit *visit = context;
    const char *status = visit->search->status;
    if (status && strcmp(status, row->status) != 0)
        return true;
    visit->looked += visit->search->with != NULL;
    if (is_found(visit->context, visit->search->with, row))
        keep_row(visit->arena, row, &visit->rows[visit->count++]);
    return visit->count <= SAGA_LIST_MAX && visit->looked < SAGA_LOOKED_MAX;
}

static enum fh_code list_open(struct work_context *context, const struct saga_search *search,
                              json_t **ret, struct fh_error *error)
{
    struct arena arena;
    struct store_work *work;
    int known = search->status ? saga_status_of(search->status) : SAGA_RUNNING;
    if (known != SAGA_RUNNING && known != SAGA_COMPENSATING && known != SAGA_PARKED)
        return error_set(error, FH_INVALID,
                         "`status` must be running, compensating or parked; `ended=true` lists "
                         "those that are over.");
    enum fh_code code = store_begin(context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    arena_init(&arena, ARENA_SIZE_MAX);
    struct list_visit visit = {context, search, &arena, NULL, 0, 0};
    visit.rows = arena_alloc(&arena, (SAGA_LIST_MAX + 1) * sizeof *visit.rows);
    code = ledger_sagas_open(work, &(struct ledger_open){0}, keep_saga_row, &visit, error);
    json_t *list = json_array();
    for (int i = 0; code == FH_OK && i < visit.count && i < SAGA_LIST_MAX; i++) {
        json_t *one;
        code = saga_describe(work, &visit.rows[i], NULL, &one, error);
        json_array_append_new(list, one);
    }
    store_rollback(work);
    arena_release(&arena);
    if (code == FH_OK)
        *ret = json_pack("{s:o, s:b}", "sagas", list, "more",
                         visit.count > SAGA_LIST_MAX || visit.looked == SAGA_LOOKED_MAX);
    else
        json_decref(list);
    return code;
}

/* ---- Those that are over ---- */

struct over_list {
    struct work_context *context;
    const char *with;
    json_t *sagas;
    int wanted;   /* with more, there are more than were asked for */
    int looked;   /* at so many */
    int64_t last; /* the number that the page ended with */
    struct arena arena;
    struct ledger_saga *found;
    int count;
};

static bool take_over_row(void *context, const struct ledger_saga *row)
{
    struct over_list *list = context;
    list->looked++;
    list->last = row->number;
    if (is_found(list->context, list->with, row))
        keep_row(&list->arena, row, &list->found[list->count++]);
    return list->count < OVER_PAGE;
}

static bool wants_more_over(const struct over_list *list)
{
    return json_array_size(list->sagas) < (size_t)list->wanted && list->looked < SAGA_LOOKED_MAX;
}

static enum fh_code list_over_page(struct over_list *list, const char *birth, int64_t below,
                                   struct fh_error *error)
{
    struct store_work *work;
    struct ledger_over over = {.birth = birth, .below = below, .limit = OVER_PAGE};
    enum fh_code code = store_begin(list->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    arena_init(&list->arena, ARENA_SIZE_MAX);
    list->found = arena_alloc(&list->arena, OVER_PAGE * sizeof *list->found);
    list->count = 0;
    code = ledger_sagas_over(work, &over, take_over_row, list, error);
    for (int i = 0; code == FH_OK && i < list->count; i++) {
        json_t *one;
        code = saga_describe(work, &list->found[i], NULL, &one, error);
        json_array_append_new(list->sagas, one);
    }
    store_rollback(work);
    arena_release(&list->arena);
    return code;
}

static enum fh_code list_over_of(struct over_list *list, const char *birth, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    int64_t below = 0;
    int before;
    do {
        before = list->looked;
        code = list_over_page(list, birth, below, error);
        below = list->last;
    } while (code == FH_OK && list->looked > before && wants_more_over(list));
    return code;
}

static enum fh_code list_over_all(struct over_list *list, struct fh_error *error)
{
    const struct work_context *context = list->context;
    const struct lives *lives = context->sagas ? &context->sagas->lives : NULL;
    list->sagas = json_array();
    enum fh_code code = list_over_of(list, context->store->incarnation, error);
    for (int i = lives ? lives->count - 1 : -1; i >= 0 && !code && wants_more_over(list); i--)
        code = list_over_of(list, lives->before[i].incarnation, error);
    return code;
}

static enum fh_code list_over(struct work_context *context, const struct saga_search *search,
                              json_t **ret, struct fh_error *error)
{
    struct over_list list = {.context = context, .with = search->with, .wanted = SAGA_OVER_MAX + 1};
    enum fh_code code = list_over_all(&list, error);
    bool more = !wants_more_over(&list);
    while (json_array_size(list.sagas) > SAGA_OVER_MAX)
        json_array_remove(list.sagas, SAGA_OVER_MAX);
    if (code == FH_OK)
        *ret = json_pack("{s:o, s:b, s:i}", "sagas", list.sagas, "more", more, "looked_at",
                         list.looked);
    else
        json_decref(list.sagas);
    return code;
}

enum fh_code saga_list(struct work_context *context, const struct saga_search *search, json_t **ret,
                       struct fh_error *error)
{
    const char *equals = search->with ? strchr(search->with, '=') : NULL;
    if (search->with && (!equals || equals == search->with))
        return error_set(error, FH_INVALID,
                         "`with` must be NAME=VALUE: a member of the input, and its value.");
    if (search->over && search->status)
        return error_set(error, FH_INVALID, "`status` is for sagas that are not over.");
    return search->over ? list_over(context, search, ret, error)
                        : list_open(context, search, ret, error);
}

/* ---- One of them ---- */

static enum fh_code take_found_id(struct work_context *context, const json_t *list,
                                  struct saga_id *ret, struct fh_error *error)
{
    const char *id = json_string_at(json_array_get(list, 0), "id");
    enum fh_code code = saga_id_parse(id, ret, error);
    return code ? code : saga_id_resolve(context, ret, error);
}

enum fh_code saga_find_with(struct work_context *context, const char *with, struct saga_id *ret,
                            struct fh_error *error)
{
    struct saga_search search = {.with = with};
    json_t *open, *over = NULL;
    enum fh_code code = saga_list(context, &search, &open, error);
    if (code != FH_OK)
        return code;
    search.over = true;
    bool runs = json_array_size(json_object_get(open, "sagas")) > 0;
    if (!runs)
        code = saga_list(context, &search, &over, error);
    const json_t *found = json_object_get(runs ? open : over, "sagas");
    if (code == FH_OK && json_array_size(found) > 0)
        code = take_found_id(context, found, ret, error);
    else if (code == FH_OK)
        code =
            error_set(error, FH_NOT_FOUND,
                      "None of the first %d open sagas, and none of the newest %d that are over, "
                      "has %s in its input.",
                      SAGA_LOOKED_MAX, SAGA_LOOKED_MAX, with);
    json_decref(open);
    json_decref(over);
    return code;
}

enum fh_code saga_id_of_operator(struct work_context *context, const char *text,
                                 struct saga_id *ret, struct fh_error *error)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;
    if (text && strchr(text, '='))
        return saga_find_with(context, text, ret, error);
    if (digits == 0 || text[digits]) {
        enum fh_code code = saga_id_parse(text, ret, error);
        return code ? code : saga_id_resolve(context, ret, error);
    }
    *ret = (struct saga_id){.number = strtoll(text, NULL, 10)};
    snprintf(ret->birth, sizeof ret->birth, "%s", context->store->incarnation);
    return FH_OK;
}
