/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of private servers on their command lines, and what servers say of wrong ones. */

#include "../support/harness.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/engines.h"
#include "store/server.h"

static const char *const engines[] = {"postgresql", "mariadb", "redis", "mongodb"};

static bool is_among(const struct server_command *command, const char *expected)
{
    for (size_t i = 0; i < command->count; i++) {
        if (strstr(command->arguments[i], expected))
            return true;
    }
    return false;
}

/* As many as a file may have, each of the longest value. */
static void all_settings_are_on_the_command_line(void **state)
{
    struct arena arena;
    char folder[] = "/tmp/server_settings_XXXXXX", value[4097], path[64];
    json_t *settings = json_object();
    (void)state;
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < SERVER_SETTINGS_MAX; i++)
        json_object_set_new(settings, (char[]){'s', (char)('a' + i / 26), (char)('a' + i % 26), 0},
                            i % 2 ? json_integer(i) : json_string(value));
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/" SERVER_SECRET, folder);
    arena_init(&arena, ARENA_SIZE_MAX);
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
        const struct server_kind *kind = server_kind(engines[i]);
        struct fh_error error;
        struct server_own own = {&arena, "/programs", folder,   folder,
                                 ".",    "secret",    settings, NULL};
        struct server_command run = {.arena = &arena}, read = {.arena = &arena};
        if (!kind)
            continue;
        assert_int_equal(kind->run(&own, &run, &error), FH_OK);
        unlink(path);
        kind->read_settings(&own, &read);
        for (int j = 0; j < SERVER_SETTINGS_MAX; j++) {
            const char name[] = {'s', (char)('a' + j / 26), (char)('a' + j % 26), 0};
            assert_true(is_among(&run, name) && is_among(&read, name));
        }
        assert_true(is_among(&run, value) && is_among(&read, value));
    }
    json_decref(settings);
    arena_release(&arena);
    rmdir(folder);
}

static void assert_fault(const char *engine, int exit_code, const char *written,
                         const char *expected)
{
    struct arena arena;
    const struct server_kind *kind = server_kind(engine);
    if (!kind)
        return;
    arena_init(&arena, ARENA_SIZE_MAX);
    const char *fault = kind->settings_fault(&arena, exit_code, written);
    if (expected)
        assert_string_equal(fault, expected);
    else
        assert_null(fault);
    arena_release(&arena);
}

static void what_a_server_complains_of_is_found_in_what_it_writes(void **state)
{
    (void)state;
    assert_fault("postgresql", 0, "LOG:  skipping missing file\n", NULL);
    assert_fault("postgresql", 1, "2026 GMT [7] FATAL:  no \"x\"\n2026 GMT [7] HINT:  Try y.\n",
                 "no \"x\"; Try y.");
    assert_fault("postgresql", 1, "FATAL:  no \"x\"", "no \"x\"");
    assert_fault("postgresql", 127, "first\nlast line\n\n", "last line");
    assert_fault("postgresql", 9, "", "it ends with exit code 9");
    assert_fault("mariadb", 0, "1 [Warning] adjusted\n", NULL);
    assert_fault("mariadb", 0, "1 [ERROR] Buffered error: /usr/sbin/mariadbd: bad\n2 [ERROR] b\n",
                 "bad");
    assert_fault("mariadb", 1, "no character set\n", "no character set");
    assert_fault("redis", 1, "at line 3\n>>> 'freehold-reads-no-further \"yes\"'\nBad directive\n",
                 NULL);
    assert_fault("redis", 1, "at line 3\n>>> 'maxmemory \"12q\"'\nmust be memory\n",
                 "must be memory");
    assert_fault("redis", 0, "", "it ends with exit code 1");
    assert_fault("mongodb", 0, "", NULL);
    assert_fault("mongodb", 1, "ferretdb: error: unknown flag --x\n", "unknown flag --x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_settings_are_on_the_command_line),
        cmocka_unit_test(what_a_server_complains_of_is_found_in_what_it_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
