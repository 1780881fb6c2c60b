/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_ADDRESS_H
#define SYSTEM_FILE_ADDRESS_H

/* Addresses to listen on: "127.0.0.1:8080", "[::1]:8080", "localhost:8080". Port 0 means any free
 * port. */

#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"

#define ADDRESS_TEXT_SIZE 64

/* On FH_INVALID the message says what was expected, and never repeats the text. */
enum fh_code address_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length,
                           struct fh_error *error);
/* Whether it stands for all addresses of the machine: 0.0.0.0, [::]. */
bool address_is_any(const struct sockaddr_storage *address);
/* Opens a socket that listens there (close-on-exec, non-blocking), and returns the address it is
 * really bound to as text. FH_CONFLICT: the port is taken. */
enum fh_code address_listen(const char *text, int *ret_fd,
                            char ret_address[static ADDRESS_TEXT_SIZE], struct fh_error *error);
/* Takes any free port of 127.0.0.1 for a process that will listen there itself: the socket only
 * holds it, so that nobody is given it by chance. Whoever listens needs SO_REUSEADDR. */
enum fh_code address_reserve(int *ret_fd, char ret_address[static ADDRESS_TEXT_SIZE],
                             struct fh_error *error);

#endif
