/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes of one service: their number changes and their program is replaced. */

#include "../support/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "system/provision/instance.h"
#include "system/supervise/instances.h"
#include "system/provision/state.h"

/* What a process reports of itself, and how it ends. */
static const char good_program[] = "#!/bin/sh\n"
                                   "trap 'exit 0' TERM\n"
                                   "echo ready >&4\n"
                                   "while :; do echo beat >&4; sleep 0.05 5>&-; done\n";
static const char newer_program[] = "#!/bin/sh\n"
                                    "trap 'exit 0' TERM\n"
                                    "echo newer >> newer\n"
                                    "echo ready >&4\n"
                                    "while :; do echo beat >&4; sleep 0.05 5>&-; done\n";
static const char bad_program[] = "#!/bin/sh\nexit 78\n";
/* They go on once there is a file. */
static const char ending_program[] = "#!/bin/sh\n"
                                     "echo ready >&4\n"
                                     "while [ ! -e go ]; do sleep 0.02 5>&-; done\n"
                                     "exit 3\n";
static const char working_program[] =
    "#!/bin/sh\n"
    "trap 'exit 0' TERM\n"
    "while [ ! -e go ]; do echo 'working 1 2 orders' >&4; sleep 0.05 5>&-; done\n"
    "echo ready >&4\n"
    "while :; do echo beat >&4; sleep 0.05 5>&-; done\n";
static const char failing_program[] = "#!/bin/sh\n"
                                      "echo starts >> starts\n"
                                      "while [ ! -e go ]; do sleep 0.02 5>&-; done\n"
                                      "exit 3\n";
static const char storeless_program[] = "#!/bin/sh\nexit 69\n";
static const char hanging_program[] = "#!/bin/sh\necho hangs >> hangs\nexec sleep 1000\n";

struct fixture {
    struct harness harness;
    struct provision_part part;
    struct state state;
    struct lives lives;
    struct instances instances;
    char program[128], config[128];
    int least_ready; /* as seen after each change since it was set */
    int failed;
};

static int ready_count(const struct fixture *fixture)
{
    int ready = 0;
    for (int i = 0; i <= SYSTEM_INSTANCES_MAX; i++) {
        const struct child *child = fixture->instances.children[i];
        ready += child && child->state == CHILD_READY;
    }
    return ready;
}

static void changed(struct child *child)
{
    struct fixture *fixture = child->owner;
    int ready = ready_count(fixture);
    if (ready < fixture->least_ready)
        fixture->least_ready = ready;
    if (instances_tend(&fixture->instances) == INSTANCES_UPGRADE_FAILED)
        fixture->failed++;
}

static void tend_due(struct instances *instances)
{
    changed(instances->children[0]);
}

static void write_program(const struct fixture *fixture, const char *text)
{
    char beside[160];
    snprintf(beside, sizeof beside, "%s.new", fixture->program);
    FILE *file = fopen(beside, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(beside, 0755), 0);
    assert_int_equal(rename(beside, fixture->program), 0);
}

static void begin(struct fixture *fixture, bool many, int wanted)
{
    struct fh_error error = {0};
    fixture->instances = (struct instances){.part = &fixture->part,
                                            .many = many,
                                            .model = {.world = fixture->harness.world,
                                                      .loop = &fixture->harness.loop,
                                                      .lives = &fixture->lives,
                                                      .changed = changed,
                                                      .owner = fixture},
                                            .wanted = wanted,
                                            .due = tend_due};
    assert_int_equal(instances_init(&fixture->instances, &error), FH_OK);
    instances_start(&fixture->instances);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.least_ready = SYSTEM_INSTANCES_MAX};
    harness_init(&fixture.harness);
    const char *folder = fixture.harness.folder;
    snprintf(fixture.program, sizeof fixture.program, "%s/program", folder);
    snprintf(fixture.config, sizeof fixture.config, "%s/service.json", folder);
    fixture.part =
        (struct provision_part){.name = "orders",
                                .folder = folder,
                                .folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                .listen_fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
                                .arguments = {fixture.program, "--config", fixture.config, NULL},
                                .config_argument = 2,
                                .stem = "service"};
    assert_int_equal(state_open(&fixture.state, folder, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(lives_open(&fixture.lives, &fixture.state, CGROUP_ANY, ERROR_UNHEEDED), FH_OK);
    FILE *config = fopen(fixture.config, "w");
    assert_non_null(config);
    fputs("{\"freehold\": 1, \"service\": \"orders\"}", config);
    fclose(config);
    write_program(&fixture, good_program);
    *state = &fixture;
    return 0;
}

static bool has_ended(void *argument)
{
    return instances_ended(&((struct fixture *)argument)->instances);
}

/* What should run is ready, and nothing else runs. */
static bool is_settled(void *argument)
{
    const struct instances *instances = &((struct fixture *)argument)->instances;
    for (int i = instances->wanted; i <= SYSTEM_INSTANCES_MAX; i++) {
        if (instances->children[i] && instances->children[i]->state != CHILD_ENDED)
            return false;
    }
    return instances->upgraded < 0 && instances_ready(instances);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fixture->instances.tending = true; /* what ends now stays so */
    instances_stop(&fixture->instances);
    harness_until(&fixture->harness, has_ended, fixture);
    instances_release(&fixture->instances);
    lives_close(&fixture->lives);
    state_close(&fixture->state);
    close(fixture->part.folder_fd);
    close(fixture->part.listen_fd);
    harness_release(&fixture->harness);
    return 0;
}

static void each_instance_has_files_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    struct fh_error error;
    json_t *config;
    begin(fixture, true, 2);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_int_equal(faccessat(fixture->part.folder_fd, "log-1", F_OK, 0), 0);
    assert_int_equal(state_read_json(fixture->part.folder_fd, "service-1.json", &config, &error),
                     FH_OK);
    assert_string_equal(json_string_at(config, "instance"), "1");
    assert_string_equal(json_string_at(config, "service"), "orders");
    json_decref(config);
    struct life life = provision_life(&fixture->part, 1);
    assert_true(life_leads(&fixture->lives, &life));
    json_t *told = instances_json(&fixture->instances);
    assert_int_equal(json_array_size(json_object_get(told, "instances")), 2);
    assert_true(json_is_true(json_object_get(told, "ready")));
    json_decref(told);
}

