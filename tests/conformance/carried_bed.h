/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CARRIED_BED_H
#define TESTS_CARRIED_BED_H

/* A server of derived stores for tests, and what they do to it besides what carrier/server.h has:
 * one in memory (tests/support/carried_server.h), and those that there are drivers for, as
 * tools/servers starts them. A new one is a file carried_bed_NAME.c, of the driver's name. */

#include "../support/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "carrier/server.h"

#define BED_TEXT_SIZE 8192

struct carried_bed {
    const char *name;
    unsigned models; /* 1u << enum fh_model: those it holds */
    unsigned keeps;  /* and those that it can be the only one to have */
    /* NULL: it is not there, and why; the test is to be skipped. */
    struct carried_server *(*open)(struct harness *harness, char ret_why[static 160]);
    void (*close)(struct carried_server *server);
    /* What was acknowledged is found from now on. On a fiber, as all of the following. */
    void (*settle)(struct carried_server *server, const struct fh_derived *declared,
                   const struct carried_name *generation);
    /* The hits of an answer to the empty search as "key=name key=name ". NULL: it holds no
     * FH_SEARCH. */
    void (*contents)(const json_t *answer, char ret[static BED_TEXT_SIZE]);
    /* A value of an FH_SEARCH that the server refuses; "secret" is in it. */
    json_t *(*bad)(void);
    /* How many values that were replaced are still in its files. NULL: it keeps none. */
    int64_t (*left)(struct carried_server *server, const struct fh_derived *declared,
                    const struct carried_name *generation);
    /* All that it has is gone. */
    void (*wipe)(struct carried_server *server, const struct fh_derived *declared);
    /* It dies while the page is under way, if that takes long enough; the result of `send`. */
    enum fh_code (*die_within)(struct carried_server *server, const struct fh_derived *declared,
                               const struct carried_name *generation, struct carried_page *page,
                               struct fh_error *error);
};

extern const struct carried_bed carried_bed_memory, carried_bed_opensearch, carried_bed_clickhouse;
extern const struct carried_bed *const carried_beds[]; /* that are built; the last one is NULL */

/* Of an OpenSearch that tools/servers has started: what opensearch_open takes, and "pid_file";
 * NULL: there is none. A new reference. */
json_t *bed_opensearch_options(char ret_why[static 160]);
/* The same of a ClickHouse. */
json_t *bed_clickhouse_options(char ret_why[static 160]);
/* `die_within`, so much after the page was begun. */
enum fh_code bed_clickhouse_die_after(struct carried_server *server,
                                      const struct fh_derived *declared,
                                      const struct carried_name *generation,
                                      struct carried_page *page, int delay_ms,
                                      struct fh_error *error);

#endif
