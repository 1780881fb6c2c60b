/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a handler sees who asks. All of it belongs to the request and never changes, so a rerun of
 * the handler sees the same; what a handler may change (a claim) is a copy.
 */

#include "work/user.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/text.h"
#include "http/server.h"
#include "work/work.h"

#define OWN_HEADERS "Freehold-"

const struct fh_user *fh_user(fh_work *w)
{
    return w->user ? &w->user->shown : NULL;
}

static bool user_holds(const fh_work *w, const char *list, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach (w->user ? json_object_get(w->user->identity, list) : NULL, i, one) {
        if (strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

bool fh_user_has_scope(fh_work *w, const char *scope)
{
    return user_holds(w, "scopes", scope);
}

bool fh_user_has_role(fh_work *w, const char *role)
{
    return user_holds(w, "roles", role);
}

json_t *fh_user_claim(fh_work *w, const char *name)
{
    const json_t *claims = w->user ? json_object_get(w->user->identity, "claims") : NULL;
    const json_t *claim = json_object_get(claims, name);
    json_t *copy = json_copy_all(claim);
    if (claim && !copy)
        work_fail_as(w, PROBLEM_OVERLOADED, NULL, WORK_MEMORY_FAULT);
    return copy;
}

const char *fh_caller(fh_work *w)
{
    return w->caller ? w->caller : w->context->service->name;
}

const char *fh_header(fh_work *w, const char *name)
{
    bool own = strncasecmp(name, OWN_HEADERS, strlen(OWN_HEADERS)) == 0;
    return w->request && !own ? http_request_header(w->request, name) : NULL;
}

static bool subject_is(const char *subject, const json_t *value)
{
    char digits[TEXT_INTEGER_SIZE];
    if (json_is_integer(value))
        return strcmp(text_of_integer(json_integer_value(value), digits), subject) == 0;
    const char *text = json_string_value(value);
    return text && json_string_length(value) == strlen(subject) && strcmp(text, subject) == 0;
}

void fh_must_own(fh_work *w, const json_t *row, const char *field)
{
    if (!w->user)
        work_fail_as(w, PROBLEM_USER_MISSING, NULL, "This route needs a user who is logged in.");
    if (row && !json_object_get(row, field))
        work_fault(w, "fh_must_own looks for the field \"%s\", which the row has not.", field);
    if (!subject_is(w->user->shown.subject, json_object_get(row, field)))
        work_fail_as(w, PROBLEM_DATA_MISSING, NULL, "There is no such resource.");
}
