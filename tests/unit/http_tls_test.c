/* SPDX-License-Identifier: Apache-2.0 */
/* Server and client with certificates that a system made for itself, and with others'. */

#define _GNU_SOURCE
#include <gnutls/gnutls.h>

#include "http/client.h"
#include "http_certificates.h"

struct call {
    struct world_request request;
    bool done;
    int status;
    char answer[4096], failure[256];
};

static void on_done(struct world_request *request)
{
    struct call *call = request->owner;
    call->done = true;
    call->status = request->status;
    snprintf(call->answer, sizeof call->answer, "%.*s", (int)request->answer_length,
             request->answer);
    snprintf(call->failure, sizeof call->failure, "%s", request->failure ? request->failure : "");
}

/* Two authorities, and what each gave to "site". */
#define BODY_MAX 1000

struct fixture {
    struct site site;
    struct http_tls ours, theirs;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    *state = fixture;
    harness_init(&fixture->site.harness);
    make_tls(fixture->site.harness.folder, "ours", "site", &fixture->ours);
    make_tls(fixture->site.harness.folder, "theirs", "site", &fixture->theirs);
    fixture->site.listen_fd = listen_anywhere(&fixture->site.port);
    fixture->site.tls = &fixture->ours;
    site_serve(&fixture->site, &(struct http_limits){.body_size_max = BODY_MAX});
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    http_tls_release(&fixture->ours);
    http_tls_release(&fixture->theirs);
    site_release(&fixture->site);
    free(fixture);
    return 0;
}

/* One request of a client with `tls` (NULL: plain) to the server, known as `name`. */
static void ask(struct fixture *fixture, const struct http_tls *tls, const char *name,
                const char *path, const char *body, struct call *call)
{
    struct http_client *client;
    struct harness *harness = &fixture->site.harness;
    char address[32];
    assert_int_equal(http_client_new(&harness->loop, harness->world, &client, ERROR_UNHEEDED),
                     FH_OK);
    if (tls)
        http_client_use_tls(client, tls);
    snprintf(address, sizeof address, "127.0.0.1:%d", fixture->site.port);
    http_client_set_address(client, name, address);
    *call = (struct call){.request = {.service = name,
                                      .method = body ? "POST" : "GET",
                                      .path = path,
                                      .body = body,
                                      .body_length = body ? strlen(body) : 0,
                                      .deadline_ns = world_in_ms(harness->world, 60000),
                                      .done = on_done,
                                      .owner = call}};
    http_client_send(client, &call->request);
    harness_until(harness, is_true, &call->done);
    http_client_free(client);
}

static void the_systems_own_processes_speak_with_each_other(void **state)
{
    struct fixture *fixture = *state;
    struct call call;
    ask(fixture, &fixture->ours, "site", "/a?x=1", NULL, &call);
    assert_string_equal(call.failure, "");
    assert_int_equal(call.status, 200);
    assert_string_equal(call.answer, "GET|/a|x=1|0||");
    ask(fixture, &fixture->ours, "site", "/b", "{\"a\":1}", &call);
    assert_string_equal(call.answer, "POST|/b||7|{\"a\":1}|application/json");
    ask(fixture, &fixture->ours, "site", "/later", NULL, &call);
    assert_string_equal(call.answer, "GET|/later||0||");
    ask(fixture, &fixture->ours, "site", "/big?3000", NULL, &call);
    assert_int_equal(strlen(call.answer), 3000);
}

static void a_client_with_another_authoritys_certificate_is_answered_403(void **state)
{
    struct fixture *fixture = *state;
    struct http_tls stranger = {.trusted = fixture->ours.trusted,
                                .certificate = fixture->theirs.certificate,
                                .key = fixture->theirs.key};
    struct call call;
    ask(fixture, &stranger, "site", "/a", NULL, &call);
    assert_int_equal(call.status, 403);
    assert_non_null(strstr(call.answer, "certificate"));
    assert_int_equal(fixture->site.taken, 0);
}

static void a_server_of_another_authority_or_name_gets_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct call call;
    ask(fixture, &fixture->theirs, "site", "/a", NULL, &call);
    assert_int_equal(call.status, 0);
    assert_string_equal(call.failure, "the other side's certificate is not the service's");
    assert_true(call.request.unsent);
    ask(fixture, &fixture->ours, "other", "/a", NULL, &call);
    assert_string_equal(call.failure, "the other side's certificate is not the service's");
    assert_int_equal(fixture->site.taken, 0);
}

static void plain_http_gets_no_answer(void **state)
{
    struct fixture *fixture = *state;
    struct call call;
    ask(fixture, NULL, "site", "/a", NULL, &call);
    assert_int_equal(call.status, 0);
    assert_int_equal(fixture->site.taken, 0);
}

