/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes are public unless they say otherwise, so one that was meant for users could be open to
 * everybody because a line was forgotten. Hence a public route has to say who may use it, and
 * FH_ANYONE is written down by whoever means it. Where nobody can log in, a route for users answers
 * everybody 401: that is said here, and not first by the route.
 */

#include "system/check/auth.h"

#include <string.h>

#include "base/json.h"
#include "call/auth.h"

static bool can_log_in(const struct system_file *file)
{
    return json_object_get(file->auth, "jwt") || json_object_get(file->auth, "introspection") ||
           json_object_get(file->auth, "keys") || file->door_clients;
}

/* True: it is public, for users alone. */
static bool check_route_auth(const struct system_service *service, const json_t *route,
                             struct findings *findings)
{
    struct fh_error error;
    const char *method = json_string_at(route, "method"), *path = json_string_at(route, "path"),
               *audience = json_string_at(route, "audience"), *auth = json_string_at(route, "auth");
    bool is_public = !audience || strcmp(audience, "public") == 0;
    method = method ? method : "";
    path = path ? path : "";
    if (auth_check(auth, &error) != FH_OK)
        findings_error(findings, service->place, "%s: the .auth of %s %s is wrong: %s",
                       service->name, method, path, error.message);
    else if (is_public && !(auth && *auth))
        findings_error(findings, service->place,
                       "%s: %s %s is public and does not say who may use it: give it .auth = "
                       "FH_ANYONE, FH_USER, FH_SCOPE(\"...\") or FH_ROLE(\"...\"), or .audience = "
                       "FH_SERVICES if it is not for the outside",
                       service->name, method, path);
    else if (!is_public && auth && *auth)
        findings_warning(findings, service->place,
                         "%s: the .auth of %s %s has no effect: it is for requests from outside, "
                         "and the route is not public",
                         service->name, method, path);
    else
        return is_public && !auth_is_open(auth);
    return false;
}

static void check_service_auth(const struct system_file *file, const struct system_service *service,
                               struct findings *findings)
{
    size_t i, count = 0;
    json_t *route, *first = NULL;
    json_array_foreach (json_object_get(service->description, "routes"), i, route) {
        if (!check_route_auth(service, route, findings))
            continue;
        first = first ? first : route;
        count++;
    }
    if (count > 0 && !can_log_in(file))
        findings_warning(findings, service->place,
                         "%s: %zu public %s for users who are logged in, such as %s %s, and nobody "
                         "can log in: every request is answered 401 until the system file has "
                         "gateway.auth",
                         service->name, count, count == 1 ? "route is" : "routes are",
                         json_string_at(first, "method"), json_string_at(first, "path"));
}

void auth_check_routes(const struct system_file *file, struct findings *findings)
{
    for (size_t at = 0; at < file->service_count; at++)
        check_service_auth(file, &file->services[at], findings);
}
