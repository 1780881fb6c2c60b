/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was replaced, or removed by a tombstone in its place, is found no more, and is still in the
 * files of the index until it merges the segment that it is in. Here it is told to: all segments
 * that have some of that, however little (index.merge.policy.expunge_deletes_allowed, which each
 * index is made with). It flushes first, since it keeps what its last commit has, and its log.
 *
 * Merging takes as long as it takes: the answer is not waited for longer than for others, and the
 * server goes on.
 */

#include <stdio.h>

#include "carrier/opensearch/internal.h"

static enum fh_code trim_call(struct opensearch *server, const char *index, const char *what,
                              struct fh_error *error)
{
    struct opensearch_call call = {.method = "POST"};
    snprintf(call.path, sizeof call.path, "/%s/%sfilter_path=error.type,_shards.failed", index,
             what);
    enum fh_code code = opensearch_ask(server, &call, error);
    opensearch_call_release(&call);
    return code;
}

enum fh_code opensearch_trim(struct carried_server *base, const struct fh_derived *declared,
                             const struct carried_name *generation, int64_t oldest_ms,
                             struct fh_error *error)
{
    struct opensearch *server = opensearch_of(base);
    char index[OPENSEARCH_INDEX_SIZE];
    (void)oldest_ms;
    opensearch_index(server, declared, generation, index);
    enum fh_code code = trim_call(server, index, "_flush?", error);
    if (code == FH_OK)
        code = trim_call(server, index, "_forcemerge?only_expunge_deletes=true&", error);
    if (code == FH_OUTCOME_UNKNOWN) /* it is merging */
        code = FH_OK;
    return code == FH_NOT_FOUND ? opensearch_confirm_gone(server, index, 0, error) : code;
}
