/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the answers so far to the next requests, and from many rows to one list: the path language
 * and the merging of batches. Pure, and linear: duplicate ids are found with a map, since a page of
 * orders names the same few products again and again.
 */

#include "gateway/compose.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"

/* ---- The path language ---- */

size_t compose_path_head(const char *path)
{
    return strcspn(path, ".[");
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool compose_path_is_valid(const char *path)
{
    const char *at = path;
    if (!is_name_byte(*at))
        return false;
    while (*at) {
        if (is_name_byte(*at)) {
            at++;
        } else if (*at == '.' && is_name_byte(at[1])) {
            at++;
        } else if (at[0] == '[' && at[1] == ']' && (!at[2] || at[2] == '.' || at[2] == '[')) {
            at += 2;
        } else {
            return false;
        }
    }
    return true;
}

struct gathering {
    json_t *ids;
    struct map seen;
    struct fh_error *error;
    enum fh_code code;
    bool found; /* the path leads to something, even if only to an empty array */
};

static void gather_id(struct gathering *gathering, const json_t *id)
{
    char number[32];
    const char *text = json_string_value(id);
    if (json_is_integer(id)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(id));
        text = number;
    }
    if (!text) {
        gathering->code =
            error_set(gathering->error, FH_INVALID, "An id is neither a string nor an integer.");
        return;
    }
    if (map_get(&gathering->seen, text))
        return;
    if (json_array_size(gathering->ids) >= COMPOSE_IDS_MAX) {
        gathering->code = error_set(gathering->error, FH_INVALID,
                                    "There are more than %d distinct ids.", COMPOSE_IDS_MAX);
        return;
    }
    map_put(&gathering->seen, text, gathering);
    json_array_append(gathering->ids, (json_t *)(uintptr_t)id);
}

/* `value` is where the path has led so far. The recursion is bounded by the path's length. */
static void gather_ids(struct gathering *gathering, const json_t *value, const char *path)
{
    while (gathering->code == FH_OK && value && !json_is_null(value)) {
        if (*path == '.') {
            path++;
            size_t length = compose_path_head(path);
            value = json_object_getn(value, path, length);
            path += length;
        } else if (*path == '[') {
            size_t i;
            json_t *element;
            if (!json_is_array(value)) {
                gathering->code = error_set(gathering->error, FH_INVALID,
                                            "A list was expected before \"%.60s\".", path);
                return;
            }
            gathering->found = true;
            json_array_foreach (value, i, element)
                gather_ids(gathering, element, path + 2);
            return;
        } else {
            gathering->found = true;
            gather_id(gathering, value);
            return;
        }
    }
}

enum fh_code compose_ids(const json_t *values, const char *path, json_t **ret,
                         struct fh_error *error)
{
    struct gathering gathering = {.ids = json_array(), .error = error};
    size_t length = compose_path_head(path);
    map_init(&gathering.seen);
    gather_ids(&gathering, json_object_getn(values, path, length), path + length);
    map_release(&gathering.seen);
    *ret = gathering.ids;
    if (gathering.code != FH_OK || !gathering.found) {
        json_decref(gathering.ids);
        *ret = NULL;
    }
    return gathering.code;
}

const char *compose_template_name(const char *pattern,
                                  char name[static COMPOSE_NAME_LENGTH_MAX + 1], bool *ret_valid)
{
    *ret_valid = true;
    const char *open = strchr(pattern, '{');
    if (!open)
        return NULL;
    const char *close = strchr(open, '}');
    size_t length = close ? (size_t)(close - open) - 1 : 0;
    if (!close || length == 0 || length > COMPOSE_NAME_LENGTH_MAX) {
        *ret_valid = false;
        return NULL;
    }
    memcpy(name, open + 1, length);
    name[length] = '\0';
    return close + 1;
}

bool compose_refers_to_nothing(const struct compose_part *part, const json_t *values)
{
    char name[COMPOSE_NAME_LENGTH_MAX + 1];
    bool valid;
    for (const char *at = compose_template_name(part->target, name, &valid); at;
         at = compose_template_name(at, name, &valid)) {
        if (part->ids && strcmp(name, "ids") == 0)
            continue;
        const json_t *value = json_at(values, name);
        if (!value || json_is_null(value))
            return true;
    }
    return false;
}

/* ---- Rows in order ---- */

static const char *row_id_text(const json_t *id, char number[static 32])
{
    if (json_is_integer(id)) {
        snprintf(number, 32, "%lld", (long long)json_integer_value(id));
        return number;
    }
    return json_string_value(id);
}

enum fh_code compose_merge(const json_t *ids, json_t *const *answers, int count, json_t **ret,
                           struct fh_error *error)
{
    struct map rows;
    enum fh_code code = FH_OK;
    char number[32];
    size_t i;
    json_t *row, *id;
    *ret = NULL;
    map_init(&rows);
    for (int answer = 0; answer < count && code == FH_OK; answer++) {
        if (!json_is_array(answers[answer])) {
            code = error_set(error, FH_INVALID, "A list of objects with an id was expected.");
            break;
        }
        json_array_foreach (answers[answer], i, row) {
            const char *text = row_id_text(json_object_get(row, "id"), number);
            if (!text) {
                code = error_set(error, FH_INVALID, "Element %zu of the list has no id.", i);
                break;
            }
            map_put(&rows, text, row);
        }
    }
    if (code == FH_OK) {
        *ret = json_array();
        json_array_foreach (ids, i, id) {
            row = map_get(&rows, row_id_text(id, number));
            if (row)
                json_array_append(*ret, row);
        }
    }
    map_release(&rows);
    return code;
}
