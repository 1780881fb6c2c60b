/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A declaration is data, so most of what is wrong in it is seen only by looking: each shape by
 * shape_declared, the names that documents use, whether a location is where one of the service's
 * routes answers, when schedules run, what metrics are called. It is looked at before anything else
 * is done with it, by
 * --describe too, so that `freehold check` says the same as the service's start.
 */

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "event/versions.h"
#include "http/bytes.h"
#include "http/media.h"
#include "http/outside.h"
#include "http/path.h"
#include "service/declared.h"
#include "shape/shape.h"
#include "store/derived/derived.h"
#include "timer/timer.h"
#include "work/meters.h"
#include "work/page.h"

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))
#define DECLARED_NAME_LENGTH_MAX 64

static enum fh_code check_shape(const fh_field *shape, const char *where, const char *name,
                                struct fh_error *error)
{
    struct fh_error why;
    if (!shape || shape_declared(shape, &why) == FH_OK)
        return FH_OK;
    return error_set(error, FH_INVALID, "%s %.48s: %.130s.", where, name, why.message);
}

/* ---- Names ---- */

static bool is_name(const char *name, bool capital)
{
    size_t length = strlen(name);
    if (length == 0 || length > DECLARED_NAME_LENGTH_MAX ||
        (capital ? !isupper((unsigned char)*name) : !islower((unsigned char)*name)))
        return false;
    for (size_t i = 0; i < length; i++) {
        bool fits = capital ? isalnum((unsigned char)name[i])
                            : islower((unsigned char)name[i]) || isdigit((unsigned char)name[i]) ||
                                  name[i] == '_';
        if (!fits)
            return false;
    }
    return true;
}

static enum fh_code check_shape_names(const fh_service *service, struct fh_error *error)
{
    for (size_t i = 0; i < COUNT(service->shapes) && service->shapes[i].name; i++) {
        const struct fh_named_shape *named = &service->shapes[i];
        if (!is_name(named->name, true))
            return error_set(error, FH_INVALID,
                             "The shape \"%.64s\" needs a name of letters and digits that begins "
                             "with a capital.",
                             named->name);
        if (!named->shape || i + 1 == COUNT(service->shapes))
            return error_set(error, FH_INVALID, "The shape %s %s.", named->name,
                             named->shape ? "is the 64th, and 63 may have names" : "is NULL");
        for (size_t j = 0; j < i; j++) {
            if (strcmp(service->shapes[j].name, named->name) == 0 ||
                service->shapes[j].shape == named->shape)
                return error_set(error, FH_INVALID,
                                 "The shapes %s and %s are one shape, or have one name.",
                                 service->shapes[j].name, named->name);
        }
        enum fh_code code = check_shape(named->shape, "The shape", named->name, error);
        if (code != FH_OK)
            return code;
    }
    return FH_OK;
}

static enum fh_code check_route_name(const fh_service *service, size_t at, struct fh_error *error)
{
    const char *name = service->routes[at].name;
    if (!name)
        return FH_OK;
    if (!is_name(name, false))
        return error_set(error, FH_INVALID,
                         "The route %.100s needs a name of lower-case letters, digits and '_', "
                         "and not \"%.64s\".",
                         service->routes[at].path, name);
    for (size_t i = 0; i < at; i++) {
        if (service->routes[i].name && strcmp(service->routes[i].name, name) == 0)
            return error_set(error, FH_INVALID, "Two routes have the name %s.", name);
    }
    return FH_OK;
}

/* ---- Locations ---- */

bool declared_answers(const char *path, const char *location)
{
    while (*path && *location) {
        if (*path == '{' && *location == '{') {
            path += strcspn(path, "}");
            location += strcspn(location, "}");
        }
        if (*path != *location)
            return false;
        path += *path != '\0';
        location += *location != '\0';
    }
    return *path == *location;
}

static bool has_get_route(const fh_service *service, const char *location)
{
    for (size_t i = 0; i < COUNT(service->routes) && service->routes[i].method; i++) {
        if (strcmp(service->routes[i].method, "GET") == 0 &&
            declared_answers(service->routes[i].path, location))
            return true;
    }
    return false;
}

/* Each {name} of it is a field of the answer. */
static bool is_in_answer(const fh_field *shape, const char *location)
{
    for (const char *open = strchr(location, '{'); open; open = strchr(open + 1, '{')) {
        size_t length = strcspn(open + 1, "}.");
        const fh_field *field = shape;
        while (field->name &&
               (strlen(field->name) != length || strncmp(field->name, open + 1, length) != 0))
            field++;
        if (!field->name || field->optional || field->nullable)
            return false;
    }
    return true;
}

