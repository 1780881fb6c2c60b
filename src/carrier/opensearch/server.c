/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private OpenSearch: one node, in a process of Java, that we embed ourselves (Private.java). It
 * has no plugin for security; what it has instead is in that class, and is all there is:
 *
 *   its own port    by TLS, with a certificate by which its service knows it. Whoever does not show
 *                   the password of one of its users is answered 401 after the head of the request,
 *                   before there is anything of OpenSearch
 *   the transport's another port at each start, by which nodes would talk: by TLS, whose server
 *                   demands a certificate of clients, and trusts none
 *
 * Its users are the administrator and the one service that it serves. That one may do there
 * whatever OpenSearch lets it: there is nobody else whose it could be.
 *
 * Certificate, key and passwords are in the file that it reads when it starts, before it listens,
 * and that is removed once it answers. Its folder: data/node what OpenSearch keeps, data/tmp what a
 * killed one has left and the next start removes.
 */

#define _GNU_SOURCE
#include <signal.h>
#include <string.h>

#include "base/json.h"
#include "carrier/ask.h"
#include "carrier/opensearch/internal.h"
#include "store/java.h"
#include "store/server.h"

#define OPENSEARCH_LIBRARIES "opensearch/libs" /* in a folder of PATH */
#define OPENSEARCH_HEAP_MB 512
#define HTTP_UNAUTHORIZED 401
#define HTTP_OK 200

static const char *opensearch_programs(struct arena *arena)
{
    return server_java_programs(arena, OPENSEARCH_LIBRARIES);
}

/* Names have letters, digits, '-' and '_', passwords letters and digits. */
static void add_opensearch_user(struct text *text, const char *name, const char *password)
{
    text_printf(text, "user.%s=%s\n", name, password);
}

static enum fh_code opensearch_server_run(const struct server_own *own,
                                          struct server_command *command, struct fh_error *error)
{
    static const char *const options[] = {"-XX:MaxDirectMemorySize=256m", NULL};
    struct text text;
    size_t i;
    json_t *user;
    server_java_begin(own);
    text_init(&text, TEXT_LENGTH_MAX);
    text_printf(&text, "folder=%s\nport=%d\n", own->data, own->port);
    add_opensearch_user(&text, SERVER_SUPERUSER, own->password);
    json_array_foreach ((json_t *)(uintptr_t)own->stores, i, user)
        add_opensearch_user(&text, server_text(user, "user"), server_text(user, "password"));
    enum fh_code code = server_java_certificate(&text, "certificate", own->certificate, error);
    if (!code)
        code = server_java_key(&text, "key", own->key, error);
    code = server_java_secret(&text, own, code, error);
    server_java(own, OPENSEARCH_HEAP_MB, options, command);
    server_argument(command, "Private");
    server_argument(command, "%s/" SERVER_SECRET, own->folder);
    return code;
}

/* It answers before it knows what it has: a shard that is lost would keep it so for ever. */
static enum fh_code opensearch_enter(const json_t *as, struct fh_error *error)
{
    struct carried_ask ask = {.method = "GET",
                              .path = "/_cluster/health?filter_path=status&timeout=1s"};
    enum fh_code code = carried_ask(as, &ask, error);
    if (code)
        return code;
    if (ask.status == HTTP_UNAUTHORIZED)
        return error_set(error, FH_CONFLICT, "OpenSearch does not let %.64s in.",
                         server_text(as, "user"));
    return ask.status == HTTP_OK
               ? FH_OK
               : error_set(error, FH_UNAVAILABLE, "OpenSearch is not ready: it answers %ld.",
                           ask.status);
}

const struct server_kind opensearch_server = {
    .engine = "opensearch",
    .settings = "",
    .install = "make servers, with a JDK 17 and Maven (apt-get install default-jdk-headless maven)",
    .port = OPENSEARCH_PORT,
    .connects_nowhere = true,
    .stop_signal = SIGTERM,
    .death_signal = SIGKILL,
    .programs = opensearch_programs,
    .make = server_make_folder,
    .run = opensearch_server_run,
    .enter = opensearch_enter,
};
