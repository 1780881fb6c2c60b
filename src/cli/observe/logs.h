/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OBSERVE_LOGS_H
#define CLI_OBSERVE_LOGS_H

/*
 * The logs of all processes of a system, as one stream in time order. A line that does not start
 * with a time (a sanitizer's output, a server's second line) belongs to the line before it in its
 * file.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/log.h"

#define LOGS_SOURCES_MAX 512 /* files read side by side */
#define LOGS_TIME_SIZE 25    /* "2026-11-20T15:12:13.464Z" */
#define LOGS_NAME_SIZE 64
#define LOGS_ID_SIZE 64

struct logs_line {
    char time[LOGS_TIME_SIZE]; /* "": none so far in this file */
    enum log_level level;
    char id[LOGS_ID_SIZE]; /* base/log.h; "": another program's line, or an older version's */
    const char *text;      /* without time, level, name and id */
};

struct logs_source {
    char name[LOGS_NAME_SIZE]; /* "users", "orders/1" for its second process, "up" */
    FILE *old, *file;          /* log.1 until it is read, then log */
    char *buffer;
    size_t size;
    struct logs_line line;
    bool waiting; /* `line` has been read but not returned yet */
};

struct logs {
    struct logs_source sources[LOGS_SOURCES_MAX];
    size_t count;
};

/* Opens the logs in the state folder, whether the system is running or not. */
void logs_open(struct logs *logs, int folder_fd);
void logs_release(struct logs *logs);
/* The next line of all; valid until the next call. False: none for now; call again for lines
 * written later. */
bool logs_next(struct logs *logs, const struct logs_source **ret_source, struct logs_line *ret);
/* Whether it is the log of this service, process or server. */
bool logs_is_of(const struct logs_source *source, const char *name);
/* "error" ... "debug"; -1: there is no such level. */
int logs_level_of(const char *name);
const char *logs_level_name(enum log_level level);

/* The value of --since as such a time. An exit code, after reporting what is wrong with it. */
int logs_read_since(const char *given, char out[static LOGS_TIME_SIZE]);

#endif
