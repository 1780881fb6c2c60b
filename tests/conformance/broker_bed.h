/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BROKER_BED_H
#define TESTS_BROKER_BED_H

/*
 * How the suite of brokers (broker_conformance.c) gets at one broker's server: all that it may know
 * of a broker besides its driver. Each driver that is built in has a bed, broker_NAME.c next to
 * this file. Most servers are those of tools/servers, which starts a server again when it has
 * ended: the functions below do all for them, and find the server by what tools/servers says of it.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct broker_bed {
    const char *driver; /* its name */
    /* What `connect` takes, at a server that is there; new reference. NULL: none is, and *ret_why
     * says why not. */
    json_t *(*options)(const struct broker_bed *bed, char *ret_why, size_t size);
    /* Ends the server at once, as a crash does. It comes back by itself, with what it had stored.
     */
    void (*kill)(const json_t *options);
    /* Likewise, but when it comes back nothing is stored: neither topics nor messages. */
    void (*wipe)(const json_t *options);
    /* It does nothing, and all its connections stay open, until it may go on. */
    void (*pause)(const json_t *options, bool paused);
    /* Its server may deliver a message twice to one consumer although nothing has failed. */
    bool repeats;
};

/* From the build; the last one is NULL. */
extern const struct broker_bed *const broker_beds[];

/* For servers of tools/servers, which says of each, as JSON: what `connect` takes, its "pid_file",
 * and "data", the folder with all that it stores. */
json_t *bed_server_options(const struct broker_bed *bed, char *ret_why, size_t size);
void bed_server_kill(const json_t *options);
void bed_server_wipe(const json_t *options);
void bed_server_pause(const json_t *options, bool paused);

#endif
