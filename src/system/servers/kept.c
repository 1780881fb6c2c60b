/* SPDX-License-Identifier: Apache-2.0 */
/*
 * servers.json is replaced and durable before anything is created with its values, so a crash
 * leaves no server or user whose password is lost.
 *
 * Ports are chosen below those that the kernel assigns to outgoing connections: a restarted server
 * must not find its own port taken.
 */

#define _GNU_SOURCE
#include "system/servers/kept.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include "system/servers/servers.h"

#define PORT_FIRST 15000
#define PORTS 15000
#define PORT_TRIES_MAX 200
#define SECRET_BYTES crypto_auth_KEYBYTES
#define SECRET_SIZE (2 * SECRET_BYTES + 1)

static void make_secret(char text[static SECRET_SIZE])
{
    unsigned char bytes[SECRET_BYTES];
    crypto_auth_keygen(bytes);
    sodium_bin2hex(text, SECRET_SIZE, bytes, sizeof bytes);
    sodium_memzero(bytes, sizeof bytes);
}

json_t *kept_secret(json_t *kept, const char *key)
{
    char text[SECRET_SIZE];
    json_t *secrets = json_object_get(kept, "passwords");
    json_t *secret = json_object_get(secrets, key);
    if (json_is_string(secret))
        return secret;
    make_secret(text);
    json_object_set_new(secrets, key, json_string(text));
    sodium_memzero(text, sizeof text);
    return json_object_get(secrets, key);
}

static bool is_free(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool free_one = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
    if (fd >= 0)
        close(fd);
    return free_one;
}

static bool is_taken(json_t *ports, int port)
{
    const char *key;
    json_t *taken;
    json_object_foreach (ports, key, taken) {
        if (json_integer_value(taken) == port)
            return true;
    }
    return false;
}

enum fh_code kept_port(json_t *kept, const char *key, int *ret, struct fh_error *error)
{
    json_t *ports = json_object_get(kept, "ports");
    unsigned char chance[SECRET_BYTES];
    *ret = (int)json_integer_value(json_object_get(ports, key));
    if (*ret && is_free(*ret))
        return FH_OK;
    for (int i = 0; i < PORT_TRIES_MAX; i++) {
        crypto_auth_keygen(chance);
        *ret = PORT_FIRST + (chance[0] << 8 | chance[1]) % PORTS;
        if (!is_taken(ports, *ret) && is_free(*ret)) {
            json_object_set_new(ports, key, json_integer(*ret));
            return FH_OK;
        }
    }
    return error_set(error, FH_UNAVAILABLE, "No free port was found for the server %s.", key);
}

enum fh_code kept_read(const struct state *state, json_t **ret, struct fh_error *error)
{
    enum fh_code code = state_read_json(state->folder_fd, SERVERS_FILE, ret, error);
    if (code == FH_NOT_FOUND) {
        *ret =
            json_pack("{s:i, s:{}, s:{}, s:{}}", "freehold", 1, "passwords", "ports", "provided");
        return FH_OK;
    }
    if (code == FH_OK && (!json_is_object(json_object_get(*ret, "passwords")) ||
                          !json_is_object(json_object_get(*ret, "ports")))) {
        json_decref(*ret);
        return error_set(error, FH_INVALID,
                         "%s/" SERVERS_FILE " is damaged: expected \"passwords\" and \"ports\".",
                         state->folder);
    }
    return code;
}

enum fh_code kept_write(const struct state *state, const json_t *kept, struct fh_error *error)
{
    return state_write_durable(state->folder_fd, SERVERS_FILE, kept, error);
}
