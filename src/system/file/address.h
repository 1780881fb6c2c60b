/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_ADDRESS_H
#define SYSTEM_FILE_ADDRESS_H

/* Addresses to listen at: "127.0.0.1:8080", "[::1]:8080", "localhost:8080"; port 0 is any free one.
 */

#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"

#define ADDRESS_TEXT_SIZE 64

/* FH_INVALID says what was expected; the message never repeats the text. */
enum fh_code address_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length,
                           struct fh_error *error);
/* A socket that listens there (close on exec, not blocking), and where it really listens as text.
 * A port that is taken: FH_CONFLICT. */
enum fh_code address_listen(const char *text, int *ret_fd,
                            char ret_address[static ADDRESS_TEXT_SIZE], struct fh_error *error);

#endif
