/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KAFKA_SETTINGS_H
#define TESTS_KAFKA_SETTINGS_H

/* Which settings of the client library a system file may give, and which would lose something. */

#include <string.h>

#include "broker_trial.h"

static inline void settings_that_lose_or_reorder_are_refused(struct trial *t)
{
    static const struct {
        const char *option, *value, *says; /* says NULL: it is taken */
    } tried[] = {
        {"acks", "1", "keep their order"},
        {"retries", "0", "keep their order"},
        {"enable.idempotence", "false", "keep their order"},
        {"max.in.flight.requests.per.connection", "50", "keep their order"},
        {"message.timeout.ms", "10", "keep their order"},
        {"group.id", "others", "keep their order"},
        {"plugin.library.paths", "/tmp/x.so", "compression.type"},
        {"sasl.username", "somebody", "compression.type"},
        {"compression.type", "best", "compression.type"},
        {"mechanism", "GSSAPI", "SCRAM-SHA-256"},
        {"host", "kafka:9092/x", "host"},
        {"compression.type", "lz4", NULL},
        {"linger.ms", "1", NULL},
        {"mechanism", "PLAIN", NULL},
    };
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
        json_t *options = json_deep_copy(t->options);
        struct broker *broker = NULL;
        json_object_set_new(options, tried[i].option, json_string(tried[i].value));
        enum fh_code code =
            t->driver->connect(t->harness.world, options, trial_soon(t), &broker, &t->error);
        json_decref(options);
        if (tried[i].says) {
            EXPECT(code == FH_INVALID && !broker && strstr(t->error.message, tried[i].says));
        } else {
            EXPECT(code == FH_OK);
            t->driver->close(broker);
        }
    }
    json_t *remote = json_pack("{s:s, s:s, s:s, s:s, s:{s:s}}", "host", "192.0.2.1", "user", "u",
                               "password", "not-told", "mechanism", "PLAIN", "tls", "mode", "off");
    struct broker *broker = NULL;
    enum fh_code code =
        t->driver->connect(t->harness.world, remote, trial_soon(t), &broker, &t->error);
    json_decref(remote);
    EXPECT(code == FH_INVALID && strstr(t->error.message, "PLAIN"));
    EXPECT(!strstr(t->error.message, "not-told"));
}

#endif