static enum fh_code check_location(const fh_service *service, const struct fh_route *route,
                                   struct fh_error *error)
{
    const char *location = route->location;
    if (!location)
        return FH_OK;
    if ((route->answer.status != 201 && route->answer.status != 202) || !route->answer.shape)
        return error_set(error, FH_INVALID,
                         "The route %.64s has a location, and no answer of 201 or 202 with a shape "
                         "that it could be made of.",
                         route->path);
    if (!has_get_route(service, location))
        return error_set(error, FH_INVALID,
                         "The route %.64s has the location %.64s, where no GET route of %s is.",
                         route->path, location, service->name);
    if (!is_in_answer(route->answer.shape, location))
        return error_set(error, FH_INVALID,
                         "The route %.64s has the location %.64s, with a name that is no field "
                         "that its answer always has.",
                         route->path, location);
    return FH_OK;
}

/* ---- Hosts ---- */

static enum fh_code check_fetch_hosts(const fh_service *service, struct fh_error *error)
{
    for (size_t i = 0; i < COUNT(service->fetches) && service->fetches[i]; i++) {
        if (!outside_is_pattern(service->fetches[i]) || outside_is_wide(service->fetches[i]))
            return error_set(error, FH_INVALID,
                             "%s fetches from \"%.64s\": expected a host in lower case, without "
                             "scheme and port, such as api.example.org.",
                             service->name, service->fetches[i]);
    }
    return FH_OK;
}

static bool has_text_setting(const fh_service *service, const char *name)
{
    const fh_field *field = service->settings;
    while (field && field->name && strcmp(field->name, name) != 0)
        field++;
    return field && field->name && field->type == FH_STRING;
}

static bool is_fetched(const fh_service *service, const char *host)
{
    for (size_t i = 0; i < COUNT(service->fetches) && service->fetches[i]; i++) {
        if (strcmp(service->fetches[i], host) == 0)
            return true;
    }
    return false;
}

static bool fetch_header_fits(const char *header)
{
    static const char *const own[] = {"Accept", "Connection",        "Content-Length",
                                      "Host",   "Transfer-Encoding", "User-Agent"};
    for (size_t i = 0; i < COUNT(own); i++) {
        if (strcasecmp(header, own[i]) == 0)
            return false;
    }
    return text_is_token(header);
}

static enum fh_code check_fetch_headers(const fh_service *service, struct fh_error *error)
{
    for (size_t i = 0; i < COUNT(service->fetch_headers) && service->fetch_headers[i].host; i++) {
        const struct fh_fetch_header *header = &service->fetch_headers[i];
        if (!is_fetched(service, header->host))
            return error_set(error, FH_INVALID,
                             "%s has a header for %.100s, which is not among its `fetches`.",
                             service->name, header->host);
        if (!header->name || !fetch_header_fits(header->name))
            return error_set(error, FH_INVALID,
                             "%s can't send the header \"%.60s\" to %.100s: expected one such as "
                             "Authorization.",
                             service->name, header->name ? header->name : "", header->host);
        if (!header->setting || !has_text_setting(service, header->setting))
            return error_set(
                error, FH_INVALID,
                "The header %.60s for %.60s is made of the setting \"%.60s\", which is "
                "no FH_STRING of the settings.",
                header->name, header->host, header->setting ? header->setting : "");
    }
    return FH_OK;
}

/* ---- Metrics ---- */

static enum fh_code check_metrics(const fh_service *service, struct fh_error *error)
{
    struct meters *meters;
    enum fh_code code = meters_new(service, &meters, error);
    meters_free(meters);
    return code;
}

/* ---- All of it ---- */

static enum fh_code check_page(const struct fh_route *route, struct fh_error *error)
{
    struct fh_error why;
    if (page_check(route, &why) == FH_OK)
        return FH_OK;
    return error_set(error, FH_INVALID, "The route %s %.60s %.130s", route->method, route->path,
                     why.message);
}

/* Of a parameter that has no form in "?name=value". */
static enum fh_code check_plain_query(const struct fh_route *route, struct fh_error *error)
{
    for (const fh_field *field = route->query; field && field->name; field++) {
        if (field->type == FH_OBJECT || field->type == FH_ARRAY)
            return error_set(error, FH_INVALID,
                             "The route %s %.60s has a query with \"%.48s\", %s: expected plain "
                             "values, or an FH_LIST for \"1,2,3\".",
                             route->method, route->path, field->name,
                             field->type == FH_OBJECT ? "an FH_OBJECT" : "an FH_ARRAY");
    }
    return FH_OK;
}

