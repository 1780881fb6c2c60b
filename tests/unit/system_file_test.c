/* SPDX-License-Identifier: Apache-2.0 */
/* The system file: what it means, and where it is wrong. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/engines.h"
#include "system/file/file.h"

static char folder[] = "/tmp/system-file-XXXXXX";

struct fixture {
    char path[64];
    struct findings findings;
    struct system_file *file;
};

static void read_text(struct fixture *fixture, const char *text, const char *profile)
{
    *fixture = (struct fixture){0};
    snprintf(fixture->path, sizeof fixture->path, "%s/file-XXXXXX", folder);
    json_memory_init();
    int fd = mkstemp(fixture->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    fixture->file = system_file_read(fixture->path, profile, &fixture->findings);
}

static void release(struct fixture *fixture)
{
    unlink(fixture->path);
    system_file_free(fixture->file);
    findings_release(&fixture->findings);
}

/* The only finding is this one. */
static void assert_refused(const char *text, int line, int column, const char *message)
{
    struct fixture fixture;
    read_text(&fixture, text, NULL);
    assert_null(fixture.file);
    for (size_t i = 1; i < fixture.findings.errors; i++)
        print_message("one more: %s\n", fixture.findings.items[i].message);
    assert_int_equal(fixture.findings.errors, 1);
    assert_int_equal(fixture.findings.items[0].place.line, line);
    assert_int_equal(fixture.findings.items[0].place.column, column);
    assert_non_null(strstr(fixture.findings.items[0].message, message));
    release(&fixture);
}

static void the_shortest_file_has_defaults_for_everything_else(void **state)
{
    (void)state;
    struct fixture fixture;
    read_text(&fixture, "system: mini\nservices:\n  users:\n", NULL);
    assert_non_null(fixture.file);
    assert_string_equal(fixture.file->name, "mini");
    assert_string_equal(fixture.file->listen, SYSTEM_LISTEN_DEFAULT);
    assert_int_equal(fixture.file->service_count, 1);
    assert_string_equal(fixture.file->services[0].program, "users");
    assert_string_equal(fixture.file->services[0].engine, "sqlite");
    assert_null(fixture.file->services[0].migrations);
    assert_int_equal(json_object_size(fixture.file->services[0].settings), 0);
    release(&fixture);
}

static void settings_keep_their_types_and_take_texts_from_the_environment(void **state)
{
    (void)state;
    struct fixture fixture;
    setenv("FILE_TEST_TOKEN", "007", 1);
    read_text(&fixture,
              "system: mini\nservices:\n  users:\n    settings:\n"
              "      whole: 12\n      zeros: 007\n      yes: true\n      none: null\n"
              "      quoted: '12'\n      token: ${FILE_TEST_TOKEN}\n"
              "      inside: a-${FILE_TEST_TOKEN}-b\n      literal: $${FILE_TEST_TOKEN}\n"
              "      list: [1, {a: b}]\n",
              NULL);
    assert_non_null(fixture.file);
    char *text = json_text(fixture.file->services[0].settings);
    assert_string_equal(text, "{\"whole\":12,\"zeros\":\"007\",\"yes\":true,\"none\":null,"
                              "\"quoted\":\"12\",\"token\":\"007\",\"inside\":\"a-007-b\","
                              "\"literal\":\"${FILE_TEST_TOKEN}\",\"list\":[1,{\"a\":\"b\"}]}");
    json_text_free(text);
    assert_int_equal(fixture.file->variable_count, 1);
    assert_string_equal(fixture.file->variables[0], "FILE_TEST_TOKEN");
    release(&fixture);
}

#define AUTH "system: mini\nservices: { users: }\ngateway:\n  auth:\n"
#define KEYS_FILE "keys.json" /* next to the system file */

static const char *keys_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "%s/" KEYS_FILE, folder);
    return path;
}

