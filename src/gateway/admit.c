/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of RFC 6750. What is wrong with credentials is not told: "invalid_token" is all that a
 * client needs to get new ones, and all that somebody who tries to forge some gets.
 */

#include "gateway/admit.h"

#define CHALLENGE_REFUSED "Bearer error=\"invalid_token\""

bool gateway_admit(struct gateway_exchange *exchange)
{
    if (!exchange->authenticator)
        return true;
    switch (authenticate(exchange->authenticator, exchange->incoming.request, &exchange->user)) {
    case AUTHENTICATED_NOBODY:
    case AUTHENTICATED_USER:
        return true;
    case AUTHENTICATED_REFUSED:
        gateway_challenge(exchange, PROBLEM_CREDENTIALS_REFUSED, CHALLENGE_REFUSED,
                          "These credentials are not valid here, or no longer.");
        return false;
    case AUTHENTICATED_AWAY:
        gateway_problem(exchange, PROBLEM_CREDENTIALS_UNDECIDED, NULL, "gateway",
                        "The provider that could judge these credentials does not answer now.");
        return false;
    }
    return false;
}
