/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of RFC 6750. What is wrong with credentials is not told: "invalid_token" is all that a
 * client needs to get new ones, and all that somebody who tries to forge some gets.
 */

#include "gateway/admit.h"

#include <stdio.h>

#include "base/text.h"
#include "call/auth.h"

#define CHALLENGE_LENGTH_MAX ((size_t)4096)
#define CHALLENGE "Bearer"
#define CHALLENGE_REFUSED "Bearer error=\"invalid_token\""

/* Credentials that are shown count, whatever certificate comes with them. */
static enum authenticated authenticate_client(struct gateway_exchange *exchange)
{
    struct known_user *user;
    enum authenticated result =
        authenticate(exchange->authenticator, exchange->incoming.request, &user);
    if (result == AUTHENTICATED_NOBODY)
        return exchange->certified;
    known_user_unref(exchange->user);
    exchange->user = user;
    return result;
}

/* False: the request was answered. */
static bool authenticate_exchange(struct gateway_exchange *exchange)
{
    if (!exchange->authenticator)
        return true;
    switch (authenticate_client(exchange)) {
    case AUTHENTICATED_NOBODY:
    case AUTHENTICATED_USER:
        return true;
    case AUTHENTICATED_REFUSED:
        limits_charge_failure(exchange->limits, &exchange->address);
        gateway_challenge(exchange, PROBLEM_CREDENTIALS_REFUSED, CHALLENGE_REFUSED,
                          "The credentials are not valid, or have expired: expected Authorization: "
                          "Bearer CREDENTIALS.");
        return false;
    case AUTHENTICATED_AWAY:
        gateway_problem(exchange, PROBLEM_CREDENTIALS_UNDECIDED, NULL, "gateway",
                        "The provider that could judge these credentials does not answer now.");
        return false;
    }
    return false;
}

/* A user whose credentials were not known at the door pays here, besides its address, which has
 * paid for the look at them. False: the request was answered. */
static bool pay_as_user(struct gateway_exchange *exchange)
{
    if (!exchange->user || exchange->paid)
        return true;
    if (limits_take(exchange->limits, &exchange->address, exchange->user, &exchange->standing))
        return true;
    gateway_limited(exchange);
    return false;
}

/* RFC 6750, 3.1: the scopes that are needed are named; roles have no place there. */
static void refuse_grants(struct gateway_exchange *exchange)
{
    struct text challenge;
    size_t i;
    json_t *scopes = auth_demanded(exchange->route->auth, "scopes"), *scope;
    json_t *demanded = auth_text(exchange->route->auth);
    char detail[512];
    text_init(&challenge, CHALLENGE_LENGTH_MAX);
    text_add(&challenge, "Bearer error=\"insufficient_scope\"");
    json_array_foreach (scopes, i, scope)
        text_printf(&challenge, "%s%s", i ? " " : ", scope=\"", json_string_value(scope));
    if (i)
        text_add(&challenge, "\"");
    snprintf(detail, sizeof detail, "The user lacks what this route needs: %s.",
             json_string_value(demanded));
    gateway_challenge(exchange, PROBLEM_USER_NOT_GRANTED, challenge.data, detail);
    text_release(&challenge);
    json_decref(scopes);
    json_decref(demanded);
}

bool gateway_admit(struct gateway_exchange *exchange)
{
    if (!authenticate_exchange(exchange) || !pay_as_user(exchange))
        return false;
    switch (auth_judge(exchange->route->auth, exchange->user ? exchange->user->identity : NULL)) {
    case AUTH_GRANTED:
        return true;
    case AUTH_USER_MISSING:
        gateway_challenge(exchange, PROBLEM_USER_MISSING, CHALLENGE,
                          "This route needs a user who is logged in.");
        return false;
    case AUTH_NOT_GRANTED:
        refuse_grants(exchange);
        return false;
    }
    return false;
}