static void put_keys_file(const char *text)
{
    FILE *file = fopen(keys_path(), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void issuers_of_tokens_become_the_gateways_configuration(void **state)
{
    (void)state;
    struct fixture fixture;
    put_keys_file("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\","
                  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
    read_text(&fixture,
              AUTH
              "    jwt:\n"
              "      - issuer: https://id.example.org\n        audience: shop\n"
              "        subjects: id/\n        algorithms: [ES256, EdDSA]\n        leeway_s: 5\n"
              "        roles: realm_access.roles\n        claims: [email, name]\n"
              "      - { issuer: mine, audience: shop, keys: " KEYS_FILE ", subjects: mine/ }\n"
              "      - { issuer: other, audience: shop, keys: 'https://o.example/keys',"
              " subjects: other/ }\n"
              "    forward: true\n",
              NULL);
    assert_non_null(fixture.file);
    char *text = json_text(fixture.file->auth);
    assert_string_equal(text,
                        "{\"jwt\":[{\"issuer\":\"https://id.example.org\",\"audience\":\"shop\","
                        "\"subjects\":\"id/\",\"algorithms\":[\"ES256\",\"EdDSA\"],\"leeway_s\":5,"
                        "\"roles\":\"realm_access.roles\",\"claims\":[\"email\",\"name\"]},"
                        "{\"issuer\":\"mine\",\"audience\":\"shop\",\"subjects\":\"mine/"
                        "\",\"keys\":{\"keys\":[{\"kty\":\"OKP\","
                        "\"crv\":\"Ed25519\",\"kid\":\"a\","
                        "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}},"
                        "{\"issuer\":\"other\",\"audience\":\"shop\",\"subjects\":\"other/\","
                        "\"keys_url\":\"https://o.example/keys\"}],\"forward\":true}");
    json_text_free(text);
    release(&fixture);
    unlink(keys_path());
}

static void issuers_of_tokens_that_can_not_be_trusted_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *issuer;
        int column;
        const char *message;
    } wrong[] = {
        {"{ issuer: http://id.example.org, audience: a }", 9, "must begin with https://"},
        {"{ issuer: 'https://u:p@id.example.org', audience: a }", 9, "must begin with https://"},
        {"{ issuer: mine, audience: a }", 9, "are found by its URL"},
        {"{ issuer: https://id.example.org }", 9, "'audience'"},
        {"{ issuer: https://i.example, audience: a, algorithms: [none] }", 64, "algorithms"},
        {"{ issuer: https://i.example, audience: a, algorithms: [HS256] }", 64,
         "is 'HS256'; expected 'RS256' or 'RS384'"},
        {"{ issuer: https://i.example, audience: a, leeway_s: 601 }", 61, "leeway_s"},
        {"{ issuer: mine, audience: a, keys: ftp://i.example/keys }", 44, "https://"},
        {"{ issuer: mine, audience: a, keys: not-there.json }", 44, "can't be read"},
        {"{ issuer: mine, audience: a, keys: " KEYS_FILE " }", 44, "no key that verifies"},
        {"{ issuer: https://i.example, audience: a, secret: s }", 51, "secret"}};
    put_keys_file("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[512];
        snprintf(text, sizeof text, AUTH "    jwt:\n      - %s\n", wrong[i].issuer);
        assert_refused(text, 6, wrong[i].column, wrong[i].message);
    }
    unlink(keys_path());
    assert_refused(AUTH "    keys: " KEYS_FILE "\n", 5, 11, "freehold key new makes it");
    assert_refused("system: mini\nservices: { users: }\ngateway: { auth: { forward: true } }\n", 3,
                   18, "'introspection', or 'keys'");
    assert_refused("system: mini\nservices: { users: }\ngateway: { auth: { jwt: [] } }\n", 3, 18,
                   "needs an issuer in 'jwt'");
    put_keys_file("{\"keys\":[{\"hash\":\"00\",\"subject\":\"a\"}]}");
    assert_refused(AUTH "    keys: " KEYS_FILE "\n", 5, 11, "/keys/0 has no \"hash\"");
    put_keys_file("{\"keys\":[]}");
    assert_int_equal(chmod(keys_path(), 0620), 0);
    assert_refused(AUTH "    keys: " KEYS_FILE "\n", 5, 11, "others can change");
    unlink(keys_path());
    assert_refused(AUTH "    jwt:\n      - { issuer: https://i.example, audience: a }\n"
                        "      - { issuer: https://i.example, audience: b }\n",
                   7, 9, "a second issuer");
    static const char *const subjects[][2] = {{"a/", "a/"}, {"a/", "a/b"}, {"ab", "a"},
                                              {NULL, "a/"}, {"a/", NULL},  {NULL, NULL}};
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        char text[512], two[2][40] = {"", ""};
        for (int j = 0; j < 2; j++) {
            if (subjects[i][j])
                snprintf(two[j], sizeof two[j], ", subjects: %s", subjects[i][j]);
        }
        snprintf(text, sizeof text,
                 AUTH "    jwt:\n      - { issuer: https://i.example, audience: a%s }\n"
                      "      - { issuer: https://j.example, audience: a%s }\n",
                 two[0], two[1]);
        assert_refused(text, 5, 5, "could be taken for users of");
    }
    assert_refused(AUTH "    jwt: [{ issuer: https://i.example, audience: a, subjects: 'a b' }]\n",
                   5, 63, "must be a prefix");
}