/* ---- A server outside, whose authority is named ---- */

/* A request to https://localhost, of a client that trusts `trusted`, or the machine's authorities.
 */
static void ask_outside(struct fixture *fixture, const struct http_tls *trusted, struct call *call)
{
    struct http_client *client;
    struct harness *harness = &fixture->site.harness;
    char url[64];
    assert_int_equal(http_client_new(&harness->loop, harness->world, &client, ERROR_UNHEEDED),
                     FH_OK);
    http_client_go_outside(client, &(struct outside_rules){.anywhere = true});
    if (trusted)
        http_client_trust(client, trusted);
    snprintf(url, sizeof url, "https://localhost:%d/a", fixture->site.port);
    *call = (struct call){.request = {.url = url,
                                      .method = "GET",
                                      .deadline_ns = world_in_ms(harness->world, 60000),
                                      .done = on_done,
                                      .owner = call}};
    http_client_send(client, &call->request);
    harness_until(harness, is_true, &call->done);
    http_client_free(client);
}

static int set_up_localhost(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    *state = fixture;
    harness_init(&fixture->site.harness);
    make_tls(fixture->site.harness.folder, "ours", "localhost", &fixture->ours);
    make_tls(fixture->site.harness.folder, "theirs", "localhost", &fixture->theirs);
    fixture->site.listen_fd = listen_anywhere(&fixture->site.port);
    fixture->site.tls = &fixture->ours;
    site_serve(&fixture->site, &(struct http_limits){.body_size_max = BODY_MAX});
    return 0;
}

static void a_server_outside_is_trusted_for_the_authority_that_was_named(void **state)
{
    struct fixture *fixture = *state;
    char path[3][160];
    struct http_tls trust;
    struct fh_error error;
    struct call call;
    tls_paths(fixture->site.harness.folder, "ours", path);
    assert_int_equal(http_tls_read_trust(path[0], path[1], path[2], &trust, &error), FH_OK);
    ask_outside(fixture, &trust, &call);
    assert_string_equal(call.failure, "");
    assert_int_equal(call.status, 200);
    ask_outside(fixture, &(struct http_tls){.trusted = trust.trusted}, &call);
    assert_int_equal(call.status, 403); /* who shows no certificate */
    ask_outside(fixture, &fixture->theirs, &call);
    assert_string_equal(call.failure,
                        "the other side's certificate is not one of the host in the URL");
    ask_outside(fixture, NULL, &call);
    assert_string_equal(call.failure,
                        "the other side's certificate is not one of the host in the URL");
    http_tls_release(&trust);
    assert_int_equal(http_tls_read_trust("/nowhere", "", "", &trust, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "/nowhere"));
}

/* ---- A client that does as it likes ---- */

struct wild {
    struct raw *raw;
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
};

