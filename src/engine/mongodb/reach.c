/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a server is, and as whom it is entered. The library would connect to Unix sockets itself,
 * but turns their paths into lower case, takes no long ones, and asks nobody who listens there: so
 * its streams to them are made here.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/mongodb/internal.h"
#include "store/server.h"
#include "store/tls.h"

#define URI_SIZE_MAX ((size_t)4096)
#define PORT_DEFAULT 27017
#define BUFFER_SIZE ((size_t)1024) /* of the library's own streams */
#define STAND_IN "%2Fmongodb.sock" /* in the library's messages; connect_stream knows the path */

static void add_encoded_option(struct text *out, const char *value)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:[]";
    for (; *value; value++) {
        if (strchr(plain, *value))
            text_append(out, value, 1);
        else
            text_printf(out, "%%%02X", (unsigned char)*value);
    }
}

static void add_option(struct text *out, const json_t *server, const char *path, const char *name)
{
    const char *value = json_string_at(server, path);
    if (!value)
        return;
    text_printf(out, "&%s=", name);
    add_encoded_option(out, value);
}

static enum fh_code add_tls(struct text *out, const json_t *server, struct fh_error *error)
{
    struct store_tls tls;
    enum fh_code code = store_tls_read(server, &tls, error);
    if (code != FH_OK || !tls.verify)
        return code;
    if (strcmp(tls.certificate, tls.key) != 0)
        return error_set(
            error, FH_INVALID,
            "MongoDB takes certificate and key in one file: name it as tls.certificate "
            "and as tls.key.");
    text_add(out, "&tls=true&tlsCAFile=");
    add_encoded_option(out, tls.ca);
    if (tls.certificate[0]) {
        text_add(out, "&tlsCertificateKeyFile=");
        add_encoded_option(out, tls.certificate);
    }
    return FH_OK;
}

static enum fh_code uri_text(const json_t *server, struct text *out, struct fh_error *error)
{
    const char *host = json_string_at(server, "host");
    json_int_t port = PORT_DEFAULT;
    json_integer_at(server, "port", &port);
    if (!host)
        return error_set(error, FH_INVALID, "The store's configuration names no host.");
    text_add(out, "mongodb://");
    if (*host == '/') {
        text_add(out, STAND_IN);
    } else {
        add_encoded_option(out, host);
        text_printf(out, ":%lld", (long long)port);
    }
    text_add(out, "/?w=majority&journal=true&readConcernLevel=majority&retryWrites=false"
                  "&retryReads=true&connectTimeoutMS=" MONGODB_CONNECT_MS
                  "&socketTimeoutMS=" MONGODB_SOCKET_MS "&appname=freehold");
    add_option(out, server, "replica_set", "replicaSet");
    enum fh_code code = add_tls(out, server, error);
    if (!code && out->overflow)
        code = error_set(error, FH_INVALID, "The store's configuration is too long for an URI.");
    return code;
}

static enum fh_code read_socket_path(struct mongodb_reach *reach, const json_t *server,
                                     struct fh_error *error)
{
    const char *host = json_string_at(server, "host");
    json_int_t port = PORT_DEFAULT;
    json_integer_at(server, "port", &port);
    reach->socket[0] = '\0';
    if (*host != '/')
        return FH_OK;
    if (snprintf(reach->socket, sizeof reach->socket, "%s/mongodb-%lld.sock", host,
                 (long long)port) >= (int)sizeof reach->socket)
        return error_set(error, FH_INVALID, "The path of the store's socket is too long.");
    return FH_OK;
}

static void set_uri_user(mongoc_uri_t *uri, const json_t *server)
{
    const char *user = json_string_at(server, "user");
    const char *password = json_string_at(server, "password");
    if (!user || !*user)
        return;
    mongoc.mongoc_uri_set_username(uri, user);
    if (password)
        mongoc.mongoc_uri_set_password(uri, password);
    const char *source = json_string_at(server, "auth_database");
    const char *database = json_string_at(server, "database");
    mongoc.mongoc_uri_set_auth_source(uri, source ? source : database ? database : "admin");
    /* By name, so that no server can choose another one: this proves the password and does not
     * tell it. */
    mongoc.mongoc_uri_set_auth_mechanism(uri, "SCRAM-SHA-256");
}

