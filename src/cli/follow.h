/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

/* A change of one service that `up` makes, for the person who has asked for it: its words as they
 * come, rows as one line of progress. */

#include "base/progress.h"
#include "cli/cli.h"

struct following {
    const char *service;
    bool quiet; /* --json: nothing is said before the end */
    struct progress progress;
    json_t *end; /* its last line; NULL: none came */
};

/* Sends the request (taken) and follows until the end. CLI_NOT_RUNNING: nothing is said. */
int follow(struct following *following, const struct state *state, json_t *request, int timeout_ms);
void follow_release(struct following *following);

#endif
