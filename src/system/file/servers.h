/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_SERVERS_H
#define SYSTEM_FILE_SERVERS_H

/* The readers of engines, stores and servers, only for file.c. */

#include "system/file/file.h"
#include "system/file/yaml.h"

void file_read_engine(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                      void *service);
void file_read_store(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                     void *service);
void file_read_servers(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *file);
/* Once the whole file is read. Also creates the private servers of services that name none. */
void file_settle_store(struct system_file *file, struct system_service *service,
                       struct findings *findings);
/* The engine of a service's store, which can serve it; NULL with a finding. */
const struct engine *file_settle_engine(struct system_file *file, struct system_service *service,
                                        struct findings *findings);
/* Whether freehold knows the engine, but was built without it. */
bool file_engine_is_lacking(const char *name);
/* Whether a name is in such a list, which ends with NULL: engines_lacking, brokers_lacking, ... */
bool file_is_lacking(const char *const *lacking, const char *name);
/* Whether a driver has an option. `options`: all of them, separated by spaces; NULL: none. */
bool file_has_option(const char *options, const char *name);
/* "a database server, postgresql": what a server is that was named for something else. */
const char *file_server_kind(struct arena *arena, const struct system_server *server);
void file_report_no_server(const struct system_file *file, const char *service, const char *server,
                           struct place place, struct findings *findings);
/* `derives` of the service. */
void file_report_no_derived(const struct system_file *file, const char *service,
                            const struct system_derives *derives, struct findings *findings);
void file_report_no_bus(const struct system_file *file, const char *whose, const char *server,
                        struct place place, struct findings *findings);
/* A profile that is not chosen: its words are checked, too. Of the servers that it names that has
 * to wait until the whole file is read. */
void file_mention_store(struct system_file *file, struct system_service *service,
                        struct findings *findings);
void file_mention_bus(struct system_file *file, const struct system_bus *bus);
void file_settle_mentioned(struct system_file *file, struct findings *findings);
/* Into a struct system_store whose list is empty: replicas.c. */
void file_read_replicas(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                        void *store);
void file_store_release(struct system_store *store);

#endif
