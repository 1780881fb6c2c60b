/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's copy of the file of API keys: as the file is, if that is one of keys; and tried
 * again until it is. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/provision/client_keys_copy.h"
#include "system/provision/provision.h"

#define NONE "{\"keys\": []}"
#define ONE                                                                                        \
    "{\"keys\": [{\"subject\": \"a\", \"hash\": "                                                  \
    "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}]}"
#define USER 2013265998U

static struct harness harness;
static struct client_keys_copy copy;
static struct provision_part part;
static char path[128];

static const char *in_folder(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *ret = paths[next++ % 4];
    snprintf(ret, sizeof paths[0], "%s/%s", harness.folder, name);
    return ret;
}

/* In one step. */
static void put_file(const char *name, const char *text)
{
    int fd = open(in_folder("new"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    assert_int_equal(rename(in_folder("new"), in_folder(name)), 0);
}

static void expect_copy(const char *text)
{
    char found[512] = "";
    struct stat status;
    int fd = open(in_folder("gateway/clients/keys.json"), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_uid, part.user ? part.user : geteuid());
    assert_true(read(fd, found, sizeof found - 1) >= 0);
    close(fd);
    assert_string_equal(found, text);
}

static enum fh_code look(bool *ret_looked)
{
    struct fh_error error = {0};
    enum fh_code code = client_keys_copy_look(&copy, ret_looked, &error);
    assert_true(code == FH_OK || strstr(error.message, "keys.json"));
    return code;
}

static int make_system(void **unused)
{
    (void)unused;
    harness_init(&harness);
    snprintf(path, sizeof path, "%s/keys.json", harness.folder);
    assert_int_equal(mkdir(in_folder("gateway"), 0700), 0);
    part = (struct provision_part){.folder = "gateway", .user = geteuid() == 0 ? USER : 0};
    part.folder_fd = open(in_folder("gateway"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(part.folder_fd >= 0);
    put_file("keys.json", NONE);
    copy = (struct client_keys_copy){0};
    return 0;
}

static int remove_system(void **unused)
{
    (void)unused;
    client_keys_copy_close(&copy);
    close(part.folder_fd);
    harness_release(&harness);
    return 0;
}

static void open_copy(void)
{
    struct fh_error error = {0};
    assert_int_equal(client_keys_copy_open(&copy, &part, path, &error), FH_OK);
    expect_copy(NONE);
}

static void the_copy_is_as_the_file_is(void **unused)
{
    bool looked;
    (void)unused;
    open_copy();
    assert_int_equal(look(&looked), FH_OK);
    assert_false(looked);
    put_file("keys.json", ONE);
    assert_int_equal(look(&looked), FH_OK);
    assert_true(looked);
    expect_copy(ONE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(look(&looked), FH_INVALID);
    expect_copy(ONE);
    put_file("keys.json", NONE);
    assert_int_equal(look(&looked), FH_OK);
    expect_copy(NONE);
}

static void nothing_else_than_keys_is_copied(void **unused)
{
    bool looked;
    static const char *const others[] = {"root:x:0:0\n", "", "[]", "{\"keys\": [{}]}", "{}"};
    (void)unused;
    open_copy();
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        put_file("other", others[i]);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("other", path), 0);
        assert_int_equal(look(&looked), FH_INVALID);
        expect_copy(NONE);
        assert_int_equal(look(&looked), FH_OK); /* nothing new */
        assert_false(looked);
        expect_copy(NONE);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(look(&looked), FH_INVALID); /* at once */
}

static void what_could_not_be_written_is_tried_again(void **unused)
{
    bool looked;
    (void)unused;
    open_copy();
    assert_int_equal(mkdir(in_folder("gateway/clients/keys.json.new"), 0700), 0);
    put_file("keys.json", ONE);
    assert_int_equal(look(&looked), FH_UNAVAILABLE);
    assert_int_equal(look(&looked), FH_UNAVAILABLE);
    expect_copy(NONE);
    assert_int_equal(rmdir(in_folder("gateway/clients/keys.json.new")), 0);
    assert_int_equal(look(&looked), FH_OK);
    expect_copy(ONE);
}

static void a_link_is_no_folder_for_it(void **unused)
{
    struct fh_error error = {0};
    struct stat status;
    (void)unused;
    assert_int_equal(mkdir(in_folder("elsewhere"), 0700), 0);
    assert_int_equal(symlink("../elsewhere", in_folder("gateway/clients")), 0);
    assert_int_equal(client_keys_copy_open(&copy, &part, path, &error), FH_UNAVAILABLE);
    assert_int_equal(stat(in_folder("elsewhere"), &status), 0);
    assert_int_equal(status.st_uid, geteuid());
    assert_int_equal(rmdir(in_folder("elsewhere")), 0); /* it is empty */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_copy_is_as_the_file_is, make_system, remove_system),
        cmocka_unit_test_setup_teardown(nothing_else_than_keys_is_copied, make_system,
                                        remove_system),
        cmocka_unit_test_setup_teardown(what_could_not_be_written_is_tried_again, make_system,
                                        remove_system),
        cmocka_unit_test_setup_teardown(a_link_is_no_folder_for_it, make_system, remove_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
