/* SPDX-License-Identifier: Apache-2.0 */
/* Who listens on a socket, where the kernel can't tell users apart. Impostors whom it can tell:
 * tests/scenario/test_impostor.py. */

#include "../support/harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/socket.h"

#define NOBODY_KNOWN 65534 /* whoever has no number in a user namespace */

/* Connects to what that user listens on, in a folder with this mode that belongs to it. */
static enum fh_code judge_in(const char *folder, mode_t mode, struct fh_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    assert_int_equal(chmod(folder, mode), 0);
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(seteuid(NOBODY_KNOWN), 0);
    unlink(address.sun_path);
    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server, 1), 0);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    enum fh_code code = store_socket_check(client, folder, "socket", error);
    close(client);
    close(server);
    return code;
}

static void where_everyone_can_write_somebody_unknown_is_not_the_server(void **unused)
{
    (void)unused;
    struct harness harness;
    struct fh_error error;
    if (geteuid() != 0)
        SKIP_BECAUSE("only root can give a folder to somebody unknown");
    harness_init(&harness);
    assert_int_equal(chown(harness.folder, NOBODY_KNOWN, NOBODY_KNOWN), 0);
    assert_int_equal(judge_in(harness.folder, 0755, &error), FH_OK);
    assert_int_equal(judge_in(harness.folder, 01777, &error), FH_UNAVAILABLE);
    assert_non_null(strstr(error.message, "It was told nothing."));
    harness_release(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_everyone_can_write_somebody_unknown_is_not_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
