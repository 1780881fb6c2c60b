/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pure half of composition. A declaration is read once, at start, and anything that would fail
 * in every answer (an unknown name, a circle) is refused then.
 *
 * The dependencies between parts follow from the names in a part's template and in `each`: a name
 * before the first '.' or '[' is a part, or a name in the composition's path. Parts are bits of one
 * word, so finding those that can be started takes a few operations, and a circle shows as parts
 * that can never be started.
 */

#include "gateway/compose.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static int compose_part_named(const struct compose *compose, const char *name, size_t length)
{
    for (int i = 0; i < compose->part_count; i++)
        if (strlen(compose->parts[i].name) == length &&
            memcmp(compose->parts[i].name, name, length) == 0)
            return i;
    return -1;
}

/* Whether the pattern contains `name`, as "{name}" or "{name:int}". */
static bool pattern_has(const char *pattern, const char *name, size_t length)
{
    for (const char *open = strchr(pattern, '{'); open; open = strchr(open + 1, '{'))
        if (strncmp(open + 1, name, length) == 0 &&
            (open[1 + length] == '}' || open[1 + length] == ':'))
            return true;
    return false;
}

static enum fh_code refuse_composition(struct fh_error *error, const struct compose *compose,
                                       const struct compose_part *part, const char *what)
{
    return error_set(error, FH_INVALID, "Composition \"%.70s\", part \"%.40s\": %s",
                     compose->pattern, part->name, what);
}

/* Makes `part` depend on the part that `path` begins with. */
static enum fh_code depend_on(const struct compose *compose, struct compose_part *part,
                              const char *path, struct fh_error *error)
{
    size_t length = compose_path_head(path);
    int other = compose_part_named(compose, path, length);
    if (other >= 0) {
        part->depends |= UINT32_C(1) << other;
        return FH_OK;
    }
    if (path[length] == '\0' && pattern_has(compose->pattern, path, length))
        return FH_OK;
    return error_set(
        error, FH_INVALID,
        "Composition \"%.60s\", part \"%.30s\": \"%.40s\" is neither a part nor a name "
        "in the path.",
        compose->pattern, part->name, path);
}

static enum fh_code resolve_names(const struct compose *compose, struct compose_part *part,
                                  struct fh_error *error)
{
    char name[COMPOSE_NAME_LENGTH_MAX + 1];
    bool valid = true, has_ids = false;
    for (const char *at = compose_template_name(part->target, name, &valid); at;
         at = compose_template_name(at, name, &valid)) {
        if (part->ids && strcmp(name, "ids") == 0) {
            has_ids = true;
            continue;
        }
        if (!compose_path_is_valid(name) || strchr(name, '['))
            return refuse_composition(
                error, compose, part,
                "a name in \"get\" is a part and fields, {order.user_id}; lists go "
                "through \"each\".");
        enum fh_code code = depend_on(compose, part, name, error);
        if (code != FH_OK)
            return code;
    }
    if (!valid)
        return refuse_composition(error, compose, part,
                                  "\"get\" has a '{' without its name and '}'.");
    if (!part->ids)
        return FH_OK;
    if (!has_ids)
        return refuse_composition(error, compose, part, "with \"each\", \"get\" must have {ids}.");
    return depend_on(compose, part, part->ids, error);
}

/* "each" is the path of a list whose elements have the field "id", or, without "id", the path of
 * the ids themselves. */
static enum fh_code parse_each(struct compose *compose, struct compose_part *part,
                               const json_t *declared, struct fh_error *error)
{
    const json_t *each = json_object_get(declared, "each");
    const json_t *id = json_object_get(declared, "id");
    if (!each && id)
        return refuse_composition(error, compose, part, "\"id\" is of use only with \"each\".");
    if (!each)
        return FH_OK;
    const char *path = json_string_value(each);
    if (!path || (id && !json_is_string(id)))
        return refuse_composition(error, compose, part, "\"each\" and \"id\" must be strings.");
    if (id) {
        size_t length = strlen(path);
        bool is_list = length >= 2 && strcmp(path + length - 2, "[]") == 0;
        path = arena_printf(&compose->arena, "%s%s.%s", path, is_list ? "" : "[]",
                            json_string_value(id));
    }
    part->ids = arena_text(&compose->arena, path);
    if (!compose_path_is_valid(part->ids) || strlen(part->ids) > COMPOSE_NAME_LENGTH_MAX)
        return refuse_composition(error, compose, part,
                                  "\"each\" is a path such as order.items or orders[].user_id.");
    return FH_OK;
}

