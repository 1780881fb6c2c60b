/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A MariaDB server's side of a connection. The first byte says from where on the bytes are the
 * input's: '0' from its greeting, '1' from what follows the login, else from the answer to the
 * first statement. What becomes of it is an answer or an error with a sentence, and a message's
 * names fit where they go.
 */

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/mariadb/internal.h"
#include "fuzz.h"
#include "store/server.h"

#define PACKET_HEAD 4
#define ANSWER_BYTES_MAX 65536

extern const struct server_kind server_mariadb;

/* Protocol 10, a version, a salt, and a password that is proved. */
static const char greeting[] = "\x59\0\0\0"
                               "\x0a"
                               "5.5.5-10.11.6-MariaDB\0"
                               "\1\0\0\0"
                               "saltsalt\0"
                               "\x09\xa2"
                               "\x21"
                               "\2\0"
                               "\x08\0"
                               "\x15"
                               "\0\0\0\0\0\0\0\0\0\0"
                               "saltsaltsalt\0"
                               "mysql_native_password";
_Static_assert(sizeof greeting - PACKET_HEAD == 0x59, "its head says so");
static const char welcome[] = "\7\0\0\2\0\0\0\2\0\0"; /* and the NUL */

struct impostor {
    int listening, port;
    const uint8_t *data;
    size_t size;
    char from;
};

/* One packet of the client's; false: it has gone. */
static bool read_packet(int fd)
{
    unsigned char head[PACKET_HEAD], rest[4096];
    if (recv(fd, head, sizeof head, MSG_WAITALL) != PACKET_HEAD)
        return false;
    size_t left = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
    while (left > 0) {
        ssize_t got = recv(fd, rest, left < sizeof rest ? left : sizeof rest, 0);
        if (got <= 0)
            return false;
        left -= (size_t)got;
    }
    return true;
}

static void say(int fd, const void *bytes, size_t size)
{
    if (send(fd, bytes, size, MSG_NOSIGNAL) < 0)
        return; /* the client has heard enough */
}

static void *serve_one(void *argument)
{
    struct impostor *impostor = argument;
    unsigned char rest[4096];
    int fd = accept(impostor->listening, NULL, NULL);
    FH_ASSERT(fd >= 0);
    bool goes_on = true;
    if (impostor->from != '0') {
        say(fd, greeting, sizeof greeting);
        goes_on = read_packet(fd);
    }
    if (goes_on && impostor->from != '0' && impostor->from != '1') {
        say(fd, welcome, sizeof welcome);
        goes_on = read_packet(fd);
    }
    if (goes_on)
        say(fd, impostor->data, impostor->size);
    shutdown(fd, SHUT_WR);
    while (recv(fd, rest, sizeof rest, 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void impostor_listen(struct impostor *impostor)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    impostor->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FH_ASSERT(impostor->listening >= 0 &&
              bind(impostor->listening, (struct sockaddr *)&at, sizeof at) == 0 &&
              listen(impostor->listening, 8) == 0 &&
              getsockname(impostor->listening, (struct sockaddr *)&at, &length) == 0);
    impostor->port = ntohs(at.sin_port);
}

/* libmariadb makes room for as many columns as it is told of, before it reads the first: memory
 * that this process does not have. The first packets are of the login, and tell no such number. An
 * answer that begins with 0xfe tells it whatever its length; in the middle of one it is the end of
 * the columns, then of the rows. */
static bool tells_too_many_columns(const struct impostor *impostor)
{
    size_t login = impostor->from == '0' ? 2 : impostor->from == '1' ? 1 : 0, at = 0;
    int ends = 0; /* of the answer that has begun, still to come */
    for (size_t packet = 0; at + PACKET_HEAD < impostor->size; packet++) {
        const uint8_t *head = impostor->data + at;
        size_t length = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
        uint8_t first = head[PACKET_HEAD];
        at += PACKET_HEAD + length;
        if (packet < login)
            continue;
        if (first == 0xfd || (first == 0xfe && (ends == 0 || length >= 9)))
            return true;
        if (ends == 0)
            ends = first == 0 || first > 0xfa ? 0 : 2;
        else if (first > 0xfd)
            ends = first == 0xff ? 0 : ends - 1;
    }
    return false;
}

static void read_message(const char *message)
{
    char key[8] = "";
    mariadb_key_of(message, key, sizeof key);
    FH_ASSERT(strnlen(key, sizeof key) < sizeof key);
}

/* connection.c says when it is left: where a greeting has a number that none has. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:mariadb_before_greeting";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct impostor impostor;
    struct fh_error error = {0};
    struct server_room room;
    pthread_t thread;
    fuzz_start();
    if (!impostor.port)
        impostor_listen(&impostor);
    if (size == 0)
        return 0;
    impostor.from = (char)data[0];
    impostor.data = data + 1;
    impostor.size = size - 1 < ANSWER_BYTES_MAX ? size - 1 : ANSWER_BYTES_MAX;
    if (tells_too_many_columns(&impostor))
        return 0;
    const uint8_t *at = impostor.data;
    size_t left = impostor.size;
    char *message = fuzz_rest(&at, &left);
    read_message(message);
    free(message);
    json_t *as = json_pack("{s:s, s:i, s:s, s:s, s:s}", "host", "127.0.0.1", "port", impostor.port,
                           "user", "shop", "password", "secret", "database", "shop");
    FH_ASSERT(pthread_create(&thread, NULL, serve_one, &impostor) == 0);
    enum fh_code code = server_mariadb.room(as, &room, &error);
    FH_ASSERT(code == FH_OK || error.message[0]);
    pthread_join(thread, NULL);
    json_decref(as);
    return 0;
}
