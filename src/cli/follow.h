/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

/* Follows a change of one service that `up` makes, for the user who asked for it: shows messages as
 * they come, and rows as one line of progress. */

#include "base/progress.h"
#include "cli/cli.h"

struct following {
    const char *service;
    bool quiet; /* --json: nothing is printed before the end */
    struct progress progress;
    json_t *end; /* the last line; NULL: none came */
};

/* Sends the request (taken) and follows until the end. CLI_NOT_RUNNING is not reported. */
int follow(struct following *following, const struct state *state, json_t *request, int timeout_ms);
void follow_release(struct following *following);

#endif
