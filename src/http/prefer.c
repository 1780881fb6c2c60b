/* SPDX-License-Identifier: Apache-2.0 */
/* A client's preferences (RFC 7240). Only one is honoured: how long to wait for the result. */

#define _GNU_SOURCE
#include "http/prefer.h"

#include <stdlib.h>
#include <string.h>

int prefer_wait_s(const char *prefer)
{
    const char *at = prefer;
    while (at && (at = strcasestr(at, "wait="))) {
        if (at == prefer || strchr(" ,;\t", at[-1])) {
            long seconds = strtol(at + strlen("wait="), NULL, 10);
            return seconds < 0 ? 0 : seconds > PREFER_WAIT_S_MAX ? PREFER_WAIT_S_MAX : (int)seconds;
        }
        at++;
    }
    return 0;
}
