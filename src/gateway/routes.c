/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table is sorted once: routes with more literal segments first, then those that are literal
 * further left. So the first fit is the most literal one, in whatever order the services are
 * listed.
 *
 * A path goes to its service exactly as it arrived. So both programs must read the same text in the
 * same way: a '#' would end the path for a program that parses the URL again, and a route that is
 * not public would answer. Such paths are refused before matching. And a public /users/{id} must
 * not carry a request to an internal /users/merge: see is_shadowed.
 */

#include "gateway/routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "call/auth.h"
#include "http/path.h"
#include "shape/shape.h"

static const char *const reserved[] = {"livez", "readyz", "metrics", "_freehold", NULL};

static int hex_digit_value(char c)
{
    const char *digits = "0123456789abcdef0123456789ABCDEF", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) % 16 : -1;
}

bool routes_path_is_reserved(const char *path)
{
    char segment[16];
    size_t length = 0;
    const char *at = *path == '/' ? path + 1 : path;
    while (*at && *at != '/') {
        if (length == sizeof segment - 1)
            return false;
        char c = *at++;
        if (c == '%' && hex_digit_value(at[0]) >= 0 && hex_digit_value(at[1]) >= 0) {
            c = (char)(hex_digit_value(at[0]) * 16 + hex_digit_value(at[1]));
            at += 2;
        }
        segment[length++] = c;
    }
    segment[length] = '\0';
    for (int i = 0; reserved[i]; i++)
        if (strcmp(segment, reserved[i]) == 0)
            return true;
    return false;
}

/* Patterns that match the same paths: they differ only in their names. */
static bool is_same_pattern(const char *a, const char *b)
{
    for (;;) {
        if (*a != '/' || *b != '/')
            return *a == *b;
        size_t a_length = strcspn(++a, "/"), b_length = strcspn(++b, "/");
        bool a_named = *a == '{', b_named = *b == '{';
        if (a_named != b_named)
            return false;
        if (a_named) {
            bool a_int = a_length > 5 && memcmp(a + a_length - 5, ":int}", 5) == 0;
            bool b_int = b_length > 5 && memcmp(b + b_length - 5, ":int}", 5) == 0;
            if (a_int != b_int)
                return false;
        } else if (a_length != b_length || memcmp(a, b, a_length) != 0) {
            return false;
        }
        a += a_length;
        b += b_length;
    }
}

static enum fh_code routes_add(struct routes *routes, const struct route *route,
                               struct fh_error *error)
{
    enum fh_code code = path_check(route->pattern, error);
    if (code != FH_OK)
        return code;
    if (!route->hidden && (route->pattern[0] != '/' || routes_path_is_reserved(route->pattern)))
        return error_set(error, FH_INVALID,
                         "The path \"%.100s\" cannot be public: /livez, /readyz, /metrics and "
                         "/_freehold are the gateway's own.",
                         route->pattern);
    for (size_t i = 0; i < routes->count && !route->hidden; i++) {
        const struct route *other = &routes->list[i];
        if (!other->hidden && strcmp(other->method, route->method) == 0 &&
            is_same_pattern(other->pattern, route->pattern))
            return error_set(error, FH_INVALID,
                             "%.10s %.80s is offered twice, by %.40s and by %.40s.", route->method,
                             route->pattern,
                             other->upstream ? other->upstream->name : "a composition",
                             route->upstream ? route->upstream->name : "a composition");
    }
    if (routes->count == ROUTES_MAX)
        return error_set(error, FH_INVALID, "There are more than %d routes.", ROUTES_MAX);
    if (routes->count % 64 == 0) {
        struct route *list = realloc(routes->list, (routes->count + 64) * sizeof *list);
        if (!list)
            return error_set(error, FH_NO_MEMORY, "There is no memory for the routes.");
        routes->list = list;
    }
    routes->list[routes->count] = *route;
    routes->list[routes->count++].literals = path_literals(route->pattern);
    return FH_OK;
}

static int compare_routes(const void *left, const void *right)
{
    const struct route *a = left, *b = right;
    if (a->literals != b->literals)
        return b->literals - a->literals;
    const char *x = a->pattern, *y = b->pattern;
    while (*x && *x == *y) {
        x++;
        y++;
    }
    /* Where they first differ: a literal before a name; of two names, the one for integers only. */
    if ((*x == '{') != (*y == '{'))
        return *x == '{' ? 1 : -1;
    if ((*x == ':') != (*y == ':'))
        return *x == ':' ? -1 : 1;
    return strcmp(a->pattern, b->pattern) ? strcmp(a->pattern, b->pattern)
                                          : strcmp(a->method, b->method);
}

