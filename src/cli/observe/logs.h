/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OBSERVE_LOGS_H
#define CLI_OBSERVE_LOGS_H

/*
 * What all processes of a system have logged, as one stream in the order of its times. A line that
 * begins with no time (what a sanitizer says, a server's second line) belongs to the one before it
 * in its file.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/log.h"

#define LOGS_SOURCES_MAX 512 /* files that are read side by side */
#define LOGS_TIME_SIZE 25    /* "2026-11-20T15:12:13.464Z" */
#define LOGS_NAME_SIZE 64

struct logs_line {
    char time[LOGS_TIME_SIZE]; /* "": none so far in this file */
    enum log_level level;
    const char *text; /* without time, level and name */
};

struct logs_source {
    char name[LOGS_NAME_SIZE]; /* "users", "orders/1" for its second process, "up" */
    FILE *old, *file;          /* log.1 until it is read, then log */
    char *buffer;
    size_t size;
    struct logs_line line;
    bool waiting; /* `line` was read and not yet taken */
};

struct logs {
    struct logs_source sources[LOGS_SOURCES_MAX];
    size_t count;
};

/* Of the state folder, whether it runs or not. */
void logs_open(struct logs *logs, int folder_fd);
void logs_release(struct logs *logs);
/* The next line of all; it lives until the next call. False: there is none now; lines that are
 * written later are found by calling again. */
bool logs_next(struct logs *logs, const struct logs_source **ret_source, struct logs_line *ret);
/* Is it a line of this service, process or server? */
bool logs_is_of(const struct logs_source *source, const char *name);
/* "error" ... "debug"; -1: no such level. */
int logs_level_of(const char *name);
const char *logs_level_name(enum log_level level);

#endif
