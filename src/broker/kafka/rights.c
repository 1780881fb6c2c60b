/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what on a private Kafka, which keeps that in its own log. What is not listed is
 * refused:
 *
 *   the publisher    Create, DescribeConfigs and Write of the topic, which lets him see it
 *   a subscriber     Read of the topic, and of the groups that are his by their names: under those
 *                    the server keeps how far he is
 *
 * So nobody changes, empties or removes a topic, or takes another's place in it.
 *
 * At each start, before anybody is told that the server is ready, what is there is compared with
 * what should be: first what is too much is taken away, then what is missing is given. Killed
 * anywhere in between, the next start compares again. Until then the server has the rights of
 * before, and the users of now (server.c): whoever has none yet is refused, and tries again.
 *
 * Everything here blocks, for a few seconds at most: it is for the server's supervisor.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "broker/kafka/internal.h"
#include "store/server.h"

#define ENTER_LOOKS_MAX 20
#define ENTER_SLICE_MS 100
#define RIGHTS_MS_MAX 3000
#define RIGHTS_AT_ONCE 500
#define EVERYWHERE "*"

struct kafka_administration {
    struct kafka_options options;
    struct kafka_client *client;
};

/* ---- getting in ---- */

static bool kafka_listens(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool listens = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return listens;
}

/* The password goes to nobody but a server with a certificate of the system's authority. */
static enum fh_code begin_administration(const json_t *as, struct kafka_administration *ret,
                                         struct fh_error *error)
{
    json_t *options = json_copy((json_t *)(uintptr_t)as);
    json_object_set_new(options, "user", json_string(KAFKA_ADMINISTRATOR));
    json_object_set_new(options, "mechanism", json_string(KAFKA_MECHANISM));
    enum fh_code code = kafka_library_load(error);
    ret->client = NULL;
    if (!code)
        code = kafka_options_read(options, &ret->options, error);
    json_decref(options);
    if (code)
        return code;
    FH_ASSERT(ret->options.tls.verify);
    rd_kafka_conf_t *conf = kafka_conf_new(&ret->options, error);
    return conf ? kafka_client_new(NULL, RD_KAFKA_PRODUCER, conf, &ret->client, error)
                : error->code;
}

/* A server that is not ready yet names no node, itself included. */
static enum fh_code look_for_node(struct kafka_administration *by, struct fh_error *error)
{
    rd_kafka_t *handle = by->client->handle;
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
    for (int i = 0; i < ENTER_LOOKS_MAX && !atomic_load(&by->client->lost); i++) {
        const struct rd_kafka_metadata *found;
        err = kafka.rd_kafka_metadata(handle, 0, NULL, &found, ENTER_SLICE_MS);
        int nodes = err ? 0 : found->broker_cnt;
        if (!err)
            kafka.rd_kafka_metadata_destroy(found);
        if (nodes)
            return FH_OK;
        if (!err)
            err = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
        kafka.rd_kafka_poll(handle,
                            err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ? ENTER_SLICE_MS : 0);
    }
    return kafka_client_failed(by->client, &by->options, "does not answer", err, error);
}

enum fh_code kafka_enter(const json_t *as, struct fh_error *error)
{
    struct kafka_administration by;
    if (!kafka_listens(server_port(as, KAFKA_PORT)))
        return error_set(error, FH_UNAVAILABLE, "Kafka does not answer at 127.0.0.1:%d.",
                         server_port(as, KAFKA_PORT));
    enum fh_code code = begin_administration(as, &by, error);
    if (!code)
        code = look_for_node(&by, error);
    kafka_client_free(by.client);
    return code;
}

/* ---- what should be ---- */

/* A right's name is all that there is of it, so that one is found by what the server tells. */
static const char *right_name(struct arena *arena, rd_kafka_ResourceType_t type, const char *name,
                              rd_kafka_ResourcePatternType_t pattern, const char *principal,
                              const char *host, rd_kafka_AclOperation_t operation,
                              rd_kafka_AclPermissionType_t permission)
{
    return arena_printf(arena, "%d %s %d %s %s %d %d", (int)type, name, (int)pattern, principal,
                        host, (int)operation, (int)permission);
}

static void want_right(json_t *wanted, struct arena *arena, rd_kafka_ResourceType_t type,
                       const char *name, const char *user, rd_kafka_AclOperation_t operation)
{
    const char *principal = arena_printf(arena, "User:%s", user);
    json_object_set_new(wanted,
                        right_name(arena, type, name, RD_KAFKA_RESOURCE_PATTERN_LITERAL, principal,
                                   EVERYWHERE, operation, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW),
                        json_pack("{s:i, s:s, s:s, s:i}", "type", (int)type, "name", name,
                                  "principal", principal, "operation", (int)operation));
}

