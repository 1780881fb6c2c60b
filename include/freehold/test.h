/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_TEST_H
#define FREEHOLD_TEST_H

/*
 * Tests of services, on the simulator: the services are unchanged, each test has stores of its own,
 * and time is virtual. A test is straight-line code; it ends at the first unmet expectation. It is
 * run for several seeds: the same steps, but other delays, orders of events and crashes. At its end
 * the system must become idle with nothing parked. See docs/guide/testing.md; `freehold test` runs
 * the tests.
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
 * These calls take ownership of JSON arguments, so json_pack can stand in the call. JSON that they
 * return belongs to the test: it lives until the test's end and must not be released.
 */

#include <freehold.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fh_test fh_test;

/* What fh_object(t, ...) and fh_array(t, ...) call. Here they take over the JSON that they are
 * given, and what they return is passed on, like what json_pack returns. */
FH_API json_t *fh_test_object_of(fh_test *t, const struct fh_member_value *members, size_t count);
FH_API json_t *fh_test_array_of(fh_test *t, const struct fh_value *values, size_t count);
#ifdef __cplusplus
extern "C++" {
inline json_t *fh_build_object(fh_test *t, const struct fh_member_value *members, size_t count)
{
    return fh_test_object_of(t, members, count);
}
inline json_t *fh_build_array(fh_test *t, const struct fh_value *values, size_t count)
{
    return fh_test_array_of(t, values, count);
}
}
#else
#undef FH_OBJECT_FUNCTION
#undef FH_ARRAY_FUNCTION
#define FH_OBJECT_FUNCTION(t) _Generic((t), fh_work * : fh_object_of, fh_test * : fh_test_object_of)
#define FH_ARRAY_FUNCTION(t) _Generic((t), fh_work * : fh_array_of, fh_test * : fh_test_array_of)
#endif

struct fh_test_case {
    const char *service; /* only this one runs, the others are stubs; NULL: all run */
    const char *name, *file;
    int line;
    void (*body)(fh_test *t);
};

/* A test of the whole system: all its services run. */
#define FH_TEST(test_name) FH_TEST_CASE(fh_test_all_##test_name, NULL, #test_name)
/* A test of one service. The others are stubs: they publish and answer what the test says, as far
 * as their own declarations allow. */
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

/* Sends "POST /api/orders?x=1" to a running service, which must answer with `status`. Returns the
 * answer's body, or NULL. Any method but GET has a key and is repeated until it is answered (if
 * `status` is below 500), so the test may crash the service meanwhile. */
FH_API json_t *fh_test_request(fh_test *t, int status, const char *service, const char *request,
                               json_t *body);
/* The same of a route with `.body_type` or `.answer_type`: `length` bytes (0: no body) are sent as
 * the type that it declares. Returns the answer's, *ret_length of them (may be NULL), and a NUL
 * behind them. */
FH_API const char *fh_test_request_bytes(fh_test *t, int status, const char *service,
                                         const char *request, const void *body, size_t length,
                                         size_t *ret_length);
/* From now on requests are made on behalf of this user, as if the gateway had authenticated them;
 * `subject` NULL: of nobody, as at the beginning. Their scopes and roles are written as in `.auth`:
 * FH_SCOPE("stock:write") FH_ROLE("staff"); NULL: none. `claims` may be NULL. */
FH_API void fh_test_login(fh_test *t, const char *subject, const char *grants, json_t *claims);
/* As if a handler of that service had published the event and committed. `data` must fit the
 * declared shape. */
FH_API void fh_test_publish(fh_test *t, const char *service, const char *type, json_t *data);
/* What a stub answers from now on: "GET /api/users/{id}". The service must declare this route, and
 * an answer of this status and shape. Below 400 the step is done, below 500 it is refused, and from
 * 500 on it is retried. An undo is answered as done unless the test says otherwise, and a service
 * that takes something over (`.takes_over`) finds nothing there.
 * What is outside the system is always a stub: the service is "https://api.example.org" then, one
 * of the declared `fetches`, and `body` is any JSON, or a string for what is not JSON. */
FH_API void fh_test_stub(fh_test *t, const char *service, const char *request, int status,
                         json_t *body);
/* Lets time pass, as much as you like: it is no part of the four hours that a test may take. */
FH_API void fh_test_skip_time(fh_test *t, int seconds);
/* Waits until no saga is running and all events are applied. */
FH_API void fh_test_rest(fh_test *t);
/* The machine loses power now, and the service is started again. */
FH_API void fh_test_crash(fh_test *t, const char *service);
/* The same, or a kill, at some step of what the service does next, another one for each seed. */
FH_API void fh_test_crash_soon(fh_test *t, const char *service);
/* The service does nothing and answers nobody for that many seconds. */
FH_API void fh_test_pause(fh_test *t, const char *service, int seconds);
/* Between these two anything may fail, as in a simulation (docs/internals/simulation.md). */
FH_API void fh_test_faults_begin(fh_test *t);
FH_API void fh_test_faults_end(fh_test *t);

/* ---- What must hold ---- */

FH_API void fh_test_expect(fh_test *t, bool holds, const char *format, ...) FH_PRINTF(3, 4);
/* The value has everything that `expected` has; an array has exactly as many elements. */
FH_API void fh_test_expect_json(fh_test *t, json_t *value, json_t *expected);
/* The array has so many elements. */
FH_API void fh_test_expect_count(fh_test *t, json_t *array, size_t count);
/* The service has published such an event, or does so within a minute: its data has everything that
 * `data` has (NULL: any data). Returns the event's data. */
FH_API json_t *fh_test_expect_event(fh_test *t, const char *service, const char *type,
                                    json_t *data);
/* When idle: exactly this many events of that type were published. */
FH_API void fh_test_expect_events(fh_test *t, const char *service, const char *type, int count);
/* When idle: a stub was asked this often; all attempts of one command count once. */
FH_API void fh_test_expect_asked(fh_test *t, const char *service, const char *request, int count);
/* When idle: this many events and sagas are parked there. Without this call: none. */
FH_API void fh_test_expect_parked(fh_test *t, const char *service, int events, int sagas);
/* From now on handlers of the service may have faults: answer 500, for wrong SQL, an event or an
 * answer that does not fit its shape, fh_fail(w, 500, ...). At the test's end at least one has had
 * one. Without this call the first fault ends the test, unless it is the answer to a request for
 * which 500 is expected. */
FH_API void fh_test_expect_faults(fh_test *t, const char *service);
/* Rows of a service's store, read directly, not through the service: an array of objects. */
FH_API json_t *fh_test_rows(fh_test *t, const char *service, const char *sql);

#ifdef __cplusplus
}
#endif
#endif
