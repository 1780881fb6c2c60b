/* SPDX-License-Identifier: Apache-2.0 */
/* The notifier between processes of one service: who is notified by whom, and what those that die
 * leave. */

#define _GNU_SOURCE
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/notifier.h"
#include "store/store.h"

#define RINGERS 3
#define RINGS_MAX 100

struct ringer {
    struct store store;
    struct store_listener listener;
    int heard, wanted;
};

static struct harness harness;
static struct ringer ringers[RINGERS];
static char path[128];

static void on_heard(void *context)
{
    ((struct ringer *)context)->heard++;
}

static void ringer_init(struct ringer *ringer)
{
    static const struct engine engine = {.name = "none"};
    struct store_options options = {.service = "books", .model = FH_RELATIONAL};
    *ringer = (struct ringer){.listener = {.heard = on_heard, .context = ringer}};
    store_init(&ringer->store, &engine, &options, harness.world);
    store_listen(&ringer->store, &ringer->listener);
}

static int set_up(void **state)
{
    (void)state;
    harness_init(&harness);
    snprintf(path, sizeof path, "%s/" NOTIFIER_FILE, harness.folder);
    for (int i = 0; i < RINGERS; i++)
        ringer_init(&ringers[i]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < RINGERS; i++)
        store_notifier_close(&ringers[i].store);
    harness_release(&harness);
    return 0;
}

static void open_all(int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(store_notifier_open(&ringers[i].store, path, ERROR_UNHEEDED), FH_OK);
}

static bool has_heard(void *argument)
{
    struct ringer *ringer = argument;
    return ringer->heard >= ringer->wanted;
}

static void until_heard(struct ringer *ringer, int wanted)
{
    ringer->wanted = wanted;
    harness_until(&harness, has_heard, ringer);
}

static off_t size_of_file(void)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

/* What was written first is seen first, so that the second notification comes after one's own. */
static void a_notification_reaches_all_others_and_not_oneself(void **state)
{
    (void)state;
    open_all(3);
    store_notifier_notify(&ringers[0].store);
    until_heard(&ringers[1], 1);
    until_heard(&ringers[2], 1);
    store_notifier_notify(&ringers[1].store);
    until_heard(&ringers[0], 1);
    until_heard(&ringers[2], 2);
    assert_int_equal(ringers[0].heard, 1);
    assert_int_equal(ringers[1].heard, 1);
    assert_int_equal(ringers[2].heard, 2);
}

static void many_notifications_at_once_arrive_once(void **state)
{
    (void)state;
    open_all(3);
    for (int i = 0; i < RINGS_MAX; i++) {
        store_notifier_notify(&ringers[0].store);
        store_notifier_notify(&ringers[1].store);
    }
    until_heard(&ringers[0], 1);
    until_heard(&ringers[1], 1);
    until_heard(&ringers[2], 1);
    assert_int_equal(ringers[2].heard, 1);
}

/* In a process of its own: its place is known by the file's first count. */
static void ring_until_killed(int told)
{
    harness_init(&harness);
    ringer_init(&ringers[0]);
    if (store_notifier_open(&ringers[0].store, path, ERROR_UNHEEDED) != FH_OK)
        _exit(1);
    store_notifier_notify(&ringers[0].store);
    if (write(told, "r", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static void the_place_of_a_killed_process_is_reused_and_notifies(void **state)
{
    (void)state;
    int told[2];
    char byte;
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    if (pid == 0)
        ring_until_killed(told[1]);
    assert_int_equal(close(told[1]), 0);
    assert_int_equal(read(told[0], &byte, 1), 1);
    close(told[0]);
    assert_int_equal(store_notifier_open(&ringers[1].store, path, ERROR_UNHEEDED),
                     FH_OK); /* a place next to it */
    store_notifier_notify(&ringers[1].store);
    assert_int_equal(size_of_file(), 16);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(store_notifier_open(&ringers[0].store, path, ERROR_UNHEEDED), FH_OK);
    store_notifier_notify(&ringers[0].store);
    until_heard(&ringers[1], 1);
    assert_int_equal(size_of_file(), 16);
}

static void a_truncated_or_removed_file_does_no_harm(void **state)
{
    (void)state;
    open_all(2);
    store_notifier_notify(&ringers[0].store);
    until_heard(&ringers[1], 1);
    assert_int_equal(truncate(path, 0), 0);
    store_notifier_notify(&ringers[0].store);
    until_heard(&ringers[1], 2);
    assert_int_equal(truncate(path, 3), 0);
    store_notifier_notify(&ringers[1].store);
    until_heard(&ringers[0], 1);
    assert_int_equal(unlink(path), 0);
    store_notifier_notify(&ringers[0].store); /* those that have the file open are still notified */
    until_heard(&ringers[1], 3);
}

static void refused(const char *where, const char *why)
{
    struct fh_error error = {0};
    struct store *store = &ringers[2].store;
    assert_int_equal(store_notifier_open(store, where, &error), FH_UNAVAILABLE);
    assert_non_null(strstr(error.message, why));
    assert_null(store->notifier);
    store_notifier_notify(store);
}

static void a_process_without_a_notifier_gets_the_reason_and_goes_on(void **state)
{
    (void)state;
    char other[160];
    refused("/proc/no/such/place", "can't be opened");
    snprintf(other, sizeof other, "%s/link", harness.folder);
    assert_int_equal(symlink("/dev/null", other), 0);
    refused(other, "can't be opened");
    open_all(1);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct flock rest = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 8};
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &rest), 0);
    refused(path, "no place free");
    close(fd);
    assert_int_equal(store_notifier_open(&ringers[1].store, path, ERROR_UNHEEDED), FH_OK);
    store_notifier_notify(&ringers[1].store);
    until_heard(&ringers[0], 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        CASE(a_notification_reaches_all_others_and_not_oneself),
        CASE(many_notifications_at_once_arrive_once),
        CASE(the_place_of_a_killed_process_is_reused_and_notifies),
        CASE(a_truncated_or_removed_file_does_no_harm),
        CASE(a_process_without_a_notifier_gets_the_reason_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