static enum fh_code check_route_types(const struct fh_route *route, struct fh_error *error)
{
    const char *const types[] = {route->body_type, route->answer_type};
    for (size_t i = 0; i < COUNT(types); i++) {
        if (types[i] && (!media_is_type(types[i]) || media_is_json(types[i])))
            return error_set(error, FH_INVALID,
                             "The route %s %.60s has the type \"%.60s\": expected one other than "
                             "JSON, in lower case without parameters, such as text/csv.",
                             route->method, route->path, types[i]);
    }
    if (route->body_type && (route->body || strcmp(route->method, "GET") == 0))
        return error_set(error, FH_INVALID, "The route %s %.60s has a body_type, and %s.",
                         route->method, route->path,
                         route->body ? "a shape of its body" : "a GET has no body");
    if (route->answer_type && (route->answer.shape || route->answer.each || route->page.by))
        return error_set(error, FH_INVALID,
                         "The route %s %.60s has an answer_type, and a shape or a page of JSON.",
                         route->method, route->path);
    if ((route->body_type || route->answer_type) && route->undo)
        return error_set(error, FH_INVALID,
                         "The route %s %.60s has an undo, and a type other than JSON, of which "
                         "an undo could be told nothing.",
                         route->method, route->path);
    return FH_OK;
}

static enum fh_code check_view(const fh_service *service, const struct fh_route *route,
                               struct fh_error *error)
{
    bool gets = strcmp(route->method, "GET") == 0;
    if (!route->of_view || (gets && service->subscribes[0].service))
        return FH_OK;
    return error_set(error, FH_INVALID, "The route %s %.100s is `of_view`, and %s.", route->method,
                     route->path,
                     gets ? "its service subscribes to nothing that it could be a view of"
                          : "only a GET can be");
}

static enum fh_code check_routes(const fh_service *service, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < COUNT(service->routes) && service->routes[i].method && !code; i++) {
        const struct fh_route *route = &service->routes[i];
        const fh_field *const shapes[] = {route->body, route->query, route->answer.shape,
                                          route->answer.each};
        for (size_t j = 0; j < COUNT(shapes) && !code; j++)
            code = check_shape(shapes[j], "The route", route->path, error);
        if (code == FH_OK)
            code = check_route_name(service, i, error);
        if (code == FH_OK)
            code = check_location(service, route, error);
        if (code == FH_OK)
            code = check_plain_query(route, error);
        if (code == FH_OK)
            code = check_page(route, error);
        if (code == FH_OK)
            code = check_route_types(route, error);
        if (code == FH_OK)
            code = check_view(service, route, error);
    }
    return code;
}

static enum fh_code check_events(const fh_service *service, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < COUNT(service->publishes) && service->publishes[i].type && !code; i++)
        code = check_shape(service->publishes[i].shape, "The event", service->publishes[i].type,
                           error);
    for (size_t i = 0; i < COUNT(service->upcasts) && service->upcasts[i].service && !code; i++) {
        const struct fh_upcast *upcast = &service->upcasts[i];
        code = check_shape(upcast->shape, "The upcast of", upcast->type, error);
        if (code == FH_OK)
            code = check_shape(upcast->into, "The upcast of", upcast->type, error);
    }
    for (size_t i = 0; i < COUNT(service->downcasts) && service->downcasts[i].type && !code; i++)
        code = check_shape(service->downcasts[i].into, "The downcast of",
                           service->downcasts[i].type, error);
    return code == FH_OK ? versions_check(service, error) : code;
}

/* These are none that a service's own store can have. */
static enum fh_code check_own_model(const fh_service *service, struct fh_error *error)
{
    if (service->model != FH_SEARCH && service->model != FH_SERIES && service->model != FH_COLUMNS)
        return FH_OK;
    return error_set(error, FH_INVALID,
                     "The model of %s is %s, which derived stores alone have: expected "
                     "FH_RELATIONAL, FH_DOCUMENT or FH_KEY_VALUE.",
                     service->name, derived_model_name(service->model));
}

enum fh_code declared_check(const fh_service *service, struct fh_error *error)
{
    enum fh_code code = check_own_model(service, error);
    if (code == FH_OK)
        code = check_shape_names(service, error);
    if (code == FH_OK)
        code = check_routes(service, error);
    if (code == FH_OK)
        code = check_events(service, error);
    for (size_t i = 0; i < COUNT(service->sagas) && service->sagas[i].name && !code; i++)
        code = check_shape(service->sagas[i].input, "The input of the saga", service->sagas[i].name,
                           error);
    for (size_t i = 0; i < COUNT(service->timers) && service->timers[i].name && !code; i++)
        code = check_shape(service->timers[i].data, "The data of the timer",
                           service->timers[i].name, error);
    if (code == FH_OK)
        code = check_shape(service->settings, "The settings of", service->name, error);
    if (code == FH_OK)
        code = timers_check(service, error);
    if (code == FH_OK)
        code = check_fetch_hosts(service, error);
    if (code == FH_OK)
        code = check_fetch_headers(service, error);
    if (code == FH_OK)
        code = check_metrics(service, error);
    if (code == FH_OK)
        code = derived_check(service, error);
    return code;
}
