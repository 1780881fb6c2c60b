/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request is accepted if its token is good, its Freehold-From (if any) names the token's caller,
 * and one of that caller's grants fits: "*", "public" for a public route, or the route itself,
 * "METHOD PATTERN", after "undo " if the request undoes. A grant to do is not one to undo.
 *
 * In an open service (for development) a request without a token gets the public routes.
 */

#include "service/audience.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "call/sign.h"

struct audience {
    struct identity_verifier *verifier;
    struct world *world;
    const json_t *callers; /* {"CALLER": ["METHOD PATTERN", ...]}; borrowed */
    bool open;
    bool events_granted; /* grants say which events, and do so for every caller */
    uint64_t refused;
};

static bool are_caller_keys(const json_t *keys, struct fh_error *error)
{
    const char *caller;
    json_t *text;
    struct identity_key unused;
    json_object_foreach ((json_t *)(uintptr_t)keys, caller, text) {
        if (strlen(caller) > IDENTITY_NAME_LENGTH_MAX ||
            !identity_key_parse(json_string_value(text), &unused)) {
            error_set(
                error, FH_INVALID,
                "The key of the caller \"%.64s\" is not valid: expected 64 hexadecimal digits.",
                caller);
            return false;
        }
    }
    return true;
}

enum fh_code audience_take_keys(struct audience *audience, const json_t *keys,
                                struct fh_error *error)
{
    const char *caller;
    json_t *text, *takes = json_object_get(keys, "takes"), *also = json_object_get(keys, "also");
    if (!are_caller_keys(takes, error) || !are_caller_keys(also, error))
        return FH_INVALID;
    json_object_foreach (takes, caller, text) {
        struct identity_key key, other;
        bool both = identity_key_parse(json_string_value(json_object_get(also, caller)), &other);
        identity_key_parse(json_string_value(text), &key);
        identity_verifier_add(audience->verifier, caller, &key, both ? &other : NULL);
    }
    return FH_OK;
}

enum fh_code audience_new(const char *service, const json_t *config, struct world *world,
                          struct audience **ret, struct fh_error *error)
{
    *ret = NULL;
    if (!json_object_get(config, "keys"))
        return FH_OK;
    struct audience *audience = calloc(1, sizeof *audience);
    FH_ASSERT(audience != NULL);
    audience->verifier = identity_verifier_new(service, identity_now(world));
    audience->world = world;
    audience->callers = json_object_get(config, "callers");
    audience->open = json_is_true(json_object_get(config, "open"));
    audience->events_granted = json_is_true(json_object_get(config, "events_granted"));
    if (!audience->events_granted)
        log_warning("events-ungranted",
                    "the configuration was written by an older freehold, which does not say which "
                    "events each subscriber was granted: whoever may read the feed gets what it "
                    "asks for; start the system again with this version");
    enum fh_code code = audience_take_keys(audience, json_object_get(config, "keys"), error);
    if (code == FH_OK)
        *ret = audience;
    else
        audience_free(audience);
    return code;
}

void audience_free(struct audience *audience)
{
    if (!audience)
        return;
    identity_verifier_free(audience->verifier);
    free(audience);
}

uint64_t audience_refused(const struct audience *audience)
{
    return audience ? audience->refused : 0;
}

void audience_count_refusal(struct audience *audience)
{
    if (audience)
        audience->refused++;
}

void audience_hear(struct audience *audience,
                   void (*heard)(void *context, const char *caller, int64_t ahead_ms),
                   void *context)
{
    if (audience)
        identity_verifier_hear(audience->verifier, heard, context);
}

/* Believes what the request says: for a program that was started without keys. */
static int believe_caller(const char *from, const struct audience_route *route,
                          const char **ret_why)
{
    *ret_why = "This resource is not for everyone.";
    if (!route || route->audience == FH_PUBLIC)
        return 0;
    if (!from)
        return 403;
    return route->audience == FH_OPERATORS && strcmp(from, "operator") != 0 ? 403 : 0;
}

/* "orders/0190...": the part before the slash. */
static bool from_names(const char *from, const char *caller)
{
    size_t length = strlen(caller);
    return strncmp(from, caller, length) == 0 && (from[length] == '/' || from[length] == '\0');
}

