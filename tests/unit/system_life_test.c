/* SPDX-License-Identifier: Apache-2.0 */
/* What has become of processes that were started, and who is killed for it: theirs, nobody else. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "system/supervise/being.h"
#include "system/supervise/life.h"
#include "system/supervise/spawn.h"

struct fixture {
    struct harness harness;
    struct state state;
    struct lives lives;
    struct life life;
    struct spawned spawned;
    bool closed;
};

static const enum cgroup_version versions[] = {CGROUP_V2, CGROUP_V1, CGROUP_NONE};

static void note_end(struct spawned *spawned, int code, int signal)
{
    (void)spawned;
    (void)code;
    (void)signal;
}

static void note_closed(struct spawned *spawned)
{
    ((struct fixture *)spawned->owner)->closed = true;
}

static bool is_closed(void *argument)
{
    return ((struct fixture *)argument)->closed;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.spawned = {.ended = note_end, .closed = note_closed}};
    fixture.spawned.owner = &fixture;
    harness_init(&fixture.harness);
    if (state_open(&fixture.state, fixture.harness.folder, ERROR_UNHEEDED) != FH_OK)
        return -1;
    fixture.life = (struct life){.name = "service.orders.0", .folder = fixture.state.folder};
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    state_close(&fixture->state);
    harness_release(&fixture->harness);
    return 0;
}

/* False: this machine has no such cgroups for us. */
static bool open_lives(struct fixture *fixture, enum cgroup_version version)
{
    assert_int_equal(lives_open(&fixture->lives, &fixture->state, version, ERROR_UNHEEDED), FH_OK);
    if (version == CGROUP_NONE || *fixture->lives.group)
        return true;
    lives_close(&fixture->lives);
    return false;
}

static enum fh_code admit(void *context, pid_t pid, struct fh_error *error)
{
    const struct fixture *fixture = context;
    return life_begin(&fixture->lives, &fixture->life, pid, error);
}

static void start(struct fixture *fixture, char *script)
{
    static char shell[] = "sh", flag[] = "-c";
    char *arguments[] = {shell, flag, script, NULL};
    struct fh_error error = {0};
    struct spawn_options options = {.program = "/bin/sh",
                                    .arguments = arguments,
                                    .folder = fixture->state.folder,
                                    .descriptors = {-1, -1, -1, -1, -1, -1, -1, -1},
                                    .admit = admit,
                                    .context = fixture};
    fixture->closed = false;
    assert_int_equal(spawn_start(&fixture->spawned, &fixture->harness.loop, &options, &error),
                     FH_OK);
}

static void await_leader(struct fixture *fixture)
{
    harness_until(&fixture->harness, is_closed, fixture);
}

/* The number in the file, once it is there. */
static pid_t read_pid(const struct fixture *fixture, const char *name)
{
    char text[32] = "";
    while (!strchr(text, '\n')) {
        int fd = openat(fixture->state.folder_fd, name, O_RDONLY | O_CLOEXEC);
        ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
        text[length > 0 ? length : 0] = '\0';
        if (fd >= 0)
            close(fd);
        usleep(1000);
    }
    unlinkat(fixture->state.folder_fd, name, 0);
    return (pid_t)atoi(text);
}

static bool lives(pid_t pid)
{
    struct being being;
    return being_look(pid, &being);
}

static void finish_life(struct fixture *fixture)
{
    while (life_end(&fixture->lives, &fixture->life) != 0)
        usleep(1000);
}

static void what_a_leader_leaves_is_dead_before_the_next_life(void **state)
{
    static char leaves[] = "setsid sh -c 'cd /; trap \"\" TERM HUP; echo $$ > $OLDPWD/left; "
                           "while :; do sleep 1000; done' & until test -s left; do :; done";
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        if (!open_lives(fixture, versions[i]))
            continue;
        start(fixture, leaves);
        await_leader(fixture);
        pid_t left = read_pid(fixture, "left");
        assert_true(lives(left));
        assert_false(life_leads(&fixture->lives, &fixture->life));
        finish_life(fixture);
        assert_false(lives(left));
        assert_int_not_equal(faccessat(fixture->lives.folder_fd, fixture->life.name, F_OK, 0), 0);
        char group[CGROUP_PATH_SIZE];
        snprintf(group, sizeof group, "%s", fixture->lives.group);
        lives_close(&fixture->lives);
        assert_true(!*group || access(group, F_OK) != 0);
    }
}