static enum fh_code parse_get(struct compose *compose, struct compose_part *part,
                              const json_t *declared, struct fh_error *error)
{
    const char *get = json_string_value(json_object_get(declared, "get"));
    const char *space = get ? strchr(get, ' ') : NULL;
    if (!space || space == get || space[1] != '/' || strchr(space + 1, ' '))
        return refuse_composition(error, compose, part, "\"get\" must be \"SERVICE /path\".");
    part->service = arena_copy(&compose->arena, get, (size_t)(space - get));
    part->target = arena_text(&compose->arena, space + 1);
    return FH_OK;
}

static enum fh_code parse_flag(struct compose *compose, const struct compose_part *part,
                               const json_t *value, const char *what, bool *ret,
                               struct fh_error *error)
{
    if (value && !json_is_boolean(value))
        return refuse_composition(error, compose, part, what);
    *ret = json_is_true(value);
    return FH_OK;
}

static enum fh_code parse_members(struct compose *compose, struct compose_part *part,
                                  const json_t *declared, struct fh_error *error)
{
    static const char *const known[] = {"name",     "get",   "each",       "id",
                                        "required", "query", "timeout_ms", NULL};
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)declared, key, value) {
        int i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return error_set(
                error, FH_INVALID,
                "Composition \"%.60s\", part \"%.30s\": \"%.30s\" is not known; a part "
                "has name, get, each, id, required, query, timeout_ms.",
                compose->pattern, part->name, key);
    }
    enum fh_code code = parse_get(compose, part, declared, error);
    if (code == FH_OK)
        code = parse_each(compose, part, declared, error);
    if (code == FH_OK)
        code = parse_flag(compose, part, json_object_get(declared, "required"),
                          "\"required\" must be true or false.", &part->required, error);
    if (code == FH_OK)
        code = parse_flag(compose, part, json_object_get(declared, "query"),
                          "\"query\" must be true or false.", &part->query, error);
    const json_t *timeout = json_object_get(declared, "timeout_ms");
    part->timeout_ms = COMPOSE_OPTIONAL_TIMEOUT_MS;
    if (code == FH_OK && timeout) {
        json_int_t timeout_ms = json_integer_value(timeout);
        if (timeout_ms < 1 || timeout_ms > 600000)
            return refuse_composition(error, compose, part,
                                      "\"timeout_ms\" must be from 1 to 600000.");
        part->timeout_ms = (int)timeout_ms;
    }
    return code;
}

static enum fh_code parse_name(struct compose *compose, const json_t *declared,
                               struct fh_error *error)
{
    const char *name = json_string_value(json_object_get(declared, "name"));
    if (!name || !*name || compose_path_head(name) != strlen(name) || !compose_path_is_valid(name))
        return error_set(error, FH_INVALID,
                         "Composition \"%.80s\": part %d needs a name of letters, digits, _ and -.",
                         compose->pattern, compose->part_count + 1);
    if (strcmp(name, "missing") == 0 || compose_part_named(compose, name, strlen(name)) >= 0 ||
        pattern_has(compose->pattern, name, strlen(name)))
        return error_set(error, FH_INVALID,
                         "Composition \"%.80s\": the name \"%.40s\" is taken already; parts, names "
                         "in the path and \"missing\" must differ.",
                         compose->pattern, name);
    compose->parts[compose->part_count++].name = arena_text(&compose->arena, name);
    return FH_OK;
}

/* A part that may be missing must not decide whether there is an answer at all. */
static enum fh_code refuse_weak_grounds(const struct compose *compose, struct fh_error *error)
{
    uint32_t required = 0;
    for (int i = 0; i < compose->part_count; i++)
        if (compose->parts[i].required)
            required |= UINT32_C(1) << i;
    for (int i = 0; i < compose->part_count; i++)
        if (compose->parts[i].required && (compose->parts[i].depends & ~required))
            return refuse_composition(error, compose, &compose->parts[i],
                                      "it is required, so what it refers to must be required too.");
    return FH_OK;
}