static bool grant_fits(const char *grant, const struct audience_route *route, bool undo)
{
    static const char undoing[] = "undo ";
    size_t method = strlen(route->method);
    if (strcmp(grant, "*") == 0)
        return true;
    if (strcmp(grant, "public") == 0)
        return route->audience == FH_PUBLIC && !undo;
    if ((strncmp(grant, undoing, sizeof undoing - 1) == 0) != undo)
        return false;
    grant += undo ? sizeof undoing - 1 : 0;
    return strncmp(grant, route->method, method) == 0 && grant[method] == ' ' &&
           strcmp(grant + method + 1, route->pattern) == 0;
}

static int judge_caller(struct audience *audience, const struct http_request *request,
                        const struct audience_route *route, const char **ret_caller,
                        const char **ret_why)
{
    const char *token = http_request_header(request, IDENTITY_HEADER), *caller;
    const char *from = http_request_header(request, "Freehold-From");
    bool undo = http_request_header(request, "Freehold-Undo") != NULL;
    if (!token) {
        *ret_why = "This service takes requests only from the system's gateway, services and "
                   "operators: a " IDENTITY_HEADER " is missing.";
        bool plain = !from && !undo && (!route || route->audience == FH_PUBLIC);
        return audience->open && plain ? 0 : 401;
    }
    enum identity_verdict verdict =
        identity_verify(audience->verifier, token, identity_now(audience->world), &caller);
    if (verdict != IDENTITY_PROVED) {
        *ret_why = identity_verdict_text(verdict);
        return 401;
    }
    *ret_caller = caller;
    if (from && !from_names(from, caller)) {
        *ret_why = "Freehold-From names another caller than the " IDENTITY_HEADER " proves.";
        return 403;
    }
    if (!route)
        return 0;
    size_t i;
    json_t *grant;
    json_array_foreach (json_object_get(audience->callers, caller), i, grant) {
        const char *text = json_string_value(grant);
        if (text && grant_fits(text, route, undo))
            return 0;
    }
    *ret_why = "This caller was not granted this route: its program does not declare that it needs "
               "it.";
    return 403;
}

static void name_caller(char ret[static IDENTITY_NAME_LENGTH_MAX + 1], const char *name)
{
    size_t length = strcspn(name, "/");
    if (length > IDENTITY_NAME_LENGTH_MAX)
        length = IDENTITY_NAME_LENGTH_MAX;
    memcpy(ret, name, length);
    ret[length] = '\0';
}

int audience_judge(struct audience *audience, const struct http_request *request,
                   const struct audience_route *route,
                   char ret_caller[static IDENTITY_NAME_LENGTH_MAX + 1], const char **ret_why)
{
    const char *caller = AUDIENCE_GATEWAY; /* also for whom an open service believes */
    if (!audience) {
        const char *from = http_request_header(request, "Freehold-From");
        name_caller(ret_caller, from ? from : caller);
        return believe_caller(from, route, ret_why);
    }
    int status = judge_caller(audience, request, route, &caller, ret_why);
    name_caller(ret_caller, caller);
    audience->refused += status != 0;
    return status;
}

const char *audience_caller(struct audience *audience, const struct http_request *request)
{
    const char *from = http_request_header(request, "Freehold-From"), *caller;
    if (!audience)
        return from;
    const char *token = http_request_header(request, IDENTITY_HEADER);
    if (!token || identity_verify(audience->verifier, token, identity_now(audience->world),
                                  &caller) != IDENTITY_PROVED)
        return NULL;
    return !from || from_names(from, caller) ? caller : NULL;
}

struct event_grant audience_events(struct audience *audience, const struct http_request *request)
{
    static const struct event_grant everything = {0};
    const char *token = http_request_header(request, IDENTITY_HEADER), *caller;
    size_t i;
    json_t *grant;
    if (!audience || !audience->events_granted)
        return everything;
    if (!token || identity_verify(audience->verifier, token, identity_now(audience->world),
                                  &caller) != IDENTITY_PROVED)
        return (struct event_grant){.caller = "an unknown caller"};
    const json_t *grants = json_object_get(audience->callers, caller);
    json_array_foreach (grants, i, grant) {
        const char *text = json_string_value(grant);
        if (text && strcmp(text, "*") == 0)
            return everything;
    }
    return (struct event_grant){caller, grants};
}
