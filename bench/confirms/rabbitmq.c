/* SPDX-License-Identifier: Apache-2.0 */
/* Into quorum queues of its own behind an exchange, one a partition, as a subscriber's are. */

#include <sys/time.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>

#include "confirms.h"

#define CHANNEL 1
#define PENDING_MAX 8192
#define LOOK_EVERY 64
#define PERSISTENT 2
#define WAIT_S 60
#define AHEAD 4096 /* messages of a queue that the server delivers before they are acknowledged */

static amqp_connection_state_t connection, reader;

static void check(const char *what, amqp_rpc_reply_t reply)
{
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        confirms_fail(what, reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
                                ? amqp_error_string2(reply.library_error)
                                : "the server refused it");
}

static amqp_connection_state_t connect_to(const struct confirms *confirms)
{
    amqp_connection_state_t made = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(made);
    if (!socket || amqp_socket_open(socket, confirms->host, confirms->port))
        confirms_fail("the server", "it does not answer");
    check("the login", amqp_login(made, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, confirms->user,
                                  confirms->password));
    amqp_channel_open(made, CHANNEL);
    check("a channel", amqp_get_rpc_reply(made));
    return made;
}

static void queue_name(const struct confirms *confirms, unsigned partition,
                       char ret[static CONFIRMS_NAME_SIZE])
{
    snprintf(ret, CONFIRMS_NAME_SIZE, "%.128s.%u", confirms->topic, partition);
}

static void make_queues(const struct confirms *confirms)
{
    char name[CONFIRMS_NAME_SIZE], key[16];
    amqp_table_entry_t quorum = {
        .key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")}};
    amqp_table_t arguments = {1, &quorum};
    amqp_exchange_declare(connection, CHANNEL, amqp_cstring_bytes(confirms->topic),
                          amqp_cstring_bytes("direct"), 0, 1, 0, 0, amqp_empty_table);
    check("an exchange", amqp_get_rpc_reply(connection));
    for (unsigned i = 0; i < CONFIRMS_PARTITIONS; i++) {
        queue_name(confirms, i, name);
        snprintf(key, sizeof key, "%u", i);
        amqp_queue_declare(connection, CHANNEL, amqp_cstring_bytes(name), 0, 1, 0, 0, arguments);
        check("a queue", amqp_get_rpc_reply(connection));
        amqp_queue_bind(connection, CHANNEL, amqp_cstring_bytes(name),
                        amqp_cstring_bytes(confirms->topic), amqp_cstring_bytes(key),
                        amqp_empty_table);
        check("a binding", amqp_get_rpc_reply(connection));
    }
}

/* How many messages are not confirmed yet, of those up to `sent`: acknowledgements come in any
 * order, each for one message or for all up to it. */
static int pending(bool *confirmed, int sent, int *oldest, int missing, bool waits)
{
    amqp_frame_t frame;
    struct timeval now = {0, 0};
    do {
        amqp_maybe_release_buffers(connection);
        int status = amqp_simple_wait_frame_noblock(connection, &frame, waits ? NULL : &now);
        if (status == AMQP_STATUS_TIMEOUT)
            return missing;
        if (status != AMQP_STATUS_OK)
            confirms_fail("the connection", amqp_error_string2(status));
        if (frame.frame_type != AMQP_FRAME_METHOD ||
            frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
            confirms_fail("confirms", "the server says something else");
        const amqp_basic_ack_t *ack = frame.payload.method.decoded;
        int at = (int)ack->delivery_tag;
        for (int i = ack->multiple ? *oldest : at; i <= at && i <= sent; i++) {
            missing -= !confirmed[i];
            confirmed[i] = true;
        }
        while (*oldest <= sent && confirmed[*oldest])
            (*oldest)++;
    } while (!waits || missing > PENDING_MAX / 2);
    return missing;
}

static void publish(const struct confirms *confirms, int n)
{
    char key[16];
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = PERSISTENT};
    snprintf(key, sizeof key, "%u", confirms_partition(n));
    amqp_bytes_t body = {(size_t)confirms->size, confirms->message};
    int status = amqp_basic_publish(connection, CHANNEL, amqp_cstring_bytes(confirms->topic),
                                    amqp_cstring_bytes(key), 0, 0, &properties, body);
    if (status != AMQP_STATUS_OK)
        confirms_fail("a message", amqp_error_string2(status));
}

/* ---- through ---- */

static void *read_all(void *argument)
{
    struct confirms *confirms = argument;
    const struct timeval patience = {WAIT_S, 0};
    for (int i = 1; i <= confirms->count; i++) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(reader);
        check("a message", amqp_consume_message(reader, &envelope, &patience, 0));
        if (i % CONFIRMS_ACKNOWLEDGED_EVERY == 0 || i == confirms->count)
            amqp_basic_ack(reader, CHANNEL, envelope.delivery_tag, 1);
        amqp_destroy_envelope(&envelope);
    }
    confirms->read_s = confirms_now_s();
    amqp_destroy_connection(reader);
    return NULL;
}

