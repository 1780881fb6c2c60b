/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_BUS_H
#define SYSTEM_FILE_BUS_H

/*
 * By which broker the events of publishers travel, in the system file: `bus`, of the whole system,
 * of a service, or of a profile. It names a broker under `servers`; or "feed": they stay with their
 * publisher's feed.
 */

#include "system/file/yaml.h"

#define SYSTEM_BUS_FEED "feed" /* no broker has this name */
#define SYSTEM_BUS_PERSONAL_MAX 64
#define SYSTEM_BUS_OUTSIDE_S_MAX (10 * 366 * 86400) /* as much as drivers take */

struct system_file;
struct system_server;
struct system_service;
struct server_kind;

struct system_bus {
    const char *server; /* NULL: not given */
    struct place place;
    /* The types whose personal fields may travel there: to all who read the topic, since a bus
     * carries events whole. */
    const char *personal[SYSTEM_BUS_PERSONAL_MAX];
    struct place personal_places[SYSTEM_BUS_PERSONAL_MAX];
    size_t personal_count;
    /* For how long the topic holds events for readers outside; 0: not at all. */
    int outside_kept_s;
    struct place outside_kept_place;
};

/* The reader of a `bus`; `into` is a struct system_bus. */
yaml_read file_read_bus;
/* The keys of a server that are a broker's; `into` is a struct system_server. */
yaml_read file_read_broker, file_read_token, file_read_token_file, file_read_password_file,
    file_read_partitions, file_read_options;

/* Once a server's keys are read. */
void file_check_broker(const struct system_server *server, struct findings *findings);
/* Once the whole file is read. */
void file_settle_buses(struct system_file *file, struct findings *findings);
/* Whether some service's events, or all, go by the server of this name, or a source is on it. */
bool file_bus_is_used(const struct system_file *file, const char *server);

/* The bus that a service's events go out by: its own, or the system's. */
const struct system_bus *system_file_bus(const struct system_file *file,
                                         const struct system_service *service);
/* Its broker; NULL: the feed. */
struct system_server *system_file_broker(struct system_file *file,
                                         const struct system_service *service);
/* How a private server of this kind is run; NULL: its engine or driver is not built in, or has no
 * private servers. */
const struct server_kind *system_server_kind(const struct system_server *server);
/* The same by the names in a supervisor's configuration: {"engine"}, {"broker"} or {"derived"}. */
const struct server_kind *system_kind_configured(const json_t *config);

#endif
