/* SPDX-License-Identifier: Apache-2.0 */
/* The state folder: its lock, its files, and what a killed `up` leaves behind. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "system/file/address.h"
#include "system/file/nearest.h"
#include "system/provision/instance.h"
#include "system/provision/keys.h"
#include "system/provision/state.h"
#include "system/supervise/being.h"
#include "system/supervise/child.h"

static struct harness harness;
static char folder[128];
static char synced[2048]; /* the last parts of the paths of what was synced, in their order */

/* In the library's place. */
int fsync(int fd)
{
    char link[64], path[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    const char *slash = strrchr(path, '/');
    size_t used = strlen(synced);
    snprintf(synced + used, sizeof synced - used, "%s ", slash ? slash + 1 : path);
    return (int)syscall(SYS_fsync, fd);
}

static int set_up(void **unused)
{
    (void)unused;
    harness_init(&harness);
    snprintf(folder, sizeof folder, "%s/a/b", harness.folder);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    harness_release(&harness);
    return 0;
}

static void one_up_holds_the_lock_and_others_learn_its_pid(void **unused)
{
    (void)unused;
    struct state mine, other;
    pid_t holder;
    assert_int_equal(state_create(&mine, folder, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(state_lock(&mine, &holder, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(state_create(&other, folder, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(state_lock(&other, &holder, ERROR_UNHEEDED), FH_CONFLICT);
    assert_int_equal(holder, getpid());
    state_unlock(&mine);
    assert_int_equal(state_lock(&other, &holder, ERROR_UNHEEDED), FH_OK);
    state_close(&mine);
    state_close(&other);
}

static void folders_that_are_made_are_on_the_disk_in_those_above_them(void **unused)
{
    (void)unused;
    struct state state;
    synced[0] = '\0';
    assert_int_equal(state_create(&state, folder, ERROR_UNHEEDED), FH_OK);
    char expected[160];
    snprintf(expected, sizeof expected, "%s a ", strrchr(harness.folder, '/') + 1);
    const char *said = strstr(synced, expected); /* above it are those of the machine */
    assert_non_null(said);
    assert_string_equal(said, expected);
    state_close(&state);
    synced[0] = '\0'; /* the one that made it may have ended before it synced */
    assert_int_equal(state_create(&state, folder, ERROR_UNHEEDED), FH_OK);
    assert_non_null(strstr(synced, expected));
    state_close(&state);
}

static void the_folder_is_created_private_and_never_taken_from_others(void **unused)
{
    (void)unused;
    struct state state;
    struct stat status;
    char file[160];
    assert_int_equal(state_create(&state, folder, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(fstat(state.folder_fd, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    state_close(&state);
    snprintf(file, sizeof file, "%s/letter", folder);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(state_create(&state, folder, ERROR_UNHEEDED), FH_INVALID);
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0755);
}

static void a_json_file_is_private_and_replaced_as_a_whole(void **unused)
{
    (void)unused;
    struct state state;
    struct stat status;
    json_t *value = json_pack("{s:i}", "a", 1), *back;
    assert_int_equal(state_create(&state, folder, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(state_read_json(state.folder_fd, "x.json", &back, ERROR_UNHEEDED),
                     FH_NOT_FOUND);
    assert_int_equal(state_write_json(state.folder_fd, "x.json", value, ERROR_UNHEEDED), FH_OK);
    int before = openat(state.folder_fd, "x.json", O_RDONLY);
    json_object_set_new(value, "a", json_integer(2));
    assert_int_equal(state_write_json(state.folder_fd, "x.json", value, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(state_read_json(state.folder_fd, "x.json", &back, ERROR_UNHEEDED), FH_OK);
    assert_true(json_equal(value, back));
    char old[16] = "";
    assert_int_equal(read(before, old, sizeof old), 8);
    assert_string_equal(old, "{\"a\":1}\n");
    assert_int_equal(fstatat(state.folder_fd, "x.json", &status, 0), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    close(before);
    json_decref(value);
    json_decref(back);
    state_close(&state);
}

static void a_file_is_on_the_disk_before_it_gets_its_name(void **unused)
{
    (void)unused;
    struct state state;
    json_t *value = json_pack("{s:i}", "a", 1);
    assert_int_equal(state_create(&state, folder, ERROR_UNHEEDED), FH_OK);
    synced[0] = '\0';
    assert_int_equal(state_write_json(state.folder_fd, "x.json", value, ERROR_UNHEEDED), FH_OK);
    assert_string_equal(synced, "x.json.new ");
    synced[0] = '\0';
    assert_int_equal(state_write_durable(state.folder_fd, "x.json", value, ERROR_UNHEEDED), FH_OK);
    assert_string_equal(synced, "x.json.new b ");
    json_decref(value);
    state_close(&state);
}

static void keys_are_durable_before_anyone_gets_them(void **unused)
{
    (void)unused;
    struct state state;
    struct system_file *file = calloc(1, sizeof *file);
    json_t *keys;
    assert_int_equal(state_create(&state, folder, ERROR_UNHEEDED), FH_OK);
    synced[0] = '\0';
    assert_int_equal(keys_make(&state, file, true, 1, &keys, ERROR_UNHEEDED), FH_OK);
    assert_string_equal(synced, KEYS_FILE ".new b ");
    json_decref(keys);
    free(file);
    state_close(&state);
}

/* As an earlier version may have left it when the power failed. */
static void damaged_keys_are_reported_with_what_to_do(void **unused)
{
    (void)unused;
    struct state state;
    struct fh_error error;
    json_t *keys;
    assert_int_equal(state_create(&state, folder, ERROR_UNHEEDED), FH_OK);
    int fd = openat(state.folder_fd, KEYS_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(keys_read(&state, &keys, &error), FH_INVALID);
    assert_non_null(strstr(error.message, KEYS_FILE " is damaged"));
    assert_non_null(strstr(error.message, "Remove it"));
    state_close(&state);
}

/* A service owns its folder, and may make a FIFO there where Landlock is missing. */
static void nobody_waits_for_a_fifo_in_a_services_folder(void **unused)
{
    (void)unused;
    struct state state;
    struct provision_part part = {.folder = folder};
    struct child child = {.part = &part, .world = harness.world};
    json_t *value;
    assert_int_equal(state_create(&state, folder, ERROR_UNHEEDED), FH_OK);
    part.folder_fd = state.folder_fd;
    assert_int_equal(mkfifoat(state.folder_fd, "store.json", 0600), 0);
    assert_int_equal(mkfifoat(state.folder_fd, "log", 0600), 0);
    assert_int_equal(mkfifoat(state.folder_fd, "log.1", 0600), 0);
    alarm(20); /* ends the test if it waits */
    assert_int_equal(state_read_json(state.folder_fd, "store.json", &value, ERROR_UNHEEDED),
                     FH_INVALID);
    assert_int_equal(state_open_file(state.folder_fd, "log.1", O_RDONLY), -1);
    assert_int_equal(state_open_file(state.folder_fd, "log.1", O_WRONLY | O_CREAT | O_TRUNC), -1);
    struct fh_error error;
    assert_int_equal(child_init(&child, &error), FH_UNAVAILABLE);
    assert_non_null(strstr(error.message, "/log is not a regular file"));
    alarm(0);
    assert_int_equal(unlinkat(state.folder_fd, "log", 0), 0);
    assert_int_equal(mkdirat(state.folder_fd, "log", 0700), 0);
    assert_int_equal(child_init(&child, &error), FH_UNAVAILABLE);
    assert_non_null(strstr(error.message, "/log is not a regular file"));
    state_close(&state);
}

static void the_control_socket_is_reached_below_a_path_of_any_length(void **unused)
{
    (void)unused;
    struct state state;
    char deep[512];
    int listener, connection;
    snprintf(deep, sizeof deep, "%s/%0200d", folder, 7);
    assert_int_equal(state_create(&state, deep, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(state_control_connect(&state, &connection, ERROR_UNHEEDED), FH_NOT_FOUND);
    assert_int_equal(state_control_listen(&state, &listener, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(state_control_connect(&state, &connection, ERROR_UNHEEDED), FH_OK);
    close(connection);
    close(listener);
    assert_int_equal(state_control_connect(&state, &connection, ERROR_UNHEEDED), FH_NOT_FOUND);
    state_close(&state);
}

static void say_pid(int fd, pid_t pid)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%d\n", (int)pid);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, text, (size_t)length, 0), length);
}

/* A process that has inherited the lock, and is in that folder. */
static pid_t start_holder(const char *where)
{
    pid_t pid = fork();
    if (pid == 0) {
        while (chdir(where) == 0)
            pause();
        _exit(1);
    }
    return pid;
}

static void wait_for_folder(pid_t pid, const char *where)
{
    struct being being = {.pid = pid};
    while (!being_is_in(&being, where))
        usleep(1000);
}

/* As versions did that kept no records: the process alone keeps the lock. */
static void an_earlier_versions_process_is_known_by_the_lock_that_it_inherited(void **unused)
{
    (void)unused;
    struct state state;
    assert_int_equal(state_create(&state, folder, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(instance_survivor(state.folder_fd, 0), 0);
    int lock_fd = openat(state.folder_fd, "pid", O_RDWR | O_CREAT, 0600);
    assert_true(lock_fd >= 0 && flock(lock_fd, LOCK_EX | LOCK_NB) == 0);
    pid_t pid = start_holder(state.folder), another = start_holder("/");
    wait_for_folder(pid, state.folder);
    wait_for_folder(another, "/");
    assert_int_equal(instance_survivor(state.folder_fd, 0), pid); /* found by its lock */
    say_pid(lock_fd, getppid()); /* as a hostile one would: it does not have the lock */
    assert_int_equal(instance_survivor(state.folder_fd, 0), pid);
    say_pid(lock_fd, another); /* it has the lock, but was not started here */
    assert_int_equal(instance_survivor(state.folder_fd, 0), pid);
    say_pid(lock_fd, pid);
    close(lock_fd);
    assert_int_equal(instance_survivor(state.folder_fd, 0), pid);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(instance_survivor(state.folder_fd, 0), -1); /* nobody to be killed */
    kill(another, SIGKILL);
    waitpid(another, NULL, 0);
    assert_int_equal(instance_survivor(state.folder_fd, 0), 0);
    state_close(&state);
}

static void addresses_are_parsed_and_listened_at(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"",          "8080",           ":8080",   "127.0.0.1",
                                      "1.2.3:80",  "127.0.0.1:",     "[::1:80", "127.0.0.1:65536",
                                      "host:8080", "127.0.0.1:8080x"};
    struct sockaddr_storage address;
    socklen_t length;
    struct fh_error error;
    char text[ADDRESS_TEXT_SIZE], again[ADDRESS_TEXT_SIZE];
    int fd, other;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(address_parse(bad[i], &address, &length, ERROR_UNHEEDED), FH_INVALID);
    assert_int_equal(address_parse("[::1]:80", &address, &length, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(address_listen("localhost:0", &fd, text, &error), FH_OK);
    assert_int_equal(strncmp(text, "127.0.0.1:", 10), 0);
    assert_int_equal(address_listen(text, &other, again, &error), FH_CONFLICT);
    close(fd);
}

static void the_nearest_word_is_offered_only_when_it_is_near(void **unused)
{
    (void)unused;
    assert_int_equal(nearest_distance("program", "program"), 0);
    assert_int_equal(nearest_distance("progam", "program"), 1);
    assert_int_equal(nearest_distance("porgram", "program"), 1);
    assert_int_equal(nearest_distance("", "abc"), 3);
    static const struct {
        const char *wanted, *known;
        bool near;
    } pairs[] = {
        {"nope", "move", false},       {"hello", "help", false},   {"mov", "move", true},
        {"hepl", "help", true},        {"lst", "list", true},      {"lgos", "logs", true},
        {"up", "new", false},          {"statsu", "status", true}, {"stauts", "status", true},
        {"servics", "services", true}, {"orders", "users", false}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct nearest pair = nearest_begin(pairs[i].wanted);
        nearest_offer(&pair, pairs[i].known);
        if ((pair.word != NULL) != pairs[i].near)
            fail_msg("'%s' for '%s'", pairs[i].known, pairs[i].wanted);
    }
    struct nearest nearest = nearest_begin("UserUpdate");
    nearest_offer(&nearest, "OrderCreated");
    assert_null(nearest.word);
    nearest_offer(&nearest, "UserUpdated");
    nearest_offer(&nearest, "UserDeleted");
    assert_string_equal(nearest.word, "UserUpdated");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_up_holds_the_lock_and_others_learn_its_pid, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(folders_that_are_made_are_on_the_disk_in_those_above_them,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_folder_is_created_private_and_never_taken_from_others,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_json_file_is_private_and_replaced_as_a_whole, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_is_on_the_disk_before_it_gets_its_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(keys_are_durable_before_anyone_gets_them, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(damaged_keys_are_reported_with_what_to_do, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nobody_waits_for_a_fifo_in_a_services_folder, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_control_socket_is_reached_below_a_path_of_any_length,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            an_earlier_versions_process_is_known_by_the_lock_that_it_inherited, set_up, tear_down),
        cmocka_unit_test(addresses_are_parsed_and_listened_at),
        cmocka_unit_test(the_nearest_word_is_offered_only_when_it_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