static void want_rights_of_topic(json_t *wanted, struct arena *arena, const json_t *topic)
{
    static const rd_kafka_AclOperation_t of_publisher[] = {RD_KAFKA_ACL_OPERATION_CREATE,
                                                           RD_KAFKA_ACL_OPERATION_WRITE,
                                                           RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS};
    const struct broker_topic known = {.name = server_text(topic, "topic")};
    const char *publisher = server_text(json_object_get(topic, "publisher"), "user");
    char name[KAFKA_WORD_SIZE], group[KAFKA_WORD_SIZE];
    size_t i, j;
    json_t *subscriber, *reading;
    kafka_topic_name(&known, name);
    for (i = 0; i < sizeof of_publisher / sizeof *of_publisher; i++)
        want_right(wanted, arena, RD_KAFKA_RESOURCE_TOPIC, name, publisher, of_publisher[i]);
    json_array_foreach (json_object_get(topic, "subscribers"), i, subscriber) {
        const char *user = server_text(subscriber, "user");
        want_right(wanted, arena, RD_KAFKA_RESOURCE_TOPIC, name, user, RD_KAFKA_ACL_OPERATION_READ);
        json_array_foreach (json_object_get(subscriber, "readings"), j, reading) {
            kafka_group_name(server_text(reading, "name"), group);
            want_right(wanted, arena, RD_KAFKA_RESOURCE_GROUP, group, user,
                       RD_KAFKA_ACL_OPERATION_READ);
        }
    }
}

/* ---- asking the server ---- */

/* As rd_kafka_CreateAcls and rd_kafka_DeleteAcls are. */
typedef void send_rights(rd_kafka_t *handle, rd_kafka_AclBinding_t **rights, size_t count,
                         const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue);

static void send_describe_rights(rd_kafka_t *handle, rd_kafka_AclBinding_t **rights, size_t count,
                                 const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    FH_ASSERT(count == 1);
    kafka.rd_kafka_DescribeAcls(handle, rights[0], options, queue);
}

/* *ret is to be destroyed. */
static enum fh_code ask_about_rights(const struct kafka_administration *by, send_rights *send,
                                     rd_kafka_AclBinding_t **rights, size_t count,
                                     rd_kafka_event_t **ret, struct fh_error *error)
{
    rd_kafka_t *handle = by->client->handle;
    char unused[160];
    rd_kafka_queue_t *queue = kafka.rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_t *options =
        kafka.rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_ANY);
    FH_ASSERT(options != NULL);
    kafka.rd_kafka_AdminOptions_set_request_timeout(options, RIGHTS_MS_MAX, unused, sizeof unused);
    send(handle, rights, count, options, queue);
    rd_kafka_event_t *event = kafka.rd_kafka_queue_poll(queue, 2 * RIGHTS_MS_MAX);
    rd_kafka_resp_err_t err =
        event ? kafka.rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    enum fh_code code =
        err ? kafka_failed(&by->options, "does not tell or change its users' rights", err,
                           event ? kafka.rd_kafka_event_error_string(event) : NULL, error)
            : FH_OK;
    kafka.rd_kafka_AdminOptions_destroy(options);
    kafka.rd_kafka_queue_destroy(queue);
    if (code && event)
        kafka.rd_kafka_event_destroy(event);
    else
        *ret = event;
    return code;
}

