/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_TEST_H
#define FREEHOLD_TEST_H

/*
 * Tests of services, on the simulator: the services unchanged, each test with stores of its own, on
 * virtual time. A test is straight-line code; it ends at the first thing that is not as expected.
 * Each is run for several seeds: the same steps, with other delays, orders and deaths. At its end
 * the system must come to rest with nothing parked. See docs/guide/testing.md; `freehold test` runs them.
 *
 *     FH_TEST_OF(orders, a_cancelled_order_says_why)
 *     {
 *         fh_test_stub(t, "users", "GET /api/users/{id}", 200, json_pack("{s:i, ...}", "id", 1));
 *         fh_test_stub(t, "payments", "POST /api/payments", 402, NULL);
 *         fh_test_request(t, 202, "orders", "POST /api/orders", json_pack("{...}"));
 *         fh_test_crash_soon(t, "orders");
 *         fh_test_expect_event(t, "orders", "OrderCancelled", json_pack("{s:s}", "reason", "..."));
 *     }
 *
 * JSON that is given is taken over (json_pack can stand in the call). JSON that is returned belongs
 * to the test: it lives until its end and is not released.
 */

#include <freehold.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fh_test fh_test;

struct fh_test_case {
    const char *service; /* which alone runs, others are stubs; NULL: all run */
    const char *name, *file;
    int line;
    void (*body)(fh_test *t);
};

/* A test of the whole system: all its services run. */
#define FH_TEST(test_name) FH_TEST_CASE(fh_test_all_##test_name, NULL, #test_name)
/* A test of one service. The others are stubs: they publish what the test says, and answer what it
 * says, as far as their own declarations allow it. */
#define FH_TEST_OF(service_name, test_name)                                                        \
    FH_TEST_CASE(fh_test_##service_name##_##test_name, #service_name, #test_name)

#define FH_TEST_CASE(body_name, service_name, test_name)                                           \
    static void body_name(fh_test *t);                                                             \
    static const struct fh_test_case body_name##_case = {service_name, test_name, __FILE__,        \
                                                         __LINE__, body_name};                     \
    static const struct fh_test_case *const body_name##_registered                                 \
        __attribute__((used, retain, section("fh_tests"))) = &body_name##_case;                    \
    static void body_name(fh_test *t)

/* ---- What happens ---- */

/* "POST /api/orders?x=1" to a service that runs, answered with `status`. The answer's body, or
 * NULL. What is no GET has a key and is sent again until it is answered (when a status below 500
 * is expected), so that the test may crash the service meanwhile. */
FH_API json_t *fh_test_request(fh_test *t, int status, const char *service, const char *request,
                               json_t *body);
/* As if a handler of that service had published it, and committed. It must fit the declared shape.
 */
FH_API void fh_test_publish(fh_test *t, const char *service, const char *type, json_t *data);
/* What a stub answers from now on, until it is said otherwise: "GET /api/users/{id}". The service
 * must declare such a route, and an answer of that status and shape. A step is done below 400,
 * refused below 500, and tried again from there on. An undo is done unless it is said otherwise. */
FH_API void fh_test_stub(fh_test *t, const char *service, const char *request, int status,
                         json_t *body);
/* Time goes on, and everything with it. */
FH_API void fh_test_skip_time(fh_test *t, int seconds);
/* Until no saga is on its way and all events are applied. */
FH_API void fh_test_rest(fh_test *t);
/* The machine's power goes, now; the service is started again. */
FH_API void fh_test_crash(fh_test *t, const char *service);
/* The same at some step of what it does next, another one for each seed. */
FH_API void fh_test_crash_soon(fh_test *t, const char *service);
/* It does nothing and answers nobody for so long. */
FH_API void fh_test_pause(fh_test *t, const char *service, int seconds);
/* From here on anything may fail, as in a simulation (docs/internals/simulation.md), until it is ended. */
FH_API void fh_test_faults_begin(fh_test *t);
FH_API void fh_test_faults_end(fh_test *t);

/* ---- What must hold ---- */

FH_API void fh_test_expect(fh_test *t, bool holds, const char *format, ...) FH_PRINTF(3, 4);
/* The value has all that `expected` has: members of objects, elements of arrays. */
FH_API void fh_test_expect_json(fh_test *t, json_t *value, json_t *expected);
/* The service publishes, within a minute, or has published such an event: its data has all that
 * `data` has (NULL: anything). The data. */
FH_API json_t *fh_test_expect_event(fh_test *t, const char *service, const char *type,
                                    json_t *data);
/* When all is at rest: exactly so many events of that type were published. */
FH_API void fh_test_expect_events(fh_test *t, const char *service, const char *type, int count);
/* When all is at rest: a stub was asked so often; the attempts of one command count once. */
FH_API void fh_test_expect_asked(fh_test *t, const char *service, const char *request, int count);
/* When all is at rest: so many events are parked there, and so many sagas. Without it: none. */
FH_API void fh_test_expect_parked(fh_test *t, const char *service, int events, int sagas);
/* Rows of a service's store, read past the service: an array of objects. */
FH_API json_t *fh_test_rows(fh_test *t, const char *service, const char *sql);

#ifdef __cplusplus
}
#endif
#endif
