/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

/* A loop, the real world and a folder for a test. Code under test that parks runs on a fiber; a
 * failing cmocka assertion must not be made there, so fibers store what they saw and the test
 * asserts afterwards, on the main stack. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <cmocka.h>

#include "skip.h"
#include "world/real.h"
#include "world/world.h"

#define HARNESS_MS_MAX 90000 /* with a sanitizer on a busy machine, too */
/* In its place, in seconds: more by tools/aside, fewer for a deliberate bug. */
#define HARNESS_PATIENCE "FREEHOLD_TEST_PATIENCE_S"

struct harness {
    uv_loop_t loop;
    struct world *world;
    int64_t ms_max;  /* HARNESS_MS_MAX; more for what has longer patience of its own */
    char folder[64]; /* fresh, under TMPDIR; removed by harness_release */
};

void harness_init(struct harness *harness);
void harness_release(struct harness *harness);
/* Runs entry(argument) on a fiber and the loop until it has returned (and what it waits for). */
void harness_run(struct harness *harness, void (*entry)(void *), void *argument);
/* Runs several concurrently until all have returned. */
void harness_run_all(struct harness *harness, void (*entry)(void *), void **arguments, int count);
/* Turns the loop until the condition holds; fails the test after `ms_max`. */
void harness_until(struct harness *harness, bool (*holds)(void *), void *argument);

#endif