#define ASKED "endpoint: https://i.example/introspect, client: shop, secret: " KEYS_FILE

static void put_secret(const char *text)
{
    put_keys_file(text);
    assert_int_equal(chmod(keys_path(), 0600), 0);
}

static void who_is_asked_of_opaque_tokens_becomes_the_gateways_configuration(void **state)
{
    (void)state;
    struct fixture fixture;
    put_secret("s3cr3t \n");
    read_text(&fixture,
              AUTH "    jwt: [{ issuer: https://i.example, audience: shop }]\n"
                   "    introspection: { " ASKED ", audience: shop, issuer: https://i.example, "
                   "kept_s: 30 }\n",
              NULL);
    assert_non_null(fixture.file);
    char *text = json_text(json_object_get(fixture.file->auth, "introspection"));
    assert_string_equal(text, "{\"endpoint\":\"https://i.example/introspect\",\"client\":\"shop\","
                              "\"secret\":\"s3cr3t \",\"audience\":\"shop\","
                              "\"issuer\":\"https://i.example\",\"kept_s\":30}");
    json_text_free(text);
    release(&fixture);
    static const char *const secrets[] = {"", "\n", "two\nlines\n", "a\tb"};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        put_secret(secrets[i]);
        assert_refused(AUTH "    introspection: { " ASKED ", audience: shop }\n", 5, 84,
                       "one line of text");
    }
    put_keys_file("s3cr3t");
    assert_int_equal(chmod(keys_path(), 0644), 0);
    assert_refused(AUTH "    introspection: { " ASKED ", audience: shop }\n", 5, 84, "chmod 600");
    put_secret("s3cr3t");
    assert_refused(AUTH "    introspection: { " ASKED " }\n", 5, 20, "audience");
    assert_refused(AUTH "    introspection: { " ASKED ", audience: a, kept_s: 0 }\n", 5, 116, "1");
    assert_refused(AUTH "    introspection: { endpoint: http://i.example, client: c, audience: a, "
                        "secret: " KEYS_FILE " }\n",
                   5, 32, "https://");
    /* Whose users are these? */
    assert_refused(AUTH "    jwt: [{ issuer: https://j.example, audience: a }]\n"
                        "    introspection: { " ASKED ", audience: a }\n",
                   5, 5, "taken for users of");
    assert_refused(AUTH "    jwt: [{ issuer: https://i.example, audience: a, subjects: a/ }]\n"
                        "    introspection: { " ASKED
                        ", audience: a, issuer: https://i.example }\n",
                   5, 5, "taken for users of");
    unlink(keys_path());
}

#define DOOR "system: mini\nservices: { users: }\ngateway:\n  tls:\n"
#define DOOR_FILES "    certificate: keys.json\n    key: keys.json\n"

