/* SPDX-License-Identifier: Apache-2.0 */
/* A store's read replicas in the system file: the servers that replicate its own. */

#include "store/replica.h"
#include "system/file/servers.h"

static void read_replica_host(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    const char *host = yaml_text(reader, node, what);
    if (host)
        json_object_set_new(into, "host", json_string(host));
}

static void read_replica_port(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    int port;
    if (yaml_integer(reader, node, what, 1, 65535, &port))
        json_object_set_new(into, "port", json_integer(port));
}

static void read_replica(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    static const struct yaml_key keys[] = {{"host", read_replica_host, true},
                                           {"port", read_replica_port, false}};
    json_t *replica = json_object();
    yaml_read_mapping(reader, node, what, keys, sizeof keys / sizeof *keys, replica);
    json_array_append_new(((struct system_store *)into)->replicas, replica);
}

void file_read_replicas(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_store *store = into;
    store->replicas = json_array();
    yaml_read_list(reader, node, what, REPLICAS_MAX, read_replica, store);
}