/* Starts a leader as an `up` would that is killed then; sets the pids of it and its fork. */
static void leave_life(struct fixture *fixture, enum cgroup_version version, pid_t *leader,
                       pid_t *left)
{
    static char goes_on[] =
        "sh -c 'trap \"\" TERM; echo $$ > left; while :; do sleep 1000; done' & "
        "echo $$ > leader; while :; do sleep 1000; done";
    pid_t up = fork();
    if (up == 0) {
        lives_open(&fixture->lives, &fixture->state, version, ERROR_UNHEEDED);
        uv_loop_fork(&fixture->harness.loop);
        start(fixture, goes_on);
        for (;;)
            pause();
    }
    *leader = read_pid(fixture, "leader");
    *left = read_pid(fixture, "left");
    kill(up, SIGKILL);
    waitpid(up, NULL, 0);
}

static void an_up_that_is_killed_has_its_lives_ended_by_the_next(void **state)
{
    struct fixture *fixture = *state;
    pid_t leader, left;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        if (!open_lives(fixture, versions[i]))
            continue;
        lives_close(&fixture->lives);
        leave_life(fixture, versions[i], &leader, &left);
        open_lives(fixture, versions[i]);
        assert_true(life_leads(&fixture->lives, &fixture->life));
        assert_int_not_equal(lives_count(&fixture->lives, false), 0); /* it may drain */
        assert_true(lives(leader) && lives(left));
        while (lives_count(&fixture->lives, true) != 0)
            usleep(1000);
        assert_true(!lives(leader) && !lives(left));
        lives_close(&fixture->lives);
    }
}

/* Its leader has ended meanwhile, and the next `up` was killed before it was done. */
static void what_is_left_is_found_without_its_leader_too(void **state)
{
    struct fixture *fixture = *state;
    pid_t leader, left;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        if (!open_lives(fixture, versions[i]))
            continue;
        lives_close(&fixture->lives);
        leave_life(fixture, versions[i], &leader, &left);
        kill(leader, SIGKILL);
        while (lives(leader))
            usleep(1000);
        pid_t second = fork();
        if (second == 0) {
            open_lives(fixture, versions[i]);
            kill(getpid(), SIGKILL);
        }
        waitpid(second, NULL, 0);
        open_lives(fixture, versions[i]);
        while (lives_count(&fixture->lives, false) != 0)
            usleep(1000);
        assert_false(lives(left));
        lives_close(&fixture->lives);
    }
}

/* Changes one member of the record, as if its pid were another's by now. */
static void change_record(const struct fixture *fixture, const char *key, json_t *value)
{
    json_t *record;
    struct fh_error error;
    assert_int_equal(state_read_json(fixture->lives.folder_fd, fixture->life.name, &record, &error),
                     FH_OK);
    json_object_del(record, "cgroup");
    json_object_set_new(record, key, value);
    assert_int_equal(state_write_json(fixture->lives.folder_fd, fixture->life.name, record, &error),
                     FH_OK);
    json_decref(record);
}

static void a_pid_that_is_anothers_now_is_left_alone(void **state)
{
    static char goes_on[] = "exec sleep 1000";
    struct fixture *fixture = *state;
    static const char *const keys[] = {"start", "user", "boot", "state"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        open_lives(fixture, CGROUP_ANY);
        start(fixture, goes_on);
        pid_t leader = fixture->spawned.pid;
        assert_true(life_leads(&fixture->lives, &fixture->life));
        change_record(fixture, keys[i], i < 2 ? json_integer(7) : json_string("another"));
        assert_false(life_leads(&fixture->lives, &fixture->life));
        assert_int_equal(lives_count(&fixture->lives, true), 0);
        assert_true(lives(leader));
        spawn_signal(&fixture->spawned, SIGKILL);
        await_leader(fixture);
        cgroup_remove(fixture->lives.group);
        lives_close(&fixture->lives);
    }
}