static void whose_certificates_count_becomes_the_gateways_configuration(void **state)
{
    (void)state;
    struct fixture fixture;
    put_secret("x");
    read_text(&fixture,
              DOOR DOOR_FILES
              "    clients: { ca: keys.json, name: uri, subjects: c/, mode: optional, "
              "revoked: keys.json }\n",
              NULL);
    assert_non_null(fixture.file);
    assert_string_equal(json_string_at(fixture.file->door_clients, "name"), "uri");
    assert_string_equal(json_string_at(fixture.file->door_clients, "ca"), keys_path());
    assert_string_equal(json_string_at(fixture.file->door_clients, "revoked"), keys_path());
    assert_true(json_is_true(json_object_get(fixture.file->door_clients, "optional")));
    release(&fixture);
    assert_refused(DOOR DOOR_FILES "    clients: { name: cn }\n", 7, 14, "ca");
    assert_refused(DOOR DOOR_FILES "    clients: { ca: keys.json }\n", 7, 14, "name");
    assert_refused(DOOR DOOR_FILES "    clients: { ca: keys.json, name: any }\n", 7, 37, "uri");
    assert_refused(DOOR DOOR_FILES "    clients: { ca: ., name: cn }\n", 7, 20,
                   "is not a regular file");
    /* The user 7 of an issuer is not the machine 7. */
    assert_refused(DOOR DOOR_FILES "    clients: { ca: keys.json, name: cn }\n  auth:\n"
                                   "    jwt: [{ issuer: https://i.example, audience: a }]\n",
                   9, 5, "users of 'gateway.tls.clients'");
    unlink(keys_path());
}

/* It must not wait for somebody to write into it. */
static void a_fifo_in_place_of_a_file_of_keys_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(keys_path(), 0600), 0);
    alarm(60);
    assert_refused(AUTH "    keys: " KEYS_FILE "\n", 5, 11, "is not a regular file");
    assert_refused(AUTH "    jwt: [{ issuer: mine, audience: a, keys: " KEYS_FILE " }]\n", 5, 46,
                   "is not a regular file");
    assert_refused(AUTH "    jwt: [{ issuer: mine, audience: a, keys: . }]\n", 5, 46,
                   "is not a regular file");
    alarm(0);
    unlink(keys_path());
}

#define GATEWAY "system: mini\nservices: { users: }\ngateway:\n"
#define EXPOSURE "system: mini\nservices: { users: }\nexposure:\n"

static void what_is_for_the_inside_is_said_and_reached_from_there_alone(void **state)
{
    (void)state;
    struct fixture fixture;
    read_text(&fixture,
              "system: mini\nservices: { users: }\ngateway: { inside: '[::1]:9464' }\nexposure:\n"
              "  gateway: { metrics: off, openapi: public }\n  services: { metrics: public }\n",
              NULL);
    assert_non_null(fixture.file);
    assert_int_equal(fixture.file->gateway_exposure[EXPOSED_METRICS], EXPOSURE_OFF);
    assert_int_equal(fixture.file->gateway_exposure[EXPOSED_OPENAPI], EXPOSURE_PUBLIC);
    assert_int_equal(fixture.file->gateway_exposure[EXPOSED_DOCS], EXPOSURE_INSIDE);
    assert_int_equal(fixture.file->service_exposure[EXPOSED_METRICS], EXPOSURE_PUBLIC);
    assert_int_equal(fixture.file->service_exposure[EXPOSED_OPENAPI], EXPOSURE_INSIDE);
    assert_string_equal(fixture.file->inside, "[::1]:9464");
    release(&fixture);
    assert_refused(EXPOSURE "  gateway: { metrics: hidden }\n", 4, 23, "inside");
    assert_refused(EXPOSURE "  services: { docs: off }\n", 4, 15, "docs");
    assert_refused(EXPOSURE "  gateway: { docs: public, openapi: public }\n", 4, 12,
                   "asyncapi is inside");
    assert_refused(EXPOSURE "  gateway: { openapi: off }\n", 4, 12, "openapi is off");
    assert_refused(GATEWAY "  inside: 0.0.0.0:9464\n", 4, 11, "from outside");
    assert_refused(GATEWAY "  inside: '[::]:9464'\n", 4, 11, "from outside");
    assert_refused(GATEWAY "  inside: 8.8.8.8:9464\n", 4, 11, "from outside");
    assert_refused(GATEWAY "  inside: somewhere\n", 4, 11, "not an address");
}

