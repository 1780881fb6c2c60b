/* SPDX-License-Identifier: Apache-2.0 */
/* The command asks all processes of a service at once: one that is silent holds up none of the
 * others, and what became of its request is said. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/audit.h"
#include "cli/cli.h"

#define INSTANCES 3
#define FAR_MS 60000
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

/* ---- what the command's other files do ---- */

static int recorded;

int cli_fail(int code, const char *format, ...)
{
    (void)format;
    return code;
}

int cli_audit_begin(struct cli_act *act, const struct state *state, const char *what,
                    const char *service, json_t *with)
{
    (void)act, (void)state, (void)service;
    assert_string_equal(what, "events replay");
    json_decref(with);
    recorded++;
    return CLI_DONE;
}

int cli_audit_end(struct cli_act *act, int code, const char *why)
{
    (void)act, (void)why;
    return code;
}

/* ---- instances, each with an address of its own ---- */

struct instances {
    int listening[INSTANCES];
    char addresses[INSTANCES][32];
    pthread_t thread;
};

static void open_instances(struct instances *instances)
{
    for (int i = 0; i < INSTANCES; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof address;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
        assert_int_equal(listen(fd, 4), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
        snprintf(instances->addresses[i], sizeof instances->addresses[i], "127.0.0.1:%d",
                 ntohs(address.sin_port));
        instances->listening[i] = fd;
    }
}

/* Returns the connection once the whole head has come. -1: it has not. */
static int take_request(int listening)
{
    char head[8192];
    size_t length = 0;
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    while (fd >= 0 && length < sizeof head - 1) {
        ssize_t got = read(fd, head + length, sizeof head - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
        head[length] = '\0';
        if (strstr(head, "\r\n\r\n"))
            return fd;
    }
    return -1;
}

/* The first is silent until the last was asked, and has gone; the second one answers only then. */
static void *serve_instances(void *argument)
{
    struct instances *instances = argument;
    int taken[INSTANCES];
    for (int i = 0; i < INSTANCES; i++)
        taken[i] = take_request(instances->listening[i]);
    close(instances->listening[0]);
    close(taken[0]);
    for (int i = INSTANCES - 1; i > 0; i--) {
        size_t length = strlen(ANSWER);
        if (write(taken[i], ANSWER, length) != (ssize_t)length)
            abort();
    }
    for (int i = 1; i < INSTANCES; i++) {
        char rest;
        while (read(taken[i], &rest, 1) > 0) /* until the command has gone */
            ;
        close(taken[i]);
        close(instances->listening[i]);
    }
    return NULL;
}

/* ---- the test ---- */

static void a_silent_instance_holds_up_none_of_the_others(void **state)
{
    struct state folder = {.folder_fd = -1, .lock_fd = -1};
    struct instances instances;
    struct cli_ask asks[INSTANCES] = {0};
    (void)state;
    snprintf(folder.folder, sizeof folder.folder, "/tmp/freehold-ask-XXXXXX");
    assert_non_null(mkdtemp(folder.folder));
    folder.folder_fd = open(folder.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    open_instances(&instances);
    for (int i = 0; i < INSTANCES; i++)
        asks[i] = (struct cli_ask){.service = "books",
                                   .address = instances.addresses[i],
                                   .method = "POST",
                                   .path = "/_freehold/events/replay",
                                   .body = "{}"};
    assert_int_equal(pthread_create(&instances.thread, NULL, serve_instances, &instances), 0);
    cli_ask_all(&folder, asks, INSTANCES, FAR_MS);
    assert_int_equal(pthread_join(instances.thread, NULL), 0);
    assert_int_equal(recorded, INSTANCES);
    assert_int_equal(asks[0].status, 0);
    assert_non_null(asks[0].answer);
    assert_true(asks[0].answer[0] != '\0');
    for (int i = 1; i < INSTANCES; i++) {
        assert_int_equal(asks[i].status, 200);
        assert_string_equal(asks[i].answer, "{}");
    }
    for (int i = 0; i < INSTANCES; i++)
        free(asks[i].answer);
    close(folder.folder_fd);
    assert_int_equal(rmdir(folder.folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_instance_holds_up_none_of_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