/* Whether a schema marks anything in it as a secret or a card's. */
static bool schema_is_secret(const json_t *schema)
{
    const char *name;
    json_t *inner;
    if (json_is_true(json_object_get(schema, SHAPE_SCHEMA_SECRET)) ||
        json_is_true(json_object_get(schema, SHAPE_SCHEMA_CARD)))
        return true;
    json_object_foreach ((json_t *)(uintptr_t)schema, name, inner) {
        if (schema_is_secret(inner))
            return true;
    }
    return false;
}

static enum fh_code add_service(struct routes *routes, struct upstream *upstream,
                                const json_t *description, struct fh_error *error)
{
    size_t i;
    json_t *declared;
    json_array_foreach (json_object_get(description, "routes"), i, declared) {
        const char *method = json_string_value(json_object_get(declared, "method"));
        const char *path = json_string_value(json_object_get(declared, "path"));
        const char *audience = json_string_value(json_object_get(declared, "audience"));
        if (!method || !path)
            return error_set(
                error, FH_INVALID,
                "The description of service \"%.60s\": route %zu has no method or path.",
                upstream->name, i + 1);
        const char *auth = json_string_value(json_object_get(declared, "auth"));
        if (auth_check(auth, error) != FH_OK)
            return FH_INVALID;
        json_int_t deadline_ms = json_integer_value(json_object_get(declared, "deadline_ms"));
        struct route route = {.method = arena_text(&routes->arena, method),
                              .pattern = arena_text(&routes->arena, path),
                              .upstream = upstream,
                              .auth = auth ? arena_text(&routes->arena, auth) : NULL,
                              .secret = schema_is_secret(json_at(declared, "answer.schema")),
                              .of_view = json_is_true(json_object_get(declared, "of_view")),
                              .hidden = !audience || strcmp(audience, "public") != 0,
                              .deadline_ms = deadline_ms > 0 && deadline_ms < INT32_MAX
                                                 ? (int)deadline_ms
                                                 : ROUTES_DEADLINE_MS};
        enum fh_code code = routes_add(routes, &route, error);
        if (code != FH_OK)
            return code;
    }
    return FH_OK;
}

static enum fh_code add_services(struct routes *routes, const json_t *config,
                                 struct fh_error *error)
{
    const json_t *services = json_object_get(config, "services");
    const char *name;
    json_t *description;
    if (!json_is_object(services))
        return error_set(error, FH_INVALID,
                         "\"services\" must be an object of the programs' descriptions.");
    json_object_foreach ((json_t *)(uintptr_t)services, name, description) {
        if (strcmp(name, "gateway") == 0)
            return error_set(error, FH_INVALID, "No service can be named \"gateway\".");
        if (!json_string_value(json_object_get(json_object_get(config, "peers"), name)))
            return error_set(error, FH_INVALID,
                             "\"peers\" has no address of the service \"%.60s\".", name);
        struct upstream *upstream = upstream_new(name);
        map_put(&routes->upstreams, name, upstream);
        enum fh_code code = add_service(routes, upstream, description, error);
        if (code != FH_OK)
            return code;
    }
    return FH_OK;
}

/* A composition demands all that its required parts do: without one of them there is no answer. */
static void demand_too(struct routes *routes, struct route *composed,
                       const struct compose_part *part, const struct route *used)
{
    if (!part->required || auth_is_open(used->auth))
        return;
    composed->auth = composed->auth
                         ? arena_printf(&routes->arena, "%s %s", composed->auth, used->auth)
                         : used->auth;
}

/* A part must use a public route of an existing service. */
static enum fh_code resolve_part(struct routes *routes, struct route *composed,
                                 struct compose_part *part, struct fh_error *error)
{
    const struct compose *compose = composed->compose;
    part->upstream = map_get(&routes->upstreams, part->service);
    if (!part->upstream)
        return error_set(error, FH_INVALID,
                         "Composition \"%.70s\", part \"%.40s\": there is no service \"%.40s\".",
                         compose->pattern, part->name, part->service);
    for (size_t i = 0; i < routes->count; i++) {
        const struct route *route = &routes->list[i];
        if (route->upstream == part->upstream && !route->hidden &&
            strcmp(route->method, "GET") == 0 &&
            compose_target_fits(part->target, route->pattern)) {
            demand_too(routes, composed, part, route);
            composed->secret = composed->secret || route->secret;
            return FH_OK;
        }
    }
    return error_set(
        error, FH_INVALID,
        "Composition \"%.60s\", part \"%.30s\": \"%.30s\" has no public route GET %.60s.",
        compose->pattern, part->name, part->service, part->target);
}