static const char with_profiles[] =
    "profiles:\n  big:\n    users: {settings: {size: 2}, program: other}\n"
    "  later:\n    users: {engine: cassandra, settings: {password: '${FILE_TEST_NOT_SET}'}}\n"
    "system: mini\nservices:\n  users: {settings: {size: 1}}\n  orders: {}\n";

static void a_profile_replaces_what_it_names_and_leaves_the_rest(void **state)
{
    (void)state;
    struct fixture fixture;
    read_text(&fixture, with_profiles, "big");
    assert_non_null(fixture.file);
    const struct system_service *users = system_file_service(fixture.file, "users");
    assert_string_equal(users->program, "other");
    assert_int_equal(json_integer_value(json_object_get(users->settings, "size")), 2);
    assert_string_equal(fixture.file->services[1].program, "orders");
    release(&fixture);
}

static void a_profile_that_is_not_in_use_needs_no_environment_and_no_engine(void **state)
{
    (void)state;
    struct fixture fixture;
    read_text(&fixture, with_profiles, NULL);
    assert_non_null(fixture.file);
    release(&fixture);
    read_text(&fixture, with_profiles, "later");
    assert_null(fixture.file);
    assert_int_equal(fixture.findings.errors, 2);
    assert_non_null(strstr(fixture.findings.items[0].message, "FILE_TEST_NOT_SET"));
    assert_non_null(strstr(fixture.findings.items[1].message,
                           "there is no engine of this name; this freehold has sqlite"));
    release(&fixture);
    read_text(&fixture, with_profiles, "bgi");
    assert_null(fixture.file);
    release(&fixture);
}

static void faults_are_reported_with_their_place(void **state)
{
    (void)state;
    assert_refused("sytem: mini\nsystem: mini\nservices: {a: {}}\n", 1, 1,
                   "unknown key 'sytem'; did you mean 'system'?");
    assert_refused("services: {a: {}}\n", 1, 1, "'system' is missing");
    assert_refused("system: mini\n", 1, 1, "'services' is missing");
    assert_refused("system: mini\nsystem: mini\nservices: {a: {}}\n", 2, 1, "given twice");
    assert_refused("system: Mini\nservices: {a: {}}\n", 1, 9, "'Mini' is not a name for a system");
    assert_refused("system: mini\nservices: [a]\n", 2, 11, "services is a list; expected");
    assert_refused("system: mini\nservices: {gateway: {}}\n", 2, 12, "cannot be named 'gateway'");
    assert_refused("system: mini\nservices: {a: {instances: 0}}\n", 2, 27, "from 1 to 64");
    assert_refused("system: mini\nservices: {a: {instances: 2}}\n", 2, 27, "one process");
    assert_refused("system: mini\nservices: {a: {engine: sqlit}}\n", 2, 24,
                   "did you mean 'sqlite'");
    assert_refused("system: mini\nservices: {a: {migrations: nowhere}}\n", 2, 28, "no such folder");
    assert_refused("system: mini\ngateway: {listen: '8080'}\nservices: {a: {}}\n", 2, 19,
                   "Expected ADDRESS:PORT");
    assert_refused("system: mini\nservices: {a: {settings: {b: '${c'}}}\n", 2, 30,
                   "expected ${NAME}");
    assert_refused("system: mini\nservices: {a: {}}\nprofiles: {p: {b: {}}}\n", 3, 16,
                   "no service 'b'");
    assert_refused("system: mini\nservices: {a: {}}\nprofiles: {p: {a: {engine: potgresql}}}\n", 3,
                   28, "did you mean 'postgresql'");
    assert_refused("system: mini\nservices: {a: {}}\nservers: {main: {engine: postgresql}}\n"
                   "profiles: {p: {a: {engine: postgresql, store: {server: mian}}}}\n",
                   4, 47, "the file has no server 'mian'; did you mean 'main'?");
    assert_refused("", 1, 1, "the file is empty");
    assert_refused("system: mini\n--- \nsystem: b\n", 3, 1, "a second YAML document");
    assert_refused("system: mini\n\tservices: {}\n", 2, 1, "a tab stands here");
    assert_refused("system: mini\nservices:\n  a:\n    \tprogram: b\n", 4, 5, "a tab stands here");
    assert_refused("system: mini\nservices: {a: {program: @b}}\n", 2, 25,
                   "unless it stands in quotes");
    assert_refused("system: \"\xc3\xbc\xe9\"\n", 1, 12, "not valid UTF-8 text");
    assert_refused("system: mini\n# \x01\n", 2, 3, "not valid UTF-8 text");
}

