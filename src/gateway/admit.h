/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ADMIT_H
#define GATEWAY_ADMIT_H

/* Whether a request may go on to its route, by who sends it. */

#include <stdbool.h>

#include "gateway/exchange.h"

/* In the exchange's fiber, once its route is known. True: exchange->user is set, or nobody is
 * logged in and nobody needs to be. False: the request was answered. */
bool gateway_admit(struct gateway_exchange *exchange);

#endif
