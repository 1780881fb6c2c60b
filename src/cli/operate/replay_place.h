/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPERATE_REPLAY_PLACE_H
#define CLI_OPERATE_REPLAY_PLACE_H

/* Where in a publisher's outbox a replay begins: the publisher is asked. */

#include "base/id.h"
#include "cli/cli.h"

struct replay_place {
    struct cli_operator *asking;
    const char *of; /* the publisher */
    long long after;
    char incarnation[ID_SIZE], id[ID_SIZE]; /* its store's; and of the event at `after` */
    /* While it is looked for: what the publisher last said, and how often it was asked. */
    long long trimmed, last;
    int pages;
};

/* `given`: a position, a time, or a span before now. Returns an exit code, after having said why.
 */
int replay_find_place(struct replay_place *place, const char *given);

#endif
