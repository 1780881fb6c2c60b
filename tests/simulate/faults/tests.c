/* SPDX-License-Identifier: Apache-2.0 */
/* Tests that meet faults of handlers: what must be found, as faults_test.py names it, and
 * what a test may expect. */

#include <freehold/test.h>

#define MEETS(request)                                                                             \
    fh_test_request(t, 201, "clerk", request, NULL);                                               \
    fh_test_expect_event(t, "clerk", "NoteWritten", NULL)

FH_TEST(misspelt_written_sql)
{
    MEETS("POST /misspelt");
}

FH_TEST(misspelt_read_sql)
{
    MEETS("GET /misspelt");
}

FH_TEST(an_undeclared_event)
{
    MEETS("POST /undeclared");
}

FH_TEST(an_event_that_does_not_fit)
{
    MEETS("POST /unfit");
}

FH_TEST(an_answer_that_does_not_fit)
{
    MEETS("POST /another_answer");
}

FH_TEST(a_crash)
{
    MEETS("POST /crash");
}

FH_TEST(a_fault_of_a_subscriber)
{
    fh_test_request(t, 204, "clerk", "POST /torn", NULL);
    fh_test_expect_event(t, "clerk", "NoteWritten", NULL);
}

FH_TEST(a_fault_of_a_called_step)
{
    fh_test_request(t, 204, "clerk", "POST /stamping", NULL);
    fh_test_rest(t);
}

FH_TEST(a_fault_of_a_step_of_its_own)
{
    fh_test_request(t, 204, "clerk", "POST /sealing", NULL);
    fh_test_rest(t);
}

FH_TEST(a_fault_of_a_timer)
{
    fh_test_request(t, 204, "clerk", "POST /reminding", NULL);
    fh_test_skip_time(t, 10);
    fh_test_rest(t);
}

FH_TEST(a_fault_among_injected_ones)
{
    fh_test_faults_begin(t);
    fh_test_request(t, 204, "clerk", "POST /misspelt", NULL);
    fh_test_faults_end(t);
}

FH_TEST(a_repeated_outage)
{
    fh_test_request(t, 201, "clerk", "POST /busy", NULL);
}

FH_TEST(an_expected_fault_that_does_not_come)
{
    fh_test_expect_faults(t, "press");
    fh_test_request(t, 201, "clerk", "POST /notes", NULL);
}

FH_TEST(an_expected_fault_of_another_service)
{
    fh_test_expect_faults(t, "press");
    fh_test_request(t, 201, "clerk", "POST /misspelt", NULL);
}

FH_TEST(fine_a_fault_as_the_expected_answer)
{
    fh_test_request(t, 500, "clerk", "POST /misspelt", NULL);
    fh_test_request(t, 500, "clerk", "GET /misspelt", NULL);
    fh_test_request(t, 201, "clerk", "POST /notes", NULL);
}

FH_TEST(fine_a_parked_event)
{
    fh_test_expect_faults(t, "press");
    fh_test_request(t, 204, "clerk", "POST /torn", NULL);
    fh_test_expect_parked(t, "press", 1, 0);
}

FH_TEST(fine_crashes_pauses_and_outages)
{
    fh_test_crash_soon(t, "clerk");
    fh_test_request(t, 201, "clerk", "POST /notes", NULL);
    fh_test_pause(t, "press", 30);
    fh_test_crash(t, "press");
    fh_test_request(t, 201, "clerk", "POST /notes", NULL);
    fh_test_faults_begin(t);
    for (int i = 0; i < 20; i++)
        fh_test_request(t, 201, "clerk", "POST /notes", NULL);
    fh_test_faults_end(t);
}
