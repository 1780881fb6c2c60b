/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RABBITMQ_LIBRARY_H
#define BROKER_RABBITMQ_LIBRARY_H

/*
 * librabbitmq, loaded only when RabbitMQ is chosen: a process without it pays nothing. One list
 * names the functions used; the table of pointers is built from it, with the types in the library's
 * own header. Don't name functions newer than librabbitmq 0.11.
 */

#include <stdbool.h>
#include <sys/time.h>

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>

#include "base/error.h"

#define RABBITMQ_FUNCTIONS(X)                                                                      \
    X(amqp_basic_ack)                                                                              \
    X(amqp_basic_consume)                                                                          \
    X(amqp_basic_get)                                                                              \
    X(amqp_basic_publish)                                                                          \
    X(amqp_basic_qos)                                                                              \
    X(amqp_channel_open)                                                                           \
    X(amqp_confirm_select)                                                                         \
    X(amqp_connection_close)                                                                       \
    X(amqp_destroy_connection)                                                                     \
    X(amqp_error_string2)                                                                          \
    X(amqp_exchange_declare)                                                                       \
    X(amqp_get_frame_max)                                                                          \
    X(amqp_get_rpc_reply)                                                                          \
    X(amqp_get_server_properties)                                                                  \
    X(amqp_get_sockfd)                                                                             \
    X(amqp_login_with_properties)                                                                  \
    X(amqp_maybe_release_buffers)                                                                  \
    X(amqp_new_connection)                                                                         \
    X(amqp_queue_bind)                                                                             \
    X(amqp_queue_declare)                                                                          \
    X(amqp_queue_delete)                                                                           \
    X(amqp_send_frame)                                                                             \
    X(amqp_send_method)                                                                            \
    X(amqp_set_handshake_timeout)                                                                  \
    X(amqp_set_rpc_timeout)                                                                        \
    X(amqp_simple_wait_frame_noblock)                                                              \
    X(amqp_socket_open_noblock)                                                                    \
    X(amqp_ssl_socket_new)                                                                         \
    X(amqp_ssl_socket_set_cacert)                                                                  \
    X(amqp_ssl_socket_set_key)                                                                     \
    X(amqp_ssl_socket_set_ssl_versions)                                                            \
    X(amqp_ssl_socket_set_verify_hostname)                                                         \
    X(amqp_ssl_socket_set_verify_peer)                                                             \
    X(amqp_tcp_socket_new)

struct rabbitmq_library {
#define RABBITMQ_POINTER(name) __typeof__(name) *name;
    RABBITMQ_FUNCTIONS(RABBITMQ_POINTER)
#undef RABBITMQ_POINTER
};
extern struct rabbitmq_library rabbitmq;

/* FH_UNSUPPORTED: it is not installed, or too old. */
enum fh_code rabbitmq_library_load(struct fh_error *error);

#endif
