/* SPDX-License-Identifier: Apache-2.0 */
/* Confinement, tried for real: each case in a process of its own, since it can't be undone. Where
 * the kernel has no Landlock the cases that need it are skipped, loudly. */

#include "../support/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/confine.h"

static char base[] = "/tmp/freehold-confine-XXXXXX";

static const char *at(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", base, name);
    return path;
}

static bool make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    bool made = fd >= 0 && write(fd, "kept", 4) == 4;
    if (fd >= 0)
        close(fd);
    return made;
}

/* 0, or the errno of opening it so. */
static int opening(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int number = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return number;
}

static int make_base(void **state)
{
    (void)state;
    return mkdtemp(base) && mkdir(at("own"), 0700) == 0 && mkdir(at("other"), 0700) == 0 &&
                   mkdir(at("migrations"), 0700) == 0 && make_file(at("own/store")) &&
                   make_file(at("other/store")) && make_file(at("migrations/0001.sql"))
               ? 0
               : -1;
}

static int remove_base(void **state)
{
    (void)state;
    static const char *const names[] = {"own/store", "own/new", "other/store",
                                        "migrations/0001.sql"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(at(names[i]));
    return rmdir(at("own")) | rmdir(at("other")) | rmdir(at("migrations")) | rmdir(base);
}

/* Runs `look` in a child; returns the line at which something was not as expected, or 0. */
static void assert_in_child(int (*look)(void))
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(look());
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("status %x: the expectation that ends with %d in its line did not hold",
                 (unsigned)status, WEXITSTATUS(status));
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__ % 250 + 1;                                                             \
    } while (0)

static void skip_without_landlock(void)
{
    struct confinement confinement;
    struct fh_error error;
    pid_t child = fork();
    if (child == 0)
        _exit(confine(&(struct reach){0}, &confinement, &error) == FH_OK && confinement.confined
                  ? 0
                  : 1);
    int status;
    waitpid(child, &status, 0);
    if (WEXITSTATUS(status)) {
        print_message("SKIPPED: THIS KERNEL HAS NO LANDLOCK, NOTHING ABOUT IT WAS TRIED\n");
        skip();
    }
}

static int look_around(void)
{
    struct confinement confinement;
    struct fh_error error;
    EXPECT(confine(&(struct reach){at("own"), at("migrations")}, &confinement, &error) == FH_OK);
    EXPECT(confinement.confined && confinement.abi > 0);
    EXPECT(opening(at("own/store"), O_RDWR) == 0);
    EXPECT(opening(at("own/new"), O_WRONLY | O_CREAT | O_TRUNC) == 0);
    EXPECT(rename(at("own/new"), at("own/newer")) == 0 && unlink(at("own/newer")) == 0);
    EXPECT(opening(at("own"), O_RDONLY | O_DIRECTORY) == 0);
    EXPECT(opening(at("migrations/0001.sql"), O_RDONLY) == 0);
    EXPECT(opening(at("migrations/0001.sql"), O_WRONLY) == EACCES);
    EXPECT(opening(at("other/store"), O_RDONLY) == EACCES);
    EXPECT(opening(at("other/store"), O_WRONLY) == EACCES);
    EXPECT(opening(at("other/new"), O_WRONLY | O_CREAT) == EACCES);
    EXPECT(opening(at("other"), O_RDONLY | O_DIRECTORY) == EACCES);
    EXPECT(unlink(at("other/store")) != 0 && errno == EACCES);
    EXPECT(rename(at("own/store"), at("other/taken")) != 0 && (errno == EACCES || errno == EXDEV));
    EXPECT(link(at("other/store"), at("own/taken")) != 0);
    EXPECT(opening("/etc/passwd", O_RDONLY) == EACCES);
    EXPECT(opening("/dev/urandom", O_RDONLY) == 0);
    if (confinement.abi >= 3)
        EXPECT(truncate(at("other/store"), 0) != 0 && errno == EACCES);
    if (confinement.abi >= 6)
        EXPECT(kill(getppid(), 0) != 0 && errno == EPERM);
    return 0;
}

static void a_confined_process_reaches_only_its_own_folder(void **state)
{
    (void)state;
    struct stat status;
    skip_without_landlock();
    assert_in_child(look_around);
    assert_int_equal(stat(at("other/store"), &status), 0);
    assert_int_equal(status.st_size, 4);
}

static void *open_other(void *argument)
{
    *(int *)argument = opening(at("other/store"), O_RDONLY);
    return NULL;
}

static int look_from_a_thread(void)
{
    struct confinement confinement;
    struct fh_error error;
    pthread_t thread;
    int number = 0;
    EXPECT(confine(&(struct reach){at("own")}, &confinement, &error) == FH_OK);
    EXPECT(pthread_create(&thread, NULL, open_other, &number) == 0);
    pthread_join(thread, NULL);
    EXPECT(number == EACCES);
    return 0;
}

static void a_thread_that_is_made_afterwards_is_confined_too(void **state)
{
    (void)state;
    skip_without_landlock();
    assert_in_child(look_from_a_thread);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *live(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return NULL;
}

static int confine_beside_a_thread(void)
{
    struct confinement confinement;
    struct fh_error error;
    pthread_t thread;
    pthread_mutex_lock(&gate);
    EXPECT(pthread_create(&thread, NULL, live, NULL) == 0);
    EXPECT(confine(&(struct reach){at("own")}, &confinement, &error) == FH_CONFLICT);
    EXPECT(strstr(error.message, "2 threads") && !confinement.confined);
    EXPECT(opening(at("other/store"), O_RDONLY) == 0);
    pthread_mutex_unlock(&gate);
    pthread_join(thread, NULL);
    return 0;
}

/* Schedule 17. */
static void a_thread_that_lived_before_the_confinement_is_noticed(void **state)
{
    (void)state;
    assert_in_child(confine_beside_a_thread);
}

static int confine_to_nothing(void)
{
    struct confinement confinement;
    struct fh_error error;
    EXPECT(confine(&(struct reach){at("nowhere")}, &confinement, &error) == FH_INVALID);
    EXPECT(strstr(error.message, "nowhere") && !confinement.confined);
    EXPECT(opening(at("other/store"), O_RDONLY) == 0);
    return 0;
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    skip_without_landlock();
    assert_in_child(confine_to_nothing);
}

static void older_kernels_leave_more_open_and_that_is_reported(void **state)
{
    (void)state;
    size_t before = SIZE_MAX;
    for (int abi = 0; abi < 8; abi++) {
        size_t count = 0;
        while (confine_gaps(abi)[count])
            count++;
        assert_true(count >= 2 && count <= before);
        before = count;
    }
    assert_non_null(strstr(confine_gaps(0)[0], "without Landlock"));
    assert_non_null(strstr(confine_gaps(2)[0], "truncated"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_confined_process_reaches_only_its_own_folder),
        cmocka_unit_test(a_thread_that_is_made_afterwards_is_confined_too),
        cmocka_unit_test(a_thread_that_lived_before_the_confinement_is_noticed),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
        cmocka_unit_test(older_kernels_leave_more_open_and_that_is_reported),
    };
    return cmocka_run_group_tests(tests, make_base, remove_base);
}