/* That its programs may be missing here is another finding. */
static void the_names_of_the_door_are_read_with_their_places(void **state)
{
    (void)state;
    assert_refused("system: mini\ngateway: {hosts: ['shop.example.org:80']}\nservices: {a: {}}\n",
                   2, 19, "is not a host. Expected a name or an address without a port");
    assert_refused("system: mini\ngateway: {hosts: [ok.example.org, '*x']}\nservices: {a: {}}\n", 2,
                   35, "gateway.hosts[1] '*x' is not a host");
    assert_refused(
        "system: mini\ngateway: {cors: {origins: [app.example.org]}}\nservices: {a: {}}\n", 2, 28,
        "is not an origin. Expected https://HOST");
    assert_refused("system: mini\ngateway: {cors: {origins: ['https://a/b']}}\nservices: {a: {}}\n",
                   2, 28, "is not an origin");
    assert_refused("system: mini\ngateway: {cors: {origins: ['*'], credentials: true}}\n"
                   "services: {a: {}}\n",
                   2, 17, "would let any page act as whoever opens it");
    assert_refused("system: mini\ngateway: {hsts_s: -1}\nservices: {a: {}}\n", 2, 19, "hsts_s");
}

static void limits_are_read_with_their_places(void **state)
{
    (void)state;
    static const char good[] =
        "system: mini\ngateway:\n  proxies: [10.0.0.0/8, '2001:db8::/32', 192.0.2.7]\n"
        "  limits: {user: {requests: 7, window_s: 3}, key: {requests: 0}, unread_kib: 9,\n"
        "    connections: 40}\n"
        "services: {a: {}}\n";
    struct fixture fixture;
    read_text(&fixture, good, NULL);
    assert_non_null(fixture.file);
    json_t *limits = system_file_limits(&fixture.file->limits, fixture.file->name);
    json_t *proxies = system_file_proxies(&fixture.file->limits);
    char *said = json_text(limits), *listed = json_text(proxies);
    assert_string_equal(said, "{\"address\":{},\"user\":{\"requests\":7,\"window_s\":3},"
                              "\"key\":{\"requests\":0},\"connections\":40,\"unread_kib\":9}");
    assert_string_equal(listed, "[\"10.0.0.0/8\",\"2001:db8::/32\",\"192.0.2.7\"]");
    json_text_free(said);
    json_text_free(listed);
    json_decref(limits);
    json_decref(proxies);
    release(&fixture);
    assert_refused("system: mini\ngateway: {proxies: [10.0.0.1/8]}\nservices: {a: {}}\n", 2, 21,
                   "is not an address or network. Expected one such as 192.0.2.7");
    assert_refused("system: mini\ngateway: {proxies: [proxy.example.org]}\nservices: {a: {}}\n", 2,
                   21, "is not an address or network");
    assert_refused("system: mini\ngateway: {limits: {user: {window_s: 3}}}\nservices: {a: {}}\n", 2,
                   26, "requests");
    assert_refused("system: mini\ngateway: {limits: {user: {requests: -1}}}\nservices: {a: {}}\n",
                   2, 37, "requests");
    assert_refused("system: mini\ngateway: {limits: {connections: 0}}\nservices: {a: {}}\n", 2, 33,
                   "connections");
    assert_refused("system: mini\ngateway: {limits: {in_flight: 0}}\nservices: {a: {}}\n", 2, 31,
                   "in_flight");
}