static enum fh_code add_composed_routes(struct routes *routes, const json_t *list,
                                        struct fh_error *error)
{
    size_t i;
    json_t *declared;
    if (list && !json_is_array(list))
        return error_set(error, FH_INVALID, "\"compose\" must be a list of compositions.");
    json_array_foreach (list, i, declared) {
        struct compose *compose;
        enum fh_code code = compose_parse(declared, &compose, error);
        if (code != FH_OK)
            return code;
        struct route route = {.method = "GET",
                              .pattern = compose->pattern,
                              .compose = compose,
                              .deadline_ms = compose->deadline_ms};
        for (int part = 0; part < compose->part_count && code == FH_OK; part++)
            code = resolve_part(routes, &route, &compose->parts[part], error);
        if (code == FH_OK)
            code = routes_add(routes, &route, error);
        if (code != FH_OK) {
            compose_free(compose);
            return code;
        }
    }
    return FH_OK;
}

enum fh_code routes_init(struct routes *routes, const json_t *config, struct fh_error *error)
{
    *routes = (struct routes){0};
    map_init(&routes->upstreams);
    arena_init(&routes->arena, ARENA_SIZE_MAX);
    enum fh_code code = add_services(routes, config, error);
    if (code == FH_OK)
        code = add_composed_routes(routes, json_object_get(config, "compose"), error);
    if (code != FH_OK) {
        routes_release(routes);
        return code;
    }
    if (routes->count)
        qsort(routes->list, routes->count, sizeof *routes->list, compare_routes);
    for (size_t i = 0; i < routes->count; i++)
        routes->list[i].index = i;
    return FH_OK;
}

void routes_release(struct routes *routes)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *upstream;
    for (size_t i = 0; i < routes->count; i++)
        compose_free(routes->list[i].compose);
    while (map_next(&routes->upstreams, &entry, &name, &upstream))
        upstream_free(upstream);
    map_release(&routes->upstreams);
    arena_release(&routes->arena);
    free(routes->list);
    *routes = (struct routes){0};
}

static void allow_add(struct text *allow, const char *method)
{
    if (allow->data && strstr(allow->data, method))
        return;
    text_printf(allow, "%s%s", allow->length ? ", " : "", method);
}

/* Whether the service would take this request to a hidden route: one that is at least as literal.
 * If two are equally literal, the gateway does not guess which of them the service takes. */
static bool is_shadowed(const struct routes *routes, const struct route *route, const char *path)
{
    for (size_t i = 0; i < routes->count; i++) {
        const struct route *hidden = &routes->list[i];
        if (hidden->hidden && hidden->upstream == route->upstream &&
            hidden->literals >= route->literals && strcmp(hidden->method, route->method) == 0 &&
            path_match(hidden->pattern, path, NULL))
            return true;
    }
    return false;
}

static bool is_hidden(const struct routes *routes, const char *method, const char *path)
{
    for (size_t i = 0; i < routes->count; i++) {
        const struct route *hidden = &routes->list[i];
        if (hidden->hidden && strcmp(hidden->method, method) == 0 &&
            path_match(hidden->pattern, path, NULL))
            return true;
    }
    return false;
}

enum routes_verdict routes_find(const struct routes *routes, const char *method, const char *path,
                                const struct route **ret, struct text *allow)
{
    enum routes_verdict verdict = ROUTES_UNKNOWN;
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < routes->count; i++) {
        const struct route *route = &routes->list[i];
        if (route->hidden || !path_match(route->pattern, path, NULL))
            continue;
        if (is_shadowed(routes, route, path))
            continue;
        if (strcmp(route->method, method) == 0) {
            *ret = route;
            return ROUTES_FOUND;
        }
        allow_add(allow, route->method);
        verdict = ROUTES_OTHER_METHOD;
    }
    /* An internal route is answered 404, whatever else is public at its path. */
    return is_hidden(routes, method, path) ? ROUTES_UNKNOWN : verdict;
}

bool routes_path_is_sound(const char *path)
{
    for (const char *at = path; *at; at++) {
        char c = *at;
        bool alphanumeric =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alphanumeric && !strchr("/-._~%!$&'()*+,;=:@", c))
            return false;
    }
    return true;
}

bool routes_query_is_sound(const char *query)
{
    for (const char *at = query; *at; at++)
        if (*at <= ' ' || *at > '~' || *at == '#')
            return false;
    return true;
}
