/* SPDX-License-Identifier: Apache-2.0 */
/* What a program is started with: what it was given, and nothing of what we have. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/supervise/spawn.h"

struct fixture {
    struct harness harness;
    struct spawned spawned;
    int code, signal;
    bool ended, closed;
    char script[512];
    char *arguments[4];
    struct spawn_options options;
    char said[8192];
};

static void note_end(struct spawned *spawned, int code, int signal)
{
    struct fixture *fixture = spawned->owner;
    fixture->code = code;
    fixture->signal = signal;
    fixture->ended = true;
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
    fixture = (struct fixture){0};
    harness_init(&fixture.harness);
    fixture.spawned = (struct spawned){.ended = note_end, .closed = note_closed, .owner = &fixture};
    fixture.options = (struct spawn_options){
        .program = "/bin/sh", .arguments = fixture.arguments, .folder = fixture.harness.folder};
    for (int i = 0; i < SPAWN_DESCRIPTORS_MAX; i++)
        fixture.options.descriptors[i] = -1;
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    harness_release(&((struct fixture *)*state)->harness);
    return 0;
}

static enum fh_code start(struct fixture *fixture, const char *script, struct fh_error *error)
{
    static char shell[] = "sh", flag[] = "-c";
    snprintf(fixture->script, sizeof fixture->script, "%s", script);
    fixture->arguments[0] = shell;
    fixture->arguments[1] = flag;
    fixture->arguments[2] = fixture->script;
    fixture->ended = fixture->closed = false;
    return spawn_start(&fixture->spawned, &fixture->harness.loop, &fixture->options, error);
}

/* Runs the script to its end; what it wrote to the file `said` is in fixture->said then. */
static void run(struct fixture *fixture, const char *script)
{
    struct fh_error error = {0};
    char path[160];
    assert_int_equal(start(fixture, script, &error), FH_OK);
    harness_until(&fixture->harness, is_closed, fixture);
    assert_true(fixture->ended);
    snprintf(path, sizeof path, "%s/said", fixture->harness.folder);
    FILE *file = fopen(path, "r");
    fixture->said[file ? fread(fixture->said, 1, sizeof fixture->said - 1, file) : 0] = '\0';
    if (file)
        fclose(file);
}

static void only_given_descriptors_reach_it(void **state)
{
    struct fixture *fixture = *state;
    int left_open = open("/etc/passwd", O_RDONLY); /* not closed by an exec */
    int given = open("/etc/hostname", O_RDONLY);
    assert_true(left_open >= 0 && given >= 0);
    int high = fcntl(left_open, F_DUPFD, 900);
    fixture->options.descriptors[4] = given;
    run(fixture, "for fd in /proc/$$/fd/*; do readlink $fd; done > said; ls /proc/$$/fd >> said");
    assert_null(strstr(fixture->said, "passwd"));
    assert_non_null(strstr(fixture->said, "/etc/hostname\n"));
    assert_non_null(strstr(fixture->said, "\n4\n"));
    assert_null(strstr(fixture->said, "\n3\n"));
    assert_null(strstr(fixture->said, "\n5\n"));
    assert_null(strstr(fixture->said, "\n8\n"));
    assert_null(strstr(fixture->said, "\n9\n"));
    close(high);
    close(given);
    close(left_open);
}

static void only_listed_variables_reach_it(void **state)
{
    struct fixture *fixture = *state;
    setenv("CLOUD_TOKEN", "hush-hush", 1);
    setenv("LC_TESTED", "C", 1);
    setenv("PATHS_SECRET", "hush-hush", 1);
    run(fixture, "tr '\\0' '\\n' < /proc/$$/environ > said");
    assert_null(strstr(fixture->said, "hush-hush"));
    assert_non_null(strstr(fixture->said, "LC_TESTED=C\n"));
    assert_non_null(strstr(fixture->said, "PATH="));
    char home[128];
    snprintf(home, sizeof home, "HOME=%s\n", fixture->harness.folder);
    assert_non_null(strstr(fixture->said, home));
    unsetenv("CLOUD_TOKEN");
    unsetenv("LC_TESTED");
    unsetenv("PATHS_SECRET");
}

static void assert_unprivileged(struct fixture *fixture)
{
    static const char *const always[] = {"CapInh:\t0000000000000000\n",
                                         "CapPrm:\t0000000000000000\n",
                                         "CapEff:\t0000000000000000\n",
                                         "CapAmb:\t0000000000000000\n",
                                         "NoNewPrivs:\t1\n",
                                         "SigBlk:\t0000000000000000\n",
                                         "SigIgn:\t0000000000000000\n"};
    /* `cat` is run by the shell: an exec of the same user gains nothing either. */
    run(fixture, "cat /proc/self/status > said; ulimit -Hc >> said");
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        assert_non_null(strstr(fixture->said, always[i]));
    if (geteuid() == 0) /* others can't empty it */
        assert_non_null(strstr(fixture->said, "CapBnd:\t0000000000000000\n"));
    assert_non_null(strstr(fixture->said, "\n0\n"));
}