static void scaling_starts_what_is_missing_and_ends_what_is_too_many(void **state)
{
    struct fixture *fixture = *state;
    struct fh_error error;
    begin(fixture, true, 2);
    harness_until(&fixture->harness, is_settled, fixture);
    fixture->least_ready = SYSTEM_INSTANCES_MAX;
    int first = fixture->instances.children[0]->pid;
    assert_int_equal(instances_scale(&fixture->instances, 3, &error), FH_OK);
    instances_tend(&fixture->instances);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_int_equal(ready_count(fixture), 3);
    assert_int_equal(instances_scale(&fixture->instances, 1, &error), FH_OK);
    instances_tend(&fixture->instances);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_int_equal(fixture->instances.children[0]->pid, first);
    assert_int_equal(fixture->instances.children[2]->state, CHILD_ENDED);
    assert_int_equal(fixture->least_ready, 1);
    /* And back: the numbers are used again. */
    assert_int_equal(instances_scale(&fixture->instances, 2, &error), FH_OK);
    instances_tend(&fixture->instances);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_int_equal(ready_count(fixture), 2);
}

static void only_the_one_that_is_killed_comes_back(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, true, 3);
    harness_until(&fixture->harness, is_settled, fixture);
    int first = fixture->instances.children[0]->pid, second = fixture->instances.children[1]->pid;
    kill(second, SIGKILL);
    while (fixture->instances.children[1]->pid == second)
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_int_equal(fixture->instances.children[0]->pid, first);
    assert_int_equal(fixture->instances.children[1]->restarts, 1);
}

static bool is_overwritten(void *argument)
{
    return instances_overwritten(&((struct fixture *)argument)->instances);
}

static void one_that_dies_runs_what_was_checked_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    struct program_held checked = program_hold(fixture->program);
    fixture->part.program = &checked;
    begin(fixture, false, 1);
    harness_until(&fixture->harness, is_settled, fixture);
    struct child *child = fixture->instances.children[0];
    /* Replaced: the one that was checked is still there. */
    write_program(fixture, bad_program);
    kill(child->pid, SIGKILL);
    while (child->state == CHILD_READY)
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_true(child->from_held && program_file_same(&child->runs, &checked.file));
    /* Overwritten in place: nothing is run any more until it is checked. */
    program_release(&checked);
    write_program(fixture, good_program);
    checked = program_hold(fixture->program);
    FILE *file = fopen(fixture->program, "w");
    assert_non_null(file);
    fputs(newer_program, file);
    fclose(file);
    kill(child->pid, SIGKILL);
    harness_until(&fixture->harness, is_overwritten, fixture);
    assert_int_equal(child->pid, 0);
    program_release(&checked);
    checked = program_hold(fixture->program);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_true(!child->from_held && !is_overwritten(fixture));
    assert_int_equal(faccessat(fixture->part.folder_fd, "newer", F_OK, 0), 0);
    program_release(&checked);
}

static int64_t size_of(const struct fixture *fixture, const char *name)
{
    struct stat status;
    return fstatat(fixture->part.folder_fd, name, &status, 0) == 0 ? status.st_size : -1;
}

