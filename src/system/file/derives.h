/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_DERIVES_H
#define SYSTEM_FILE_DERIVES_H

/*
 * Which of a service's derived stores lie on servers, in the system file: `derives` of a service,
 * or of one in a profile, which then replaces all of it. What is not named there lies in the
 * service's own store.
 */

#include "freehold.h"
#include "system/file/yaml.h"

#define SYSTEM_DERIVES_MAX (sizeof((fh_service *)NULL)->derives / sizeof(struct fh_derived))

struct system_file;
struct system_server;
struct system_service;

struct system_derives {
    const char *name;
    struct place place;
    const char *server; /* under `servers`; NULL: it has a finding */
    struct place server_place;
    bool kept; /* the server alone has its facts */
    struct place kept_place;
};

/* The reader of a service's `derives`; `into` is the struct system_service. */
yaml_read file_read_derives;
/* The key of a server that is one of derived stores; `into` is a struct system_server. */
yaml_read file_read_derived;

/* Once a server's keys are read. */
void file_check_derived(const struct system_server *server, struct findings *findings);
/* Once the whole file is read. */
void file_settle_derives(struct system_file *file, struct findings *findings);
/* Whether some derived store lies on the server of this name. */
bool file_derives_is_used(const struct system_file *file, const char *server);
/* Of a profile that is not chosen. */
void file_mention_derives(struct system_file *file, const struct system_service *service);

#endif
