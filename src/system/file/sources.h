/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_SOURCES_H
#define SYSTEM_FILE_SOURCES_H

/*
 * Topics that others publish to, in the system file: `sources`. Services subscribe to one by its
 * name, as they would to a service (event/source/bus.h).
 */

#include "system/file/yaml.h"

#define SYSTEM_SOURCES_MAX 16

struct system_file;
struct system_server;

struct system_source {
    const char *name;
    struct place place;
    const char *server; /* a broker under `servers`; NULL: it has a finding */
    struct place server_place;
    const char *topic;
    int partitions, generation;
    const char *type;  /* NULL: its messages are CloudEvents */
    const char *key;   /* a JSON pointer, or NULL */
    const char *empty; /* or NULL */
    bool from_end;
};

/* `into` is the struct system_file. */
yaml_read file_read_sources;
/* Once the whole file is read. */
void file_settle_sources(struct system_file *file, struct findings *findings);
struct system_source *system_file_source(struct system_file *file, const char *name);
/* The broker that it is on; NULL: none that can be used. */
struct system_server *system_source_server(struct system_file *file,
                                           const struct system_source *source);

#endif