static void it_has_no_privileges_and_dumps_no_core(void **state)
{
    struct fixture *fixture = *state;
    signal(SIGPIPE, SIG_IGN);
    assert_unprivileged(fixture);
    if (geteuid() != 0)
        return;
    fixture->options.user = fixture->options.group = 65534;
    char path[160];
    snprintf(path, sizeof path, "%s/said", fixture->harness.folder);
    assert_int_equal(chown(path, 65534, 65534), 0);
    assert_int_equal(chown(fixture->harness.folder, 65534, 65534), 0);
    assert_unprivileged(fixture);
    assert_non_null(strstr(fixture->said, "Uid:\t65534\t65534\t65534\t65534\n"));
    assert_non_null(strstr(fixture->said, "Groups:\t \n"));
}

static const char *enter_nothing(const void *argument)
{
    errno = *(const int *)argument;
    return "unshare";
}

static void what_fails_before_the_program_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct fh_error error = {0};
    fixture->options.program = "/nowhere/at/all";
    assert_int_equal(start(fixture, "", &error), FH_INVALID);
    assert_string_equal(error.message, "No such file or directory");
    fixture->options.program = "/bin/sh";
    fixture->options.folder = "/nowhere";
    assert_int_equal(start(fixture, "", &error), FH_INVALID);
    assert_string_equal(error.message, "chdir to /nowhere: No such file or directory");
    fixture->options.folder = fixture->harness.folder;
    fixture->options.room =
        &(struct spawn_room){.enter = enter_nothing, .argument = &(int){ENOSPC}};
    assert_int_equal(start(fixture, "", &error), FH_INVALID);
    assert_string_equal(error.message, "unshare: No space left on device");
    assert_int_equal(fixture->spawned.pid, 0);
    assert_false(fixture->ended);
}

static enum fh_code await_its_end(void *context, pid_t pid, struct fh_error *error)
{
    siginfo_t end;
    (void)context;
    assert_int_equal(waitid(P_PID, (id_t)pid, &end, WEXITED | WNOWAIT), 0);
    return error_set(error, FH_UNAVAILABLE, "it is not to be seen");
}

static void what_failed_is_named_even_if_nobody_saw_it_live(void **state)
{
    struct fixture *fixture = *state;
    struct fh_error error = {0};
    fixture->options.room =
        &(struct spawn_room){.enter = enter_nothing, .argument = &(int){ENOSPC}};
    fixture->options.admit = await_its_end;
    assert_int_equal(start(fixture, "", &error), FH_INVALID);
    assert_string_equal(error.message, "unshare: No space left on device");
}

static enum fh_code refuse(void *context, pid_t pid, struct fh_error *error)
{
    *(pid_t *)context = pid;
    return error_set(error, FH_CONFLICT, "not today");
}

static void one_that_is_not_admitted_never_runs(void **state)
{
    struct fixture *fixture = *state;
    struct fh_error error = {0};
    pid_t seen = 0;
    char path[160];
    fixture->options.admit = refuse;
    fixture->options.context = &seen;
    assert_int_equal(start(fixture, "echo ran > ran", &error), FH_CONFLICT);
    assert_string_equal(error.message, "not today");
    assert_true(seen > 0 && kill(seen, 0) != 0 && errno == ESRCH);
    snprintf(path, sizeof path, "%s/ran", fixture->harness.folder);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void older_kernels_do(void **state)
{
    static const enum spawn_avoided all[] = {SPAWN_AVOIDS_NOTHING, SPAWN_AVOIDS_CLONE3,
                                             SPAWN_AVOIDS_PIDFD};
    struct fixture *fixture = *state;
    struct fh_error error = {0};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        fixture->options.avoided = all[i];
        run(fixture, "exit 42");
        assert_int_equal(fixture->code, 42);
        assert_int_equal(fixture->signal, 0);
        assert_int_equal(start(fixture, "exec sleep 1000", &error), FH_OK);
        assert_true(spawn_is_ours(fixture->spawned.pid));
        assert_int_equal(fixture->spawned.pidfd >= 0, all[i] != SPAWN_AVOIDS_PIDFD);
        spawn_signal(&fixture->spawned, SIGKILL);
        harness_until(&fixture->harness, is_closed, fixture);
        assert_int_equal(fixture->signal, SIGKILL);
        spawn_signal(&fixture->spawned, SIGKILL); /* nothing */
    }
}

static bool has_no_child(void *argument)
{
    siginfo_t end = {0};
    (void)argument;
    spawn_reap_orphans();
    return waitid(P_ALL, 0, &end, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

static void turn(uv_timer_t *timer)
{
    (void)timer;
}

static void ends_of_orphans_are_taken(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    run(fixture, "sh -c 'echo $$ > said; exec sleep 1000' & until test -s said; do :; done");
    pid_t orphan = atoi(fixture->said);
    assert_true(orphan > 0 && !has_no_child(NULL));
    assert_int_equal(kill(orphan, SIGKILL), 0);
    static uv_timer_t timer; /* turns the loop */
    uv_timer_init(&fixture->harness.loop, &timer);
    uv_timer_start(&timer, turn, 5, 5);
    harness_until(&fixture->harness, has_no_child, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_given_descriptors_reach_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_listed_variables_reach_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_has_no_privileges_and_dumps_no_core, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_fails_before_the_program_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_failed_is_named_even_if_nobody_saw_it_live, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_not_admitted_never_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(older_kernels_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_of_orphans_are_taken, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
