/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as the frames that RabbitMQ gets: as AMQP 0-9-1 has them, and all of them, however
 * little the socket takes at once. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/values.h"

#include "broker/rabbitmq/frames.h"
#include "broker/rabbitmq/internal.h"

#define LARGE ((size_t)1 << 20)
#define FRAME_MAX 4096

static void a_message_is_a_method_a_header_and_a_body(void **state)
{
    static const char wanted[] = "\1\0\1\0\0\0\x0c\0\x3c\0\x28\0\0\2ex\1"
                                 "7\0\xce"
                                 "\2\0\1\0\0\0\x16\0\x3c\0\0\0\0\0\0\0\0\0\3\x90\x80\3a/b\2\2id\xce"
                                 "\3\0\1\0\0\0\3xyz\xce";
    const struct rabbitmq_frames_message message = {.exchange = "ex",
                                                    .key = "7",
                                                    .content_type = "a/b",
                                                    .id = "id",
                                                    .data = "xyz",
                                                    .length = 3};
    struct text out;
    (void)state;
    text_init(&out, TEXT_LENGTH_MAX);
    rabbitmq_frames_add(&out, 1, FRAME_MAX, &message);
    assert_int_equal(out.length, sizeof wanted - 1);
    assert_memory_equal(out.data, wanted, out.length);
    text_release(&out);
}

static char *large_data(void)
{
    char *data = malloc(LARGE);
    assert_non_null(data);
    for (size_t i = 0; i < LARGE; i++)
        data[i] = (char)(i * 31 + i / 251);
    return data;
}

static void add_large(struct text *out, const char *data)
{
    const struct rabbitmq_frames_message message = {
        .exchange = "ex", .key = "7", .content_type = "a/b", .data = data, .length = LARGE};
    rabbitmq_frames_add(out, 1, FRAME_MAX, &message);
    assert_false(out->overflow);
}

/* The bytes of all bodies; each frame is whole, and none too large. */
static size_t bodies_of(const struct text *out, char *ret)
{
    size_t length = 0;
    for (size_t at = 0; at < out->length;) {
        const unsigned char *head = (const unsigned char *)out->data + at;
        size_t size =
            (size_t)head[3] << 24 | (size_t)head[4] << 16 | (size_t)head[5] << 8 | (size_t)head[6];
        assert_true(size + 8 <= FRAME_MAX);
        assert_true(at + size + 8 <= out->length);
        assert_int_equal(head[7 + size], 0xce);
        if (head[0] == 3) {
            memcpy(ret + length, head + 7, size);
            length += size;
        }
        at += size + 8;
    }
    return length;
}

static void a_large_message_has_several_bodies(void **state)
{
    struct text out;
    char *data = large_data(), *got = malloc(LARGE + FRAME_MAX);
    (void)state;
    assert_non_null(got);
    text_init(&out, TEXT_LENGTH_MAX);
    add_large(&out, data);
    assert_int_equal(bodies_of(&out, got), LARGE);
    assert_memory_equal(got, data, LARGE);
    text_release(&out);
    free(got);
    free(data);
}

/* ---- sending ---- */

struct reading {
    int fd;
    char *got;
    size_t length, most;
};

static void *read_little(void *argument)
{
    struct reading *reading = argument;
    ssize_t more;
    do {
        more =
            read(reading->fd, reading->got + reading->length,
                 reading->most - reading->length < 1013 ? reading->most - reading->length : 1013);
        reading->length += more > 0 ? (size_t)more : 0;
    } while (more > 0 && reading->length < reading->most);
    return NULL;
}

/* Whose first does not wait, and takes little at once. */
static void small_pair(int fds[static 2])
{
    int small = 4096;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
}

static void all_is_written_though_the_socket_takes_little_at_once(void **state)
{
    struct text out;
    pthread_t thread;
    int fds[2];
    char *data = large_data();
    (void)state;
    text_init(&out, TEXT_LENGTH_MAX);
    add_large(&out, data);
    small_pair(fds);
    struct reading reading = {.fd = fds[1], .got = malloc(out.length), .most = out.length};
    char *wanted = malloc(out.length);
    assert_non_null(reading.got);
    assert_non_null(wanted);
    memcpy(wanted, out.data, out.length);
    assert_int_equal(pthread_create(&thread, NULL, read_little, &reading), 0);
    assert_int_equal(rabbitmq_frames_send(fds[0], &out, rabbitmq_in_ms(60000)), 0);
    assert_int_equal(out.length, 0);
    close(fds[0]);
    pthread_join(thread, NULL);
    assert_int_equal(reading.length, reading.most);
    assert_memory_equal(reading.got, wanted, reading.most);
    close(fds[1]);
    free(reading.got);
    free(wanted);
    free(data);
    text_release(&out);
}

static void who_reads_nothing_or_is_gone_ends_it(void **state)
{
    struct text out;
    int fds[2];
    char *data = large_data();
    (void)state;
    text_init(&out, TEXT_LENGTH_MAX);
    add_large(&out, data);
    small_pair(fds);
    assert_int_equal(rabbitmq_frames_send(fds[0], &out, rabbitmq_in_ms(50)), ETIMEDOUT);
    add_large(&out, data);
    close(fds[1]);
    assert_int_equal(rabbitmq_frames_send(fds[0], &out, rabbitmq_in_ms(60000)), EPIPE);
    close(fds[0]);
    free(data);
    text_release(&out);
}

/* What is missing of a message would be taken from what follows. */
static void what_does_not_fit_is_not_sent(void **state)
{
    struct text out;
    int fds[2];
    char *data = large_data(), got;
    const struct rabbitmq_frames_message message = {
        .exchange = "ex", .key = "7", .content_type = "a/b", .data = data, .length = LARGE};
    (void)state;
    text_init(&out, LARGE / 2);
    rabbitmq_frames_add(&out, 1, FRAME_MAX, &message);
    small_pair(fds);
    assert_int_equal(rabbitmq_frames_send(fds[0], &out, rabbitmq_in_ms(60000)), ENOMEM);
    close(fds[0]);
    assert_int_equal(read(fds[1], &got, 1), 0);
    close(fds[1]);
    free(data);
    text_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_a_method_a_header_and_a_body),
        cmocka_unit_test(a_large_message_has_several_bodies),
        cmocka_unit_test(all_is_written_though_the_socket_takes_little_at_once),
        cmocka_unit_test(who_reads_nothing_or_is_gone_ends_it),
        cmocka_unit_test(what_does_not_fit_is_not_sent),
    };
    return cmocka_run_group_tests_name("rabbitmq_frames", tests, NULL, NULL);
}