static void read_through(struct confirms *confirms)
{
    char name[CONFIRMS_NAME_SIZE];
    if (!confirms->through)
        return;
    reader = connect_to(confirms);
    amqp_basic_qos(reader, CHANNEL, 0, AHEAD, 0);
    check("a consumer", amqp_get_rpc_reply(reader));
    for (unsigned i = 0; i < CONFIRMS_PARTITIONS; i++) {
        queue_name(confirms, i, name);
        amqp_basic_consume(reader, CHANNEL, amqp_cstring_bytes(name), amqp_empty_bytes, 0, 0, 0,
                           amqp_empty_table);
        check("a consumer", amqp_get_rpc_reply(reader));
    }
    confirms_read(confirms, read_all);
}

/* One after the other, each confirmed, as a consumer gets them that acknowledges. */
static void publish_lone(const struct confirms *confirms, bool *confirmed)
{
    char name[CONFIRMS_NAME_SIZE];
    int oldest = 1;
    queue_name(confirms, 0, name);
    reader = connect_to(confirms);
    amqp_basic_consume(reader, CHANNEL, amqp_cstring_bytes(name), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    check("a consumer", amqp_get_rpc_reply(reader));
    for (int i = 1; i <= confirms->count; i++) {
        amqp_envelope_t envelope;
        double began_s = confirms_now_s();
        publish(confirms, 0);
        check("a message", amqp_consume_message(reader, &envelope, NULL, 0));
        confirms->took_ms[i - 1] = (confirms_now_s() - began_s) * 1000;
        amqp_basic_ack(reader, CHANNEL, envelope.delivery_tag, 0);
        amqp_destroy_envelope(&envelope);
        amqp_maybe_release_buffers(reader);
        pending(confirmed, i, &oldest, 1, false);
    }
    amqp_destroy_connection(reader);
}

static void remove_queues(const struct confirms *confirms)
{
    char name[CONFIRMS_NAME_SIZE];
    for (unsigned i = 0; i < CONFIRMS_PARTITIONS; i++) {
        queue_name(confirms, i, name);
        amqp_queue_delete(connection, CHANNEL, amqp_cstring_bytes(name), 0, 0);
    }
    amqp_exchange_delete(connection, CHANNEL, amqp_cstring_bytes(confirms->topic), 0);
}

int main(int argc, char **argv)
{
    struct confirms confirms;
    int missing = 0, oldest = 1; /* messages are numbered from 1 */
    confirms_begin(&confirms, argc, argv, "FREEHOLD_TEST_RABBITMQ");
    bool *confirmed = calloc((size_t)confirms.count + 1, sizeof *confirmed);
    if (!confirmed)
        confirms_fail("memory", "there is none");
    connection = connect_to(&confirms);
    amqp_confirm_select(connection, CHANNEL);
    check("confirms", amqp_get_rpc_reply(connection));
    make_queues(&confirms);
    read_through(&confirms);
    double began_s = confirms_now_s();
    if (confirms.lone)
        publish_lone(&confirms, confirmed);
    for (int i = 1; i <= confirms.count && !confirms.lone; i++) {
        publish(&confirms, i);
        missing++;
        if (i % LOOK_EVERY == 0)
            missing = pending(confirmed, i, &oldest, missing, missing >= PENDING_MAX);
    }
    while (missing)
        missing = pending(confirmed, confirms.count, &oldest, missing, true);
    confirms_end(&confirms, began_s);
    remove_queues(&confirms);
    free(confirmed);
    amqp_destroy_connection(connection);
    return 0;
}