static void an_upgrade_replaces_all_and_never_has_fewer(void **state)
{
    struct fixture *fixture = *state;
    struct fh_error error;
    begin(fixture, true, 2);
    harness_until(&fixture->harness, is_settled, fixture);
    fixture->least_ready = SYSTEM_INSTANCES_MAX;
    int first = fixture->instances.children[0]->pid, second = fixture->instances.children[1]->pid;
    write_program(fixture, newer_program);
    assert_int_equal(instances_upgrade(&fixture->instances, true, &error), FH_OK);
    instances_tend(&fixture->instances);
    assert_int_equal(instances_upgrade(&fixture->instances, true, &error), FH_CONFLICT);
    assert_int_equal(instances_scale(&fixture->instances, 5, &error), FH_CONFLICT);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_int_not_equal(fixture->instances.children[0]->pid, first);
    assert_int_not_equal(fixture->instances.children[1]->pid, second);
    assert_int_equal(fixture->least_ready, 2);
    assert_int_equal(fixture->failed, 0);
    assert_int_equal(size_of(fixture, "newer"), 3 * (int)strlen("newer\n"));
}

static bool has_failed(void *argument)
{
    const struct fixture *fixture = argument;
    return fixture->failed > 0;
}

static void an_upgrade_that_does_not_start_stops_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct fh_error error;
    begin(fixture, true, 1);
    harness_until(&fixture->harness, is_settled, fixture);
    int first = fixture->instances.children[0]->pid;
    write_program(fixture, bad_program);
    assert_int_equal(instances_upgrade(&fixture->instances, true, &error), FH_OK);
    instances_tend(&fixture->instances);
    harness_until(&fixture->harness, has_failed, fixture);
    assert_int_equal(fixture->instances.children[0]->state, CHILD_READY);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_int_equal(fixture->instances.children[0]->pid, first);
    assert_int_equal(fixture->failed, 1);
}

static void an_embedded_service_has_one_process(void **state)
{
    struct fixture *fixture = *state;
    struct fh_error error;
    begin(fixture, false, 1);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_int_equal(instances_scale(&fixture->instances, 2, &error), FH_UNSUPPORTED);
    assert_non_null(strstr(error.message, "orders has an embedded store"));
    assert_int_equal(instances_scale(&fixture->instances, 0, &error), FH_INVALID);
    int first = fixture->instances.children[0]->pid;
    assert_int_equal(instances_upgrade(&fixture->instances, true, &error), FH_OK);
    instances_tend(&fixture->instances);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_int_not_equal(fixture->instances.children[0]->pid, first);
    assert_null(fixture->instances.children[1]);
}

static bool hangs_in_vain(void *argument)
{
    return size_of(argument, "hangs") > 0;
}

/* Long before its time is over; and the next one has the usual time again. */
static void one_that_hangs_has_one_try_and_can_be_abandoned(void **state)
{
    struct fixture *fixture = *state;
    struct fh_error error;
    begin(fixture, false, 1);
    harness_until(&fixture->harness, is_settled, fixture);
    struct child *child = fixture->instances.children[0];
    child->start_took_ms = 4000;
    write_program(fixture, hanging_program);
    assert_int_equal(instances_upgrade(&fixture->instances, true, &error), FH_OK);
    assert_int_equal(fixture->instances.terms.start_ms_max, 12000);
    assert_false(fixture->instances.terms.keeps_schema);
    instances_tend(&fixture->instances);
    harness_until(&fixture->harness, hangs_in_vain, fixture);
    write_program(fixture, good_program);
    instances_abandon_upgrade(&fixture->instances);
    harness_until(&fixture->harness, has_failed, fixture);
    assert_string_equal(child->why, "was superseded by newer files and killed");
    assert_int_equal(fixture->instances.terms.start_ms_max, 0);
    assert_true(fixture->instances.terms.keeps_schema);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_int_equal(fixture->failed, 1);
    assert_int_equal(size_of(fixture, "hangs"), (int)strlen("hangs\n"));
    child->start_took_ms = 1;
    assert_int_equal(instances_start_ms_max(&fixture->instances), INSTANCES_UPGRADE_MS_MIN);
    child->start_took_ms = 1000000;
    assert_int_equal(instances_start_ms_max(&fixture->instances), CHILD_START_MS_MAX);
}

