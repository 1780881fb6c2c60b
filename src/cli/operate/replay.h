/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPERATE_REPLAY_H
#define CLI_OPERATE_REPLAY_H

#include "cli/cli.h"

/* `freehold events replay`: has a running service apply events again. */
struct replay_asked {
    const char *service;
    const char *of;   /* the publisher; NULL: the only one that the service subscribes to */
    const char *from; /* a position, a time, or a span before now */
    bool with_effects, abandon, json;
};
int replay_run(struct cli_operator *asking, const struct replay_asked *asked);

#endif