static void counters_that_gateways_share_are_named_like_a_store(void **state)
{
    (void)state;
    struct fixture fixture;
    if (!engine_named("redis"))
        SKIP_BECAUSE("Redis is not built in");
    setenv("FILE_TEST_TOKEN", "hush", 1);
    read_text(
        &fixture,
        "system: mini\ngateway:\n  limits:\n    shared: {engine: redis, host: db.example.org,\n"
        "      user: gate, password: '${FILE_TEST_TOKEN}', tls: {ca: /etc/ca.pem}}\n"
        "services: {a: {}}\n",
        NULL);
    assert_non_null(fixture.file);
    json_t *limits = system_file_limits(&fixture.file->limits, "mini");
    char *said = json_text(json_object_get(limits, "shared"));
    assert_string_equal(said,
                        "{\"engine\":\"redis\",\"host\":\"db.example.org\",\"port\":6379,"
                        "\"user\":\"gate\",\"password\":\"hush\",\"database\":\"mini_limits\","
                        "\"tls\":{\"mode\":\"verify\",\"ca\":\"/etc/ca.pem\"}}");
    json_text_free(said);
    json_decref(limits);
    release(&fixture);
    static const struct {
        const char *shared;
        int column;
        const char *message;
    } refused[] = {
        {"{host: a}", 28, "engine"},
        {"{engine: redis}", 28, "host"},
        {"{engine: sqlite, host: a}", 37,
         "has counters that gateways can share; this freehold has redis"},
        {"{engine: rediss, host: a}", 37, "did you mean 'redis'?"},
        {"{engine: redis, host: 'a:6379'}", 50, "a port has a key of its own"},
        {"{engine: redis, host: run/redis.sock}", 50, "absolute path"},
        {"{engine: redis, host: /run/redis.sock, port: 1}", 28, "a socket, which has no port"},
        {"{engine: redis, host: /run/redis.sock, tls: {mode: verify}}", 28, "no TLS"},
        {"{engine: redis, host: a, user: b}", 28, "needs a password"},
        {"{engine: redis, host: a, database: 'a:b'}", 63, "letters, digits"},
        {"{engine: redis, host: a, port: 70000}", 59, "65535"},
        {"{engine: redis, host: a, password_file: here}", 68, "absolute path"},
        {"{engine: redis, host: a, password_file: /nowhere/x}", 68, "can't be read"},
        {"{engine: redis, host: a, tls: {ca: here}}", 63, "absolute path"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "system: mini\ngateway: {limits: {shared: %s}}\nservices: {a: {}}\n",
                 refused[i].shared);
        assert_refused(text, 2, refused[i].column, refused[i].message);
    }
}

static void assert_door(const char *gateway, const char *listen, const char *expected)
{
    struct fixture fixture;
    char text[256];
    snprintf(text, sizeof text, "system: mini\n%sservices: {a: {}}\n", gateway);
    read_text(&fixture, text, NULL);
    assert_non_null(fixture.file);
    json_t *door = system_file_door(&fixture.file->door, listen);
    json_t *seen = json_pack("{s:O?, s:O}", "hosts", json_object_get(door, "hosts"), "addresses",
                             json_object_get(door, "addresses"));
    char *said = json_text(seen);
    assert_string_equal(said, expected);
    json_text_free(said);
    json_decref(seen);
    json_decref(door);
    release(&fixture);
}

static void without_hosts_it_is_reached_by_what_it_listens_on(void **state)
{
    (void)state;
    assert_door("", "127.0.0.1:80", "{\"hosts\":null,\"addresses\":\"loopback\"}");
    assert_door("", "localhost:80", "{\"hosts\":null,\"addresses\":\"loopback\"}");
    assert_door("", "[::1]:80", "{\"hosts\":null,\"addresses\":\"loopback\"}");
    assert_door("", "0.0.0.0:80", "{\"hosts\":null,\"addresses\":\"any\"}");
    assert_door("", "[::]:80", "{\"hosts\":null,\"addresses\":\"any\"}");
    assert_door("", "192.0.2.7:80", "{\"hosts\":[\"192.0.2.7\"],\"addresses\":\"none\"}");
    assert_door("gateway: {hosts: [Shop.Example.org]}\n", "0.0.0.0:80",
                "{\"hosts\":[\"shop.example.org\"],\"addresses\":\"none\"}");
}

