/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_DOOR_H
#define SYSTEM_FILE_DOOR_H

/*
 * What the gateway's clients may be, in the system file: the names by which the system is reached
 * (gateway.hosts), which other sites' pages may use it (gateway.cors), and for how long browsers
 * remember that it speaks TLS (gateway.hsts_s).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "system/file/yaml.h"

#define SYSTEM_DOOR_NAMES_MAX 64

struct system_door {
    const char *hosts[SYSTEM_DOOR_NAMES_MAX]; /* in lower case */
    size_t host_count;
    const char *origins[SYSTEM_DOOR_NAMES_MAX];
    size_t origin_count;
    bool credentials;
    int max_age_s;
    int hsts_s;
    bool hosts_given, hsts_given;
};

/* For gateway.c; `into` is a struct system_file. */
yaml_read file_read_hosts, file_read_cors, file_read_hsts;

/* As the gateway reads it (gateway/door.h). `listen`: ADDRESS:PORT, where it listens: the source of
 * the hosts if none are given. New reference. */
json_t *system_file_door(const struct system_door *door, const char *listen);
/* Adds a warning where clients beyond this machine can only come by number. */
void system_file_check_door(const struct system_door *door, const char *listen, struct place place,
                            struct findings *findings);

#endif