static void write_go(const struct fixture *fixture)
{
    int fd = openat(fixture->part.folder_fd, "go", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static bool new_one_has_started(void *argument)
{
    const struct instances *instances = &((struct fixture *)argument)->instances;
    const struct child *child = instances->children[instances->many ? instances->wanted : 0];
    return child->started_ns >= instances->upgrade_began_ns && child->heard_ns != child->started_ns;
}

/* What it was started from is not served from again: it does not stay ready. */
static void one_that_ends_on_probation_fails_the_upgrade(struct fixture *fixture, bool many)
{
    struct fh_error error;
    begin(fixture, many, 1);
    harness_until(&fixture->harness, is_settled, fixture);
    struct child *first = fixture->instances.children[0];
    int pid = first->pid;
    first->start_took_ms = 1000;
    write_program(fixture, ending_program);
    assert_int_equal(instances_upgrade(&fixture->instances, true, &error), FH_OK);
    assert_int_equal(fixture->instances.probation_ms, INSTANCES_PROBATION_MS_MAX);
    instances_tend(&fixture->instances);
    harness_until(&fixture->harness, new_one_has_started, fixture);
    assert_true(fixture->instances.upgraded >= 0 && !fixture->failed);
    write_go(fixture);
    harness_until(&fixture->harness, has_failed, fixture);
    assert_true(fixture->instances.failure.was_ready && !fixture->instances.failure.may_pass);
    assert_int_equal(fixture->failed, 1);
    assert_true(many == (first->pid == pid));
    write_program(fixture, good_program);
    harness_until(&fixture->harness, is_settled, fixture);
}

static void an_only_process_that_ends_on_probation_fails_the_upgrade(void **state)
{
    one_that_ends_on_probation_fails_the_upgrade(*state, false);
}

static void a_further_process_that_ends_on_probation_stops_nothing(void **state)
{
    one_that_ends_on_probation_fails_the_upgrade(*state, true);
}

static bool older_one_starts(void *argument)
{
    return size_of(argument, "starts") > 0;
}

/* It is no fault of the newer program, which was never started. */
static void an_older_program_that_fails_to_start_meanwhile_fails_no_upgrade(void **state)
{
    struct fixture *fixture = *state;
    struct fh_error error;
    write_program(fixture, failing_program);
    begin(fixture, false, 1);
    harness_until(&fixture->harness, older_one_starts, fixture);
    fixture->instances.children[0]->failures = INSTANCES_FAILURES_MAX;
    write_program(fixture, newer_program);
    assert_int_equal(instances_upgrade(&fixture->instances, true, &error), FH_OK);
    instances_tend(&fixture->instances);
    write_go(fixture);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_int_equal(fixture->failed, 0);
    assert_int_equal(size_of(fixture, "newer"), (int)strlen("newer\n"));
}

/* A migration that is cut off may need somebody to look after it. */
static void one_that_works_on_its_store_is_not_abandoned(void **state)
{
    struct fixture *fixture = *state;
    struct fh_error error;
    begin(fixture, true, 1);
    harness_until(&fixture->harness, is_settled, fixture);
    write_program(fixture, working_program);
    assert_int_equal(instances_upgrade(&fixture->instances, true, &error), FH_OK);
    instances_tend(&fixture->instances);
    harness_until(&fixture->harness, new_one_has_started, fixture);
    instances_abandon_upgrade(&fixture->instances);
    assert_false(fixture->instances.children[1]->superseded);
    write_go(fixture);
    harness_until(&fixture->harness, is_settled, fixture);
    assert_int_equal(fixture->failed, 0);
}

static void one_that_lacks_its_server_may_be_tried_again(void **state)
{
    struct fixture *fixture = *state;
    struct fh_error error;
    begin(fixture, true, 1);
    harness_until(&fixture->harness, is_settled, fixture);
    write_program(fixture, storeless_program);
    assert_int_equal(instances_upgrade(&fixture->instances, true, &error), FH_OK);
    instances_tend(&fixture->instances);
    harness_until(&fixture->harness, has_failed, fixture);
    assert_true(fixture->instances.failure.may_pass && !fixture->instances.failure.was_ready);
    harness_until(&fixture->harness, is_settled, fixture);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_instance_has_files_of_its_own),
        TEST(scaling_starts_what_is_missing_and_ends_what_is_too_many),
        TEST(only_the_one_that_is_killed_comes_back),
        TEST(one_that_dies_runs_what_was_checked_and_nothing_else),
        TEST(an_upgrade_replaces_all_and_never_has_fewer),
        TEST(an_upgrade_that_does_not_start_stops_nothing),
        TEST(an_embedded_service_has_one_process),
        TEST(one_that_hangs_has_one_try_and_can_be_abandoned),
        TEST(an_only_process_that_ends_on_probation_fails_the_upgrade),
        TEST(a_further_process_that_ends_on_probation_stops_nothing),
        TEST(an_older_program_that_fails_to_start_meanwhile_fails_no_upgrade),
        TEST(one_that_works_on_its_store_is_not_abandoned),
        TEST(one_that_lacks_its_server_may_be_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