static void what_a_private_server_can_not_promise_is_warned_about(void **state)
{
    (void)state;
    static const char beginning[] = "system: mini\nservers:\n  there: { engine: mongodb, host: "
                                    "127.0.0.1, port: 27017, user: u, password: p }\nservices:\n";
    char text[512];
    for (int i = 0; i < 2; i++) {
        struct fixture fixture;
        snprintf(text, sizeof text, "%s  users: { engine: mongodb%s }\n", beginning,
                 i ? ", store: { server: there }" : "");
        read_text(&fixture, text, NULL);
        bool warned = false;
        for (size_t j = 0; j < fixture.findings.count; j++)
            warned = warned || strstr(fixture.findings.items[j].message, "FerretDB 1, which");
        assert_int_equal(warned, i == 0);
        release(&fixture);
    }
}

static void values_of_the_environment_are_never_part_of_a_message(void **state)
{
    (void)state;
    struct fixture fixture;
    setenv("FILE_TEST_TOKEN", "hush-hush", 1);
    read_text(&fixture,
              "system: ${FILE_TEST_TOKEN}!\ngateway: {listen: '${FILE_TEST_TOKEN}'}\n"
              "services: {a: {engine: '${FILE_TEST_TOKEN}', migrations: '${FILE_TEST_TOKEN}'}}\n",
              NULL);
    assert_int_equal(fixture.findings.errors, 4);
    json_t *all = findings_json(&fixture.findings);
    char *text = json_text(all);
    assert_null(strstr(text, "hush"));
    json_text_free(text);
    json_decref(all);
    release(&fixture);
}

static void values_that_contain_themselves_or_swell_are_refused(void **state)
{
    (void)state;
    assert_refused("system: mini\nservices: {a: {settings: &s {again: *s}}}\n", 2, 26,
                   "nested deeper than 16 levels");
    assert_refused(
        "system: mini\nservices:\n  a:\n    settings:\n"
        "      a: &a [1,1,1,1,1,1,1,1,1,1]\n      b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
        "      c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
        "      d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
        5, 32, "more than 10000 values");
}

static void all_faults_are_counted_and_the_first_twenty_kept(void **state)
{
    (void)state;
    struct fixture fixture;
    char text[2048] = "system: mini\nservices:\n  a: {}\n";
    for (int i = 0; i < 30; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "  A%d: {}\n", i);
    read_text(&fixture, text, NULL);
    assert_int_equal(fixture.findings.errors, 30);
    assert_int_equal(fixture.findings.count, FINDINGS_MAX);
    assert_int_equal(fixture.findings.items[0].place.line, 4);
    release(&fixture);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shortest_file_has_defaults_for_everything_else),
        cmocka_unit_test(settings_keep_their_types_and_take_texts_from_the_environment),
        cmocka_unit_test(a_profile_replaces_what_it_names_and_leaves_the_rest),
        cmocka_unit_test(a_profile_that_is_not_in_use_needs_no_environment_and_no_engine),
        cmocka_unit_test(faults_are_reported_with_their_place),
        cmocka_unit_test(the_names_of_the_door_are_read_with_their_places),
        cmocka_unit_test(limits_are_read_with_their_places),
        cmocka_unit_test(counters_that_gateways_share_are_named_like_a_store),
        cmocka_unit_test(without_hosts_it_is_reached_by_what_it_listens_on),
        cmocka_unit_test(what_a_private_server_can_not_promise_is_warned_about),
        cmocka_unit_test(values_of_the_environment_are_never_part_of_a_message),
        cmocka_unit_test(values_that_contain_themselves_or_swell_are_refused),
        cmocka_unit_test(issuers_of_tokens_become_the_gateways_configuration),
        cmocka_unit_test(issuers_of_tokens_that_can_not_be_trusted_are_refused),
        cmocka_unit_test(what_is_for_the_inside_is_said_and_reached_from_there_alone),
        cmocka_unit_test(who_is_asked_of_opaque_tokens_becomes_the_gateways_configuration),
        cmocka_unit_test(whose_certificates_count_becomes_the_gateways_configuration),
        cmocka_unit_test(a_fifo_in_place_of_a_file_of_keys_is_refused),
        cmocka_unit_test(all_faults_are_counted_and_the_first_twenty_kept),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