enum fh_code mongodb_reach_init(struct mongodb_reach *ret, const json_t *server,
                                struct fh_error *error)
{
    struct text text;
    bson_error_t why;
    *ret = (struct mongodb_reach){0};
    text_init(&text, URI_SIZE_MAX);
    enum fh_code code = uri_text(server, &text, error);
    if (!code)
        code = read_socket_path(ret, server, error);
    if (!code && !(ret->uri = mongoc.mongoc_uri_new_with_error(text.data, &why)))
        code = error_set(error, FH_INVALID, "The store can't be reached so: %.200s", why.message);
    text_release(&text);
    if (!code)
        set_uri_user(ret->uri, server);
    return code;
}

void mongodb_reach_release(struct mongodb_reach *reach)
{
    if (reach->uri)
        mongoc.mongoc_uri_destroy(reach->uri);
    reach->uri = NULL;
}

/* ---- Sockets ---- */

/* The library shows nobody its descriptors, so a connection of our own asks who listens. SCRAM
 * tells nothing to one who comes in between. */
static enum fh_code check_mongodb_listener(const char *path, const struct sockaddr_un *address,
                                           struct fh_error *error)
{
    const struct timeval most = {SERVER_CONNECT_S_MAX, 0};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "No socket can be made");
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    enum fh_code code =
        connect(fd, (const struct sockaddr *)address, sizeof *address) == 0
            ? store_socket_check_path(fd, path, error)
            : error_set_errno(error, FH_UNAVAILABLE, errno, "The store's socket does not answer");
    close(fd);
    return code;
}

static mongoc_stream_t *connect_stream(const struct sockaddr_un *address)
{
    mongoc_socket_t *socket = mongoc.mongoc_socket_new(AF_UNIX, SOCK_STREAM, 0);
    if (!socket)
        return NULL;
    int64_t expires_us = mongoc.bson_get_monotonic_time() + (int64_t)SERVER_CONNECT_S_MAX * 1000000;
    if (mongoc.mongoc_socket_connect(socket, (const struct sockaddr *)address, sizeof *address,
                                     expires_us) != 0) {
        mongoc.mongoc_socket_destroy(socket);
        return NULL;
    }
    return mongoc.mongoc_stream_buffered_new(mongoc.mongoc_stream_socket_new(socket), BUFFER_SIZE);
}

static mongoc_stream_t *stream_new(const mongoc_uri_t *uri, const mongoc_host_list_t *host,
                                   void *user_data, bson_error_t *ret_why)
{
    const struct mongodb_reach *reach = user_data;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct store_socket socket;
    struct fh_error error;
    mongoc_stream_t *stream = NULL;
    (void)uri;
    (void)host;
    enum fh_code code = store_socket_open_path(reach->socket, &socket, address.sun_path, &error);
    if (!code) {
        code = check_mongodb_listener(reach->socket, &address, &error);
        if (!code && !(stream = connect_stream(&address)))
            error_set(&error, FH_UNAVAILABLE, "The store's socket does not answer.");
        store_socket_close(&socket);
    }
    if (!stream) {
        *ret_why =
            (bson_error_t){.domain = MONGOC_ERROR_STREAM, .code = MONGOC_ERROR_STREAM_CONNECT};
        snprintf(ret_why->message, sizeof ret_why->message, "%s", error.message);
    }
    return stream;
}

mongoc_client_t *mongodb_client_new(struct mongodb_reach *reach)
{
    mongoc_client_t *client = mongoc.mongoc_client_new_from_uri(reach->uri);
    if (client && reach->socket[0])
        mongoc.mongoc_client_set_stream_initiator(client, stream_new, reach);
    return client;
}
