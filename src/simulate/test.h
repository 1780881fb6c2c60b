/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_TEST_H
#define SIMULATE_TEST_H

/*
 * What the files of users' tests share:
 *
 *     test_run.c       a test's life
 *     test_expect.c    what must hold
 *     test_fault.c     what it makes of handlers' faults
 *     test_stub.c      what it says of services that do not run (stub.c), and what must hold of
 * them test.c           what happens in it test_main.c      `main` of a program of tests
 */

#include <freehold/test.h>

#include "simulate/run_parts.h"

#define TEST_STUBS_MAX 64
#define TEST_ASKED_MAX 10000

struct test_stub {
    const char *service, *method, *path; /* a pattern */
    int status;
    json_t *body; /* or NULL */
};

struct fh_test {
    struct run *run;
    const struct fh_test_case *declared;
    fh_client client;
    const char *user, *grants; /* of the requests from now on, or NULL */
    json_t *claims;
    json_t *kept; /* what was handed to the test */
    int requests; /* so far: their keys */
    struct test_stub stubs[TEST_STUBS_MAX];
    int stub_count;
    json_t *asked;  /* of stubs: {"service", "method", "path", "key"} */
    json_t *parked; /* by service: [events, sagas] that the test expects */
    json_t *faults; /* by service whose handlers' faults the test expects: how many there were */
    const char *expects_500; /* the service whose answer, under way, is expected to be a fault */
};

/* "POST /api/orders?x=1" as method and path, which live as long as the test. */
void test_request_split(fh_test *t, const char *request, const char **ret_method,
                        const char **ret_path);
/* The node of a service, whether it runs or is a stub. There is one, or the test ends. */
struct run_node *test_node(fh_test *t, const char *service);
/* Says what is wrong and ends the test. */
_Noreturn void test_fail(fh_test *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void test_end(fh_test *t); /* it was said already */
/* A handler has a fault: ends the test, unless it expects that. */
void test_fault_met(struct run *run, const fh_work *w);
void test_check_faults(fh_test *t);           /* at its end: those that it expects have come */
json_t *test_keep(fh_test *t, json_t *value); /* until the test's end; NULL is fine */
/* The declared route that a request to `path` (without its query) comes to, or NULL. */
const struct fh_route *test_route(const fh_service *service, const char *method, const char *path);
/* stub.c: the first fault, as a sentence's end; NULL: it fits. malloc'ed. */
char *stub_unfit(const fh_field *shape, const json_t *value);
/* What a test calls a host outside: "https://api.example.org". malloc'ed. */
char *test_outside_name(const char *host);
/* What `expected` has and `value` has not, as one line; NULL: nothing. malloc'ed. */
char *test_lack(const json_t *value, const json_t *expected);

#endif
