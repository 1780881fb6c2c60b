/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SERVERS_BROKERS_H
#define SYSTEM_SERVERS_BROKERS_H

/*
 * The brokers that a system's events travel by (`bus` of the system file): which of its services
 * are who there. A publisher relays to its topic, and those that subscribe to its events read it;
 * nobody else is told where the broker is. On a private one each of them is a user of his own, for
 * each topic; on an existing one all are the user that the file names.
 */

#include "system/provision/provision.h"

/* Sets provision->buses. */
enum fh_code brokers_configure(struct provision *provision, json_t *kept, struct fh_error *error);
/* Adds "bus" and "buses" to a service's configuration (service/buses.h), with the certificates in
 * its folder, or lent to it. */
enum fh_code brokers_configure_service(struct provision *provision, struct provision_part *part,
                                       const char *service, json_t *config, struct fh_error *error);
/* Writes the configuration of a private broker's supervisor, and its certificate. */
enum fh_code brokers_supervise(struct provision *provision, const struct system_server *server,
                               struct provision_part *part, json_t *kept, struct fh_error *error);

/* The topic of a service's events, and of how many partitions it is there. */
#define BROKERS_TOPIC_SIZE 129
void brokers_topic(const struct system_file *file, const struct system_service *publisher,
                   const struct system_server *server, char ret[static BROKERS_TOPIC_SIZE],
                   unsigned *ret_partitions);
bool brokers_subscribes(const struct system_service *service, const char *publisher);
/* The names of those that do. New reference. */
json_t *brokers_subscribers(const struct system_file *file, const char *publisher);
/* The broker that a service's events go out by; NULL: none. It may publish nothing; and a private
 * broker has no readers but the system's services, so what none of them subscribes to stays with
 * the feed. All services have been described. */
const struct system_server *brokers_of_publisher(struct system_file *file,
                                                 const struct system_service *publisher);

#endif
