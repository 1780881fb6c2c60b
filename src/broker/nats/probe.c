/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a private server still serves its streams. One whose disk was full may go on answering
 * connections, and JetStream's requests in general, while a stream of it hangs for ever: its
 * publishers and subscribers wait for nothing, although there is room again (seen with nats-server
 * 2.9.10). Starting it anew is the remedy, and loses nothing that the publishers do not have.
 *
 * So we log in as a topic's publisher, who may ask about his stream, and ask. That there is none
 * yet is an answer. Only a server that lets us in once more after that is said to hang: one that is
 * busy, held up or away is not. (It would not answer a PING on the same connection, which waits for
 * what the request waits for.)
 */

#include "broker/nats/internal.h"

#include <stdio.h>

#include "base/json.h"
#include "store/server.h"

#define CONNECT_MS 1000
#define ANSWER_MS 1500

static natsStatus probe_connect(const struct nats_options *from, natsConnection **ret)
{
    natsOptions *options = NULL;
    natsStatus status = nats.natsOptions_Create(&options);
    if (status == NATS_OK)
        status = nats_set_address(options, from);
    if (status == NATS_OK)
        status = nats.natsOptions_SetTimeout(options, CONNECT_MS);
    if (status == NATS_OK)
        status = nats.natsOptions_SetMaxReconnect(options, 0);
    if (status == NATS_OK)
        status = nats.natsConnection_Connect(ret, options);
    nats.natsOptions_Destroy(options);
    return status;
}

/* False: it was answered, or could not be asked. */
static bool stream_is_silent(natsConnection *connection, const char *stream)
{
    char subject[2 * NATS_WORD_SIZE];
    natsMsg *answer = NULL;
    snprintf(subject, sizeof subject, "$JS.API.STREAM.INFO.%s", stream);
    natsStatus status =
        nats.natsConnection_RequestString(&answer, connection, subject, "", ANSWER_MS);
    nats.natsMsg_Destroy(answer);
    return status == NATS_TIMEOUT;
}

/* As the publisher, to where the administrator would go. */
static enum fh_code publisher_options(const json_t *as, const json_t *topic,
                                      struct nats_options *ret, struct fh_error *error)
{
    const json_t *publisher = json_object_get(topic, "publisher");
    json_t *options = json_copy((json_t *)(uintptr_t)as);
    if (!options)
        return error_set(error, FH_NO_MEMORY, "There is no memory to look at NATS.");
    json_object_set(options, "user", json_object_get(publisher, "user"));
    json_object_set(options, "password", json_object_get(publisher, "password"));
    enum fh_code code = nats_options_read(options, ret, error);
    json_decref(options);
    return code;
}

enum fh_code nats_probe(const json_t *as, const json_t *topics, unsigned turn,
                        struct fh_error *error)
{
    struct nats_options options;
    char stream[NATS_WORD_SIZE];
    natsConnection *connection = NULL;
    if (json_array_size(topics) == 0)
        return FH_OK;
    const json_t *topic = json_array_get(topics, turn % json_array_size(topics));
    const struct broker_topic known = {.name = server_text(topic, "topic")};
    enum fh_code code = nats_library_load(error);
    if (code == FH_OK)
        code = publisher_options(as, topic, &options, error);
    if (code)
        return code;
    nats_stream_name(&known, stream);
    if (probe_connect(&options, &connection) != NATS_OK)
        return error_set(error, FH_UNAVAILABLE, "NATS at %s:%d lets nobody in.", options.host,
                         options.port);
    bool silent = stream_is_silent(connection, stream);
    nats.natsConnection_Destroy(connection);
    connection = NULL;
    if (silent && probe_connect(&options, &connection) == NATS_OK)
        code =
            error_set(error, FH_CONFLICT, "NATS at %s:%d answers, but nothing about the stream %s.",
                      options.host, options.port, stream);
    nats.natsConnection_Destroy(connection);
    return code;
}
