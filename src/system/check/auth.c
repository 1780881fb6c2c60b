/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes are public unless they say otherwise, so one that was meant for users could be open to
 * everybody because a line was forgotten. Hence a public route has to say who may use it, and
 * FH_ANYONE is written down by whoever means it.
 */

#include "system/check/auth.h"

#include <string.h>

#include "base/json.h"
#include "call/auth.h"

static void check_route_auth(const struct system_service *service, const json_t *route,
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
}

void auth_check_routes(const struct system_file *file, struct findings *findings)
{
    size_t i;
    json_t *route;
    for (size_t at = 0; at < file->service_count; at++) {
        const struct system_service *service = &file->services[at];
        json_array_foreach (json_object_get(service->description, "routes"), i, route)
            check_route_auth(service, route, findings);
    }
}