static rd_kafka_resp_err_t fault_of_given(rd_kafka_event_t *event)
{
    size_t count = 0;
    const rd_kafka_acl_result_t **results = kafka.rd_kafka_CreateAcls_result_acls(
        kafka.rd_kafka_event_CreateAcls_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *fault = kafka.rd_kafka_acl_result_error(results[i]);
        if (fault)
            return kafka.rd_kafka_error_code(fault);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t fault_of_taken(rd_kafka_event_t *event)
{
    size_t count = 0;
    const rd_kafka_DeleteAcls_result_response_t **results =
        kafka.rd_kafka_DeleteAcls_result_responses(kafka.rd_kafka_event_DeleteAcls_result(event),
                                                   &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *fault = kafka.rd_kafka_DeleteAcls_result_response_error(results[i]);
        if (fault)
            return kafka.rd_kafka_error_code(fault);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static enum fh_code change_rights(const struct kafka_administration *by, send_rights *send,
                                  rd_kafka_resp_err_t (*fault_of)(rd_kafka_event_t *),
                                  rd_kafka_AclBinding_t **rights, size_t count,
                                  struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < count && !code; i += RIGHTS_AT_ONCE) {
        size_t some = count - i < RIGHTS_AT_ONCE ? count - i : RIGHTS_AT_ONCE;
        rd_kafka_event_t *event;
        code = ask_about_rights(by, send, rights + i, some, &event, error);
        if (code)
            break;
        rd_kafka_resp_err_t err = fault_of(event);
        if (err)
            code = kafka_failed(&by->options, "can't change a user's right", err, NULL, error);
        kafka.rd_kafka_event_destroy(event);
    }
    return code;
}

/* ---- comparing ---- */

struct kafka_rights {
    rd_kafka_AclBinding_t **list;
    size_t count;
};

static void kafka_rights_init(struct kafka_rights *rights, size_t most)
{
    *rights = (struct kafka_rights){.list = calloc(most + 1, sizeof(rd_kafka_AclBinding_t *))};
    FH_ASSERT(rights->list != NULL);
}

static void kafka_rights_release(struct kafka_rights *rights)
{
    for (size_t i = 0; i < rights->count; i++)
        kafka.rd_kafka_AclBinding_destroy(rights->list[i]);
    free(rights->list);
}

/* Takes what is there out of `wanted`; *ret_surplus, to be released, is what is there besides. */
static enum fh_code compare_rights(const struct kafka_administration *by, json_t *wanted,
                                   struct arena *arena, struct kafka_rights *ret_surplus,
                                   struct fh_error *error)
{
    char unused[160];
    rd_kafka_event_t *event = NULL;
    size_t count = 0;
    rd_kafka_AclBindingFilter_t *all = kafka.rd_kafka_AclBindingFilter_new(
        RD_KAFKA_RESOURCE_ANY, NULL, RD_KAFKA_RESOURCE_PATTERN_ANY, NULL, NULL,
        RD_KAFKA_ACL_OPERATION_ANY, RD_KAFKA_ACL_PERMISSION_TYPE_ANY, unused, sizeof unused);
    FH_ASSERT(all != NULL);
    enum fh_code code = ask_about_rights(by, send_describe_rights, &all, 1, &event, error);
    const rd_kafka_AclBinding_t **found =
        code ? NULL
             : kafka.rd_kafka_DescribeAcls_result_acls(
                   kafka.rd_kafka_event_DescribeAcls_result(event), &count);
    kafka_rights_init(ret_surplus, count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_ResourceType_t type = kafka.rd_kafka_AclBinding_restype(found[i]);
        const char *name = kafka.rd_kafka_AclBinding_name(found[i]);
        rd_kafka_ResourcePatternType_t pattern =
            kafka.rd_kafka_AclBinding_resource_pattern_type(found[i]);
        const char *principal = kafka.rd_kafka_AclBinding_principal(found[i]);
        const char *host = kafka.rd_kafka_AclBinding_host(found[i]);
        rd_kafka_AclOperation_t operation = kafka.rd_kafka_AclBinding_operation(found[i]);
        rd_kafka_AclPermissionType_t permission =
            kafka.rd_kafka_AclBinding_permission_type(found[i]);
        if (json_object_del(wanted, right_name(arena, type, name, pattern, principal, host,
                                               operation, permission)) == 0)
            continue;
        ret_surplus->list[ret_surplus->count] = kafka.rd_kafka_AclBindingFilter_new(
            type, name, pattern, principal, host, operation, permission, unused, sizeof unused);
        FH_ASSERT(ret_surplus->list[ret_surplus->count] != NULL);
        ret_surplus->count++;
    }
    if (event)
        kafka.rd_kafka_event_destroy(event);
    kafka.rd_kafka_AclBinding_destroy(all);
    return code;
}

static void rights_of_wanted(const json_t *wanted, struct kafka_rights *ret)
{
    const char *key;
    json_t *right;
    char unused[160];
    kafka_rights_init(ret, json_object_size(wanted));
    json_object_foreach ((json_t *)(uintptr_t)wanted, key, right) {
        rd_kafka_AclBinding_t *binding = kafka.rd_kafka_AclBinding_new(
            (rd_kafka_ResourceType_t)json_integer_value(json_object_get(right, "type")),
            server_text(right, "name"), RD_KAFKA_RESOURCE_PATTERN_LITERAL,
            server_text(right, "principal"), EVERYWHERE,
            (rd_kafka_AclOperation_t)json_integer_value(json_object_get(right, "operation")),
            RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, unused, sizeof unused);
        FH_ASSERT(binding != NULL);
        ret->list[ret->count++] = binding;
    }
}

static enum fh_code settle_rights(const struct kafka_administration *by, json_t *wanted,
                                  struct arena *arena, struct fh_error *error)
{
    struct kafka_rights surplus, missing;
    enum fh_code code = compare_rights(by, wanted, arena, &surplus, error);
    rights_of_wanted(wanted, &missing);
    if (!code)
        code = change_rights(by, kafka.rd_kafka_DeleteAcls, fault_of_taken, surplus.list,
                             surplus.count, error);
    if (!code)
        code = change_rights(by, kafka.rd_kafka_CreateAcls, fault_of_given, missing.list,
                             missing.count, error);
    kafka_rights_release(&surplus);
    kafka_rights_release(&missing);
    return code;
}

enum fh_code kafka_settle(const json_t *as, const json_t *topics, struct fh_error *error)
{
    struct kafka_administration by;
    struct arena arena;
    json_t *wanted = json_object(), *topic;
    size_t i;
    arena_init(&arena, ARENA_SIZE_MAX);
    json_array_foreach ((json_t *)(uintptr_t)topics, i, topic)
        want_rights_of_topic(wanted, &arena, topic);
    enum fh_code code = begin_administration(as, &by, error);
    if (!code)
        code = look_for_node(&by, error);
    if (!code)
        code = settle_rights(&by, wanted, &arena, error);
    kafka_client_free(by.client);
    json_decref(wanted);
    arena_release(&arena);
    return code;
}
