/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user of a request: the gateway's statement is verified, and the route's `.auth` is held
 * against it. The gateway refuses earlier what it can; here nothing depends on that.
 *
 * `.auth` is for people, so it concerns what comes from outside. A service needs a grant for the
 * route and an operator has one for all; they bring a user along or not, and a handler that cares
 * looks.
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "call/auth.h"
#include "call/user.h"
#include "service/audience.h"
#include "service/exchange.h"
#include "shape/problem.h"

static enum auth_verdict judge_auth(const struct exchange *exchange, const struct fh_route *route)
{
    if (strcmp(exchange->caller, AUDIENCE_GATEWAY) != 0)
        return AUTH_GRANTED;
    return auth_judge(route->auth, exchange->user ? exchange->user->identity : NULL);
}

bool exchange_may_use(const struct exchange *exchange, const struct fh_route *route)
{
    return judge_auth(exchange, route) == AUTH_GRANTED;
}

static void refuse_user(struct exchange *exchange, enum problem_type type, const char *detail)
{
    static const struct http_header headers[] = {{AUDIENCE_REFUSED_HEADER, "user"},
                                                 {"WWW-Authenticate", "Bearer"}};
    json_t *problem = problem_new(type, detail, NULL);
    exchange_answer_json(exchange, problem_status(type), problem, headers,
                         problem_status(type) == 401 ? 2 : 1);
    json_decref(problem);
}

bool exchange_user_refused(struct exchange *exchange, const struct fh_route *route)
{
    const char *statement = exchange_header(exchange, USER_HEADER), *why;
    if (statement)
        exchange->user = user_verify(exchange->runtime->context.users, statement, &why);
    if (statement && !exchange->user) {
        refuse_user(exchange, PROBLEM_USER_UNPROVEN, why);
        return true;
    }
    enum auth_verdict verdict = judge_auth(exchange, route);
    if (verdict == AUTH_USER_MISSING) {
        refuse_user(exchange, PROBLEM_USER_MISSING, "This route needs a user who is logged in.");
    } else if (verdict == AUTH_NOT_GRANTED) {
        json_t *demanded = auth_text(route->auth);
        char detail[512];
        snprintf(detail, sizeof detail, "The user lacks what this route needs: %s.",
                 json_string_value(demanded));
        json_decref(demanded);
        refuse_user(exchange, PROBLEM_USER_NOT_GRANTED, detail);
    }
    return verdict != AUTH_GRANTED;
}