/* Without descriptors nothing can be looked at: neither a record nor a process. */
static void what_cannot_be_looked_at_has_not_ended(void **state)
{
    static char goes_on[] = "exec sleep 1000";
    struct fixture *fixture = *state;
    struct rlimit before, none;
    open_lives(fixture, CGROUP_ANY);
    start(fixture, goes_on);
    int lowest = dup(0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int more = 0; more <= 1; more++) { /* the record can be read, the process not be seen */
        none = (struct rlimit){(rlim_t)(lowest + more), before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        assert_true(life_leads(&fixture->lives, &fixture->life));
        assert_int_not_equal(life_end(&fixture->lives, &fixture->life), 0);
        assert_int_not_equal(lives_count(&fixture->lives, false), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    }
    assert_true(life_leads(&fixture->lives, &fixture->life));
    spawn_signal(&fixture->spawned, SIGKILL);
    await_leader(fixture);
    finish_life(fixture);
    lives_close(&fixture->lives);
}

static void write_to_group(const char *group, const char *name, const char *value)
{
    char path[CGROUP_PATH_SIZE + 32];
    snprintf(path, sizeof path, "%s/%s", group, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        assert_true(write(fd, value, strlen(value)) > 0 || errno);
        close(fd);
    }
}

/* An `up` was killed after it had stopped a group, and the group could not be removed. */
static void a_group_that_was_left_stopped_runs_again(void **state)
{
    static char forks[] = "sleep 0 & wait";
    char group[CGROUP_PATH_SIZE];
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        if (!open_lives(fixture, versions[i]) || !*fixture->lives.group)
            continue;
        assert_true(cgroup_make(fixture->lives.group, fixture->life.name, group));
        write_to_group(group, "pids.max", "0");
        write_to_group(group, "freezer.state", "FROZEN");
        write_to_group(group, "cgroup.freeze", "1");
        start(fixture, forks);
        await_leader(fixture);
        finish_life(fixture);
        lives_close(&fixture->lives);
    }
}

/* It is for the end of its own life. */
static void what_another_life_leaves_holds_up_nobody(void **state)
{
    static char leaves[] =
        "setsid sh -c 'setsid sh -c \"echo \\$\\$ > left; exec sleep 1000\" &' ; "
        "exec sleep 1000";
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        if (!open_lives(fixture, versions[i]) || !*fixture->lives.group)
            continue;
        start(fixture, leaves);
        pid_t left = read_pid(fixture, "left");
        struct life other = {.name = "service.other.0", .folder = fixture->state.folder};
        assert_int_equal(life_end(&fixture->lives, &other), 0);
        assert_true(lives(left));
        spawn_signal(&fixture->spawned, SIGKILL);
        await_leader(fixture);
        finish_life(fixture);
        assert_false(lives(left));
        lives_close(&fixture->lives);
    }
}

/* As many as it can start while it is killed; they end with this program if it dies before them. */
static void one_that_forks_on_and_on_is_ended(void **state)
{
    char forks[192];
    snprintf(forks, sizeof forks,
             "for i in 1 2 3 4 5; do sh -c 'while kill -0 %d; do sleep 0.01 & done' & done; "
             "echo $$ > left",
             (int)getpid());
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        if (!open_lives(fixture, versions[i]))
            continue;
        start(fixture, forks);
        await_leader(fixture);
        finish_life(fixture);
        lives_close(&fixture->lives);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_leader_leaves_is_dead_before_the_next_life, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_up_that_is_killed_has_its_lives_ended_by_the_next,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_left_is_found_without_its_leader_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_pid_that_is_anothers_now_is_left_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_that_forks_on_and_on_is_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_looked_at_has_not_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_group_that_was_left_stopped_runs_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_another_life_leaves_holds_up_nobody, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