static enum fh_code refuse_circles(const struct compose *compose, struct fh_error *error)
{
    uint32_t finished = 0, next;
    while ((next = compose_startable(compose, finished, finished)) != 0)
        finished |= next;
    for (int i = 0; i < compose->part_count; i++)
        if (!(finished >> i & 1))
            return refuse_composition(
                error, compose, &compose->parts[i],
                "it waits for itself: parts must not refer to each other in a circle.");
    return FH_OK;
}

static enum fh_code parse_parts(struct compose *compose, const json_t *parts,
                                struct fh_error *error)
{
    size_t i;
    json_t *declared;
    enum fh_code code = FH_OK;
    if (!json_is_array(parts) || json_array_size(parts) == 0 ||
        json_array_size(parts) > COMPOSE_PARTS_MAX)
        return error_set(error, FH_INVALID,
                         "Composition \"%.80s\": \"parts\" must be a list of 1 to %d parts.",
                         compose->pattern, COMPOSE_PARTS_MAX);
    json_array_foreach (parts, i, declared) {
        code = parse_name(compose, declared, error);
        if (code != FH_OK)
            return code;
    }
    json_array_foreach (parts, i, declared) {
        code = parse_members(compose, &compose->parts[i], declared, error);
        if (code == FH_OK)
            code = resolve_names(compose, &compose->parts[i], error);
        if (code != FH_OK)
            return code;
    }
    code = refuse_circles(compose, error);
    return code == FH_OK ? refuse_weak_grounds(compose, error) : code;
}

enum fh_code compose_parse(const json_t *declared, struct compose **ret, struct fh_error *error)
{
    *ret = NULL;
    const char *pattern = json_string_value(json_object_get(declared, "path"));
    if (!pattern || pattern[0] != '/')
        return error_set(error, FH_INVALID, "A composition needs a \"path\" that begins with '/'.");
    struct compose *compose = calloc(1, sizeof *compose);
    if (!compose)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a composition.");
    arena_init(&compose->arena, ARENA_SIZE_MAX);
    compose->pattern = arena_text(&compose->arena, pattern);
    compose->deadline_ms = COMPOSE_DEADLINE_MS;
    enum fh_code code = parse_parts(compose, json_object_get(declared, "parts"), error);
    const json_t *deadline = json_object_get(declared, "deadline_ms");
    if (code == FH_OK && deadline) {
        json_int_t deadline_ms = json_integer_value(deadline);
        if (deadline_ms < 1 || deadline_ms > 600000)
            code = error_set(error, FH_INVALID,
                             "Composition \"%.80s\": \"deadline_ms\" must be from 1 to 600000.",
                             pattern);
        compose->deadline_ms = (int)deadline_ms;
    }
    if (code != FH_OK) {
        compose_free(compose);
        return code;
    }
    *ret = compose;
    return FH_OK;
}

void compose_free(struct compose *compose)
{
    if (!compose)
        return;
    arena_release(&compose->arena);
    free(compose);
}

uint32_t compose_startable(const struct compose *compose, uint32_t started, uint32_t finished)
{
    uint32_t startable = 0;
    for (int i = 0; i < compose->part_count; i++)
        if (!(started >> i & 1) && (compose->parts[i].depends & ~finished) == 0)
            startable |= UINT32_C(1) << i;
    return startable;
}

static bool has_name(const char *segment, size_t length)
{
    return memchr(segment, '{', length) != NULL;
}

bool compose_target_fits(const char *target, const char *pattern)
{
    for (;;) {
        if (*target != '/' || *pattern != '/')
            return (*target == '\0' || *target == '?') && *pattern == '\0';
        target++;
        pattern++;
        size_t target_length = strcspn(target, "/?");
        size_t pattern_length = strcspn(pattern, "/");
        if (!has_name(pattern, pattern_length) &&
            (target_length != pattern_length || memcmp(target, pattern, target_length) != 0))
            return false;
        target += target_length;
        pattern += pattern_length;
    }
}