static void wild_connect(struct site *site, struct wild *ret, const char *versions,
                         const char *protocol)
{
    char priorities[64];
    snprintf(priorities, sizeof priorities, "NORMAL:-VERS-ALL:+VERS-%s", versions);
    ret->raw = raw_connect(site);
    uv_poll_stop(&ret->raw->poll);
    assert_int_equal(fcntl(ret->raw->fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(gnutls_init(&ret->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
    assert_int_equal(gnutls_priority_set_direct(ret->session, priorities, NULL), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&ret->credentials), 0);
    assert_int_equal(gnutls_credentials_set(ret->session, GNUTLS_CRD_CERTIFICATE, ret->credentials),
                     0);
    gnutls_datum_t name = {(unsigned char *)(uintptr_t)protocol,
                           protocol ? (unsigned)strlen(protocol) : 0};
    if (protocol)
        assert_int_equal(gnutls_alpn_set_protocols(ret->session, &name, 1, 0), 0);
    gnutls_transport_set_int(ret->session, ret->raw->fd);
}

static int wild_handshake(struct wild *wild)
{
    int result;
    while ((result = gnutls_handshake(wild->session)) == GNUTLS_E_AGAIN)
        uv_run(&wild->raw->harness->loop, UV_RUN_NOWAIT);
    return result;
}

/* What comes back for these bytes, until nothing more does. */
static ssize_t wild_ask(struct wild *wild, const char *text, char *buffer, size_t size)
{
    ssize_t got;
    gnutls_record_send(wild->session, text, strlen(text));
    while ((got = gnutls_record_recv(wild->session, buffer, size)) == GNUTLS_E_AGAIN)
        uv_run(&wild->raw->harness->loop, UV_RUN_NOWAIT);
    return got;
}

static void wild_close(struct wild *wild)
{
    gnutls_deinit(wild->session);
    gnutls_certificate_free_credentials(wild->credentials);
    raw_close(wild->raw);
}

static void clients_of_other_protocols_are_refused_in_the_handshake(void **state)
{
    static const struct {
        const char *protocol;
        bool taken;
    } cases[] = {{"http/1.1", true}, {"http/1.0", true}, {NULL, true},
                 {"h2", false},      {"ftp", false},     {"http/1.", false}};
    struct fixture *fixture = *state;
    char buffer[4096];
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct wild wild;
        wild_connect(&fixture->site, &wild, i % 2 ? "TLS1.2" : "TLS1.3", cases[i].protocol);
        assert_int_equal(wild_handshake(&wild) == 0, cases[i].taken);
        if (cases[i].taken) /* a stranger's certificate is missing, which an answer says */
            assert_true(wild_ask(&wild, HEAD_OF("/a"), buffer, sizeof buffer) > 0);
        wild_close(&wild);
    }
    harness_until(&fixture->site.harness, no_connections, &fixture->site);
}

static void a_handshake_that_a_client_begins_anew_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct wild wild;
    wild_connect(&fixture->site, &wild, "TLS1.2", NULL);
    assert_int_equal(wild_handshake(&wild), 0);
    assert_int_not_equal(wild_handshake(&wild), 0);
    harness_until(&fixture->site.harness, no_connections, &fixture->site);
    wild_close(&wild);
}

/* Each is a record that the handshake takes and goes on: without end it would hold up the loop. */
static void warnings_without_end_are_no_handshake(void **state)
{
    struct fixture *fixture = *state;
    struct raw *raw = raw_connect(&fixture->site);
    for (int i = 0; i < 1000; i++)
        raw_send(raw, "\x15\x03\x01\x00\x02\x01\x5a", 7);
    for (int turn = 0; turn < 100 && !raw->closed; turn++)
        uv_run(&fixture->site.harness.loop, UV_RUN_NOWAIT);
    assert_true(raw->closed);
    raw_close(raw);
}

static void a_body_beyond_the_limit_is_refused_with_a_problem(void **state)
{
    struct fixture *fixture = *state;
    struct call call;
    static const size_t lengths[] = {BODY_MAX + 1, (size_t)4 << 20}; /* the second is still sent */
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char *body = malloc(lengths[i] + 1);
        memset(body, 'x', lengths[i]);
        body[lengths[i]] = '\0';
        ask(fixture, &fixture->ours, "site", "/b", body, &call);
        assert_int_equal(call.status, 413);
        free(body);
    }
    assert_int_equal(fixture->site.taken, 0);
}

static void certificates_are_kept_while_they_are_good(void **state)
{
    struct fixture *fixture = *state;
    struct http_tls again, another;
    const char *folder = fixture->site.harness.folder;
    make_tls(folder, "ours", "site", &again);
    assert_string_equal(again.certificate, fixture->ours.certificate);
    assert_string_equal(again.trusted, fixture->ours.trusted);
    http_tls_release(&again);
    make_tls(folder, "ours", "site2", &another); /* under another name: created again */
    assert_string_not_equal(another.certificate, fixture->ours.certificate);
    http_tls_release(&another);
    /* A key without its certificate, as left by a death between the two files. */
    char path[160];
    snprintf(path, sizeof path, "%s/ours/%s", folder, CERTIFICATES_OWN);
    assert_int_equal(unlink(path), 0);
    make_tls(folder, "ours", "site", &again);
    assert_string_not_equal(again.key, fixture->ours.key);
    http_tls_release(&again);
}

static void a_file_that_is_no_certificate_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct http_tls tls;
    struct fh_error error = {0};
    char path[160];
    snprintf(path, sizeof path, "%s/none.pem", fixture->site.harness.folder);
    json_t *places = json_pack("{s:s, s:s}", "certificate", path, "key", path);
    assert_int_equal(http_tls_read(places, &tls, &error), FH_INVALID);
    assert_non_null(strstr(error.message, path));
    json_decref(places);
    assert_int_equal(http_tls_read(NULL, &tls, &error), FH_OK);
    assert_null(tls.certificate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_systems_own_processes_speak_with_each_other, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_client_with_another_authoritys_certificate_is_answered_403, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_of_another_authority_or_name_gets_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(plain_http_gets_no_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_server_outside_is_trusted_for_the_authority_that_was_named, set_up_localhost,
            tear_down),
        cmocka_unit_test_setup_teardown(clients_of_other_protocols_are_refused_in_the_handshake,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_handshake_that_a_client_begins_anew_ends_the_connection,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(warnings_without_end_are_no_handshake, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_beyond_the_limit_is_refused_with_a_problem, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(certificates_are_kept_while_they_are_good, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_certificate_is_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
