/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that are asked for their description and go on, or leave something running. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "system/check/describe.h"

#define PATIENCE_MS 300       /* with those that never end */
#define PATIENCE_MS_LONG 3000 /* with one that has to end in it, on a busy machine too */

static struct harness harness;
static struct system_service service;
static struct findings findings;

static int set_up(void **unused)
{
    (void)unused;
    json_memory_init();
    harness_init(&harness);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    json_decref(service.description);
    program_release(&service.described);
    findings_release(&findings);
    harness_release(&harness);
    return 0;
}

/* Asks a program that does this. */
static void describe_script(const char *does, int time_ms_max)
{
    char path[128], text[512];
    int length = snprintf(text, sizeof text, "#!/bin/sh\n%s\n", does);
    snprintf(path, sizeof path, "%s/program", harness.folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    assert_int_equal(write(fd, text, (size_t)length), length);
    close(fd);
    service = (struct system_service){.name = "carts", .program_path = path};
    findings = (struct findings){0};
    describe_program(&service, time_ms_max, &findings);
    service.program_path = NULL;
}

static void assert_refused(const char *why)
{
    assert_int_equal(findings.errors, 1);
    assert_non_null(strstr(findings.items[0].message, why));
    assert_null(service.description);
}

static void assert_late(const char *does)
{
    describe_script(does, PATIENCE_MS);
    assert_refused("took longer than");
}

static void one_that_closes_its_output_and_goes_on_is_killed_in_time(void **unused)
{
    (void)unused;
    assert_late("exec sleep 600 >&-");
}

static void one_that_closes_its_errors_and_goes_on_is_killed_in_time(void **unused)
{
    (void)unused;
    assert_late("exec sleep 600 2>&-");
}

static void one_whose_child_holds_its_output_is_not_waited_for(void **unused)
{
    (void)unused;
    alarm(30); /* ends the test if it waits for the child */
    describe_script("sleep 60 2>&- & exit 0", PATIENCE_MS_LONG);
    alarm(0);
    assert_refused("held its standard output open");
}

static void one_whose_child_holds_its_errors_has_described_itself(void **unused)
{
    (void)unused;
    alarm(30); /* ends the test if it waits for the child */
    describe_script("echo '{\"freehold\":1,\"name\":\"carts\",\"model\":\"key-value\"}'\n"
                    "sleep 60 >&- &\n"
                    "exit 0",
                    PATIENCE_MS_LONG);
    alarm(0);
    assert_int_equal(findings.errors, 0);
    assert_non_null(service.description);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_closes_its_output_and_goes_on_is_killed_in_time,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_closes_its_errors_and_goes_on_is_killed_in_time,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_whose_child_holds_its_output_is_not_waited_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_whose_child_holds_its_errors_has_described_itself,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
