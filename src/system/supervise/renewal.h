/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_RENEWAL_H
#define SYSTEM_SUPERVISE_RENEWAL_H

/*
 * What an upgrade of one service has to start again, and in which order: its program is asked what
 * it is now, and those whose callers have changed hear of it first.
 */

#include "system/provision/provision.h"

/* `up` does nothing else meanwhile, and its processes' beats are not heard. */
#define RENEWAL_DESCRIBE_MS_MAX 10000 /* a busy machine's; it is milliseconds else */

struct renewal {
    size_t parts[PROVISION_PARTS_MAX + 1]; /* by their numbers among the provision's */
    size_t count, at;                      /* 0: nothing is under way; the one that is */
    size_t service;                        /* whose program it is */
    json_t *before;            /* what its program said before, as long as this is under way, */
    struct program_held older; /* and the program itself */
};

/* What becomes of sagas that are not over, and whose definitions the new program has not. */
enum renewal_sagas {
    RENEWAL_ASK,     /* the running process whether there are any: then the program is refused */
    RENEWAL_NOBODY,  /* as that, but no process is ready to be asked */
    RENEWAL_PARK_ALL /* they are parked by the new program */
};
/* FH_INVALID or FH_CONFLICT, and all is as it was: the program as it is now can't be run in this
 * system, says why. Else keys and configurations are durable. */
enum fh_code renewal_begin(struct renewal *renewal, struct provision *provision, size_t service,
                           enum renewal_sagas sagas, struct fh_error *error);
/* The same of the gateway: it is started beside the one that runs, and need only get ready. */
enum fh_code renewal_begin_gateway(struct renewal *renewal, struct provision *provision,
                                   struct fh_error *error);
/* The next part, when this one's processes are new; false: that was the last. */
bool renewal_next(struct renewal *renewal);
/* It goes no further. True: the service has its older program again, and its processes are started
 * from that; false: there is none any more. */
bool renewal_take_back(struct renewal *renewal, struct provision *provision);
/* It is over, if any was under way: what was there before is let go. */
void renewal_end(struct renewal *renewal);

#endif
