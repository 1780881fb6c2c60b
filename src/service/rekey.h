/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_REKEY_H
#define SERVICE_REKEY_H

/* A service's process gets other keys while it runs (system/supervise/rotation.h has the other
 * side). */

#include "call/sign.h"
#include "http/client.h"
#include "service/runtime.h"

struct rekey {
    struct runtime *runtime;
    struct http_client *client; /* NULL: the process ends, and takes no keys any more */
    struct signing *signing;
    struct process *process; /* reports them */
    int answer_beats;        /* how many more beats answer the readers of the feed */
};

/* `keys` as in a configuration (docs/internals/processes.md). */
void rekey_take(struct rekey *rekey, const json_t *keys);
void rekey_beat(struct rekey *rekey); /* at each of the process's beats */

#endif
