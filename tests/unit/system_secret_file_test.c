/* SPDX-License-Identifier: Apache-2.0 */
/* Files with a secret: which are read, and that no message has a word of it. */

#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "system/file/secret_file.h"

static char folder[] = "/tmp/secret-file-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/key", mkdtemp(folder) ? folder : "");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void put(const char *text, size_t length, mode_t mode)
{
    unlink(path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void assert_secret_refused(const char *why)
{
    struct fh_error error = {0};
    char secret[64] = "";
    assert_int_equal(secret_file_read(path, secret, sizeof secret, &error), FH_INVALID);
    assert_non_null(strstr(error.message, why));
    assert_non_null(strstr(error.message, path));
    assert_null(strstr(error.message, "hush"));
}

static void one_line_is_the_secret(void **state)
{
    (void)state;
    static const char *const texts[] = {"hush-hush", "hush-hush\n", " \thush-hush \r\n\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct fh_error error = {0};
        char secret[64] = "";
        put(texts[i], strlen(texts[i]), 0600);
        assert_int_equal(secret_file_read(path, secret, sizeof secret, &error), FH_OK);
        assert_string_equal(secret, "hush-hush");
    }
}

static void what_others_can_use_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0644, 0604, 0602, 0601, 0620, 0610, 0660};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        put("hush-hush", 9, modes[i]);
        assert_secret_refused("Others can use the key");
    }
    if (geteuid() != 0)
        return;
    put("hush-hush", 9, 0600);
    assert_int_equal(chown(path, 12345, 12345), 0);
    assert_secret_refused("belongs to another user, 12345");
}

static void what_is_no_file_of_one_line_is_refused(void **state)
{
    (void)state;
    char large[5000];
    memset(large, 'h', sizeof large);
    unlink(path);
    assert_secret_refused("can't be read");
    assert_int_equal(mkfifo(path, 0600), 0); /* and nobody waits for whoever writes to it */
    assert_secret_refused("not a regular file");
    unlink(path);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_secret_refused("not a regular file");
    put("", 0, 0600);
    assert_secret_refused("on one line");
    put("\n \n", 3, 0600);
    assert_secret_refused("on one line");
    put("hush\nhush", 9, 0600);
    assert_secret_refused("on one line");
    put("hush\0hush", 9, 0600);
    assert_secret_refused("on one line");
    put("hush\xc3\xa4", 6, 0600);
    assert_secret_refused("on one line");
    put(large, 64, 0600); /* one more than fits */
    assert_secret_refused("at most 63");
    put(large, sizeof large, 0600);
    assert_secret_refused("can't be read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_is_the_secret),
        cmocka_unit_test(what_others_can_use_is_refused),
        cmocka_unit_test(what_is_no_file_of_one_line_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
