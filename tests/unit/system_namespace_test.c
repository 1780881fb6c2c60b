/* SPDX-License-Identifier: Apache-2.0 */
/* What a process sees in its mount namespace, as root and not; whose the files in its folder are;
 * and which numbers users have. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "system/provision/libraries.h"
#include "system/provision/namespace.h"
#include "system/provision/numbers.h"
#include "system/provision/part.h"
#include "system/provision/users.h"

#define NOBODY 65534
#define OTHER 2013265999U /* like a service's */

static struct harness harness;
static char closed[128];

static const char *in_closed(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", closed, name);
    return path;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static int set_up(void **unused)
{
    static const char *const folders[] = {"",
                                          "state",
                                          "state/users",
                                          "state/orders",
                                          "releases",
                                          "releases/1",
                                          "migrations",
                                          "private",
                                          "state/sockets",
                                          "state/sockets/users",
                                          "state/sockets/orders"};
    (void)unused;
    umask(022);
    harness_init(&harness);
    assert_int_equal(chmod(harness.folder, 0711), 0);
    snprintf(closed, sizeof closed, "%s/closed", harness.folder);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_int_equal(mkdir(in_closed(folders[i]), 0755), 0);
    assert_int_equal(chmod(in_closed("state"), 0700), 0);
    assert_int_equal(chmod(in_closed("state/users"), 0700), 0);
    assert_int_equal(chmod(in_closed("state/sockets/users"), 0777), 0);
    assert_int_equal(chmod(closed, 0700), 0);
    write_file(in_closed("state/keys.json"), "{}", 0600);
    write_file(in_closed("state/orders/store.db"), "theirs", 0600);
    write_file(in_closed("state/users/store.db"), "mine", 0600);
    write_file(in_closed("releases/1/program"), "#!/bin/sh\n", 0755);
    write_file(in_closed("releases/1/other"), "", 0755);
    write_file(in_closed("migrations/0001.sql"), "", 0644);
    write_file(in_closed("private/key.pem"), "key", 0600);
    assert_int_equal(symlink("releases/1", in_closed("current")), 0);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    harness_release(&harness);
    return 0;
}

/* ---- In the namespace ---- */

/* The name of what does not hold; NULL: all of it does. */
static const char *look_around(void)
{
    char text[8] = "";
    static const struct {
        const char *name;
        int flags, expected;
    } tries[] = {{"state/users/store.db", O_RDWR, 0},
                 {"state/users/new", O_WRONLY | O_CREAT, 0},
                 {"state/sockets/users/new", O_WRONLY | O_CREAT, 0},
                 {"state/sockets/orders", O_RDONLY, ENOENT},
                 {"state/keys.json", O_RDONLY, ENOENT},
                 {"state/keys.json", O_WRONLY | O_CREAT, EROFS},
                 {"state/orders", O_RDONLY, ENOENT},
                 {"state/orders/store.db", O_RDONLY, ENOENT},
                 {"state/users/../orders/store.db", O_RDONLY, ENOENT},
                 {"current/program", O_RDONLY, 0},
                 {"releases/1/program", O_WRONLY, EROFS},
                 {"releases/1/other", O_RDONLY, ENOENT},
                 {"migrations/0001.sql", O_RDONLY, 0},
                 {"migrations/0002.sql", O_WRONLY | O_CREAT, EROFS}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        int fd = open(in_closed(tries[i].name), tries[i].flags | O_CLOEXEC, 0600);
        int got = fd < 0 ? errno : 0;
        close(fd);
        /* Where nobody may make anything, it depends on who asks. */
        bool refused = tries[i].expected == EROFS && got == EACCES;
        if (got != tries[i].expected && !refused)
            return tries[i].name;
    }
    if (access("store.db", F_OK) != 0)
        return "where it runs";
    if (access("../keys.json", F_OK) == 0 || access("../orders", F_OK) == 0)
        return "beside where it runs";
    int fd = open(in_closed("private/key.pem"), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) != 3 || strcmp(text, "key") != 0)
        return "the key";
    return NULL;
}

/* With namespaces of its own a process has all capabilities in them; what it was given stays. */
static const char *try_to_uncover(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return NULL;
    if (umount2(closed, MNT_DETACH) == 0 || umount2(in_closed("state/users"), MNT_DETACH) == 0)
        return "its covers";
    struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};
    return mount_setattr(AT_FDCWD, closed, 0, &writable, sizeof writable) == 0 ? "read-only" : NULL;
}

static void live_in(const struct mount_plan *plan, uid_t user)
{
    const char *wrong = namespace_enter(plan);
    if (wrong)
        fprintf(stderr, "%s: %s\n", wrong, strerror(errno));
    if (!wrong && user &&
        (setgroups(0, NULL) != 0 || setresgid(user, user, user) != 0 ||
         setresuid(user, user, user) != 0))
        wrong = "its user";
    if (!wrong)
        wrong = look_around();
    if (!wrong)
        wrong = try_to_uncover();
    if (wrong)
        fprintf(stderr, "not as it should be: %s\n", wrong);
    _exit(wrong ? 1 : 0);
}

static int end_of(pid_t pid)
{
    int status = -1;
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int try_namespace(uid_t user)
{
    struct fh_error error = {0};
    struct mount_plan *plan;
    char state[PATH_MAX], own[PATH_MAX], program[PATH_MAX];
    snprintf(state, sizeof state, "%s", in_closed("state"));
    snprintf(own, sizeof own, "%s", in_closed("state/users"));
    snprintf(program, sizeof program, "%s", in_closed("current/program"));
    const char *reads[] = {in_closed("migrations"), in_closed("missing"), NULL};
    const char *writes[] = {in_closed("state/sockets/users"), NULL};
    const char *keys[] = {in_closed("private/key.pem"), NULL};
    char *environment[] = {NULL};
    struct namespace_options options = {.state = state,
                                        .folder = own,
                                        .program = program,
                                        .program_fd = -1,
                                        .reads = reads,
                                        .writes = writes,
                                        .keys = keys,
                                        .environment = environment,
                                        .user = user};
    if (namespace_plan(&options, &plan, &error) != FH_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 2;
    }
    pid_t pid = fork();
    if (pid == 0)
        live_in(plan, user);
    int code = end_of(pid);
    namespace_free(plan);
    return code;
}

static void need_root_and_namespaces(void)
{
    char why[NAMESPACE_WHY_SIZE];
    if (geteuid() != 0 || !namespace_possible(why)) {
        SKIP_BECAUSE("this is not root, or the kernel makes no namespaces");
    }
}

static void root_gives_a_process_only_what_it_needs(void **unused)
{
    (void)unused;
    struct fh_error error;
    need_root_and_namespaces();
    int fd = open(in_closed("state/users"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(users_give(fd, OTHER, OTHER, &error), FH_OK);
    close(fd);
    assert_int_equal(try_namespace(OTHER), 0);
}

static void so_it_does_without_a_closed_folder_on_the_way(void **unused)
{
    (void)unused;
    struct fh_error error;
    need_root_and_namespaces();
    /* The state folder alone is covered, whatever its mode; the program is where it is. */
    assert_int_equal(chmod(closed, 0755), 0);
    assert_int_equal(chmod(in_closed("state"), 0711), 0);
    assert_int_equal(unlink(in_closed("releases/1/other")), 0);
    int fd = open(in_closed("state/users"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(users_give(fd, OTHER, OTHER, &error), FH_OK);
    close(fd);
    assert_int_equal(try_namespace(OTHER), 0);
}

static void give_tree(const char *path, uid_t user)
{
    char command[PATH_MAX + 64];
    snprintf(command, sizeof command, "chown -hR %u:%u '%s'", (unsigned)user, (unsigned)user, path);
    assert_int_equal(system(command), 0);
}

static void anyone_else_does_so_in_a_user_namespace(void **unused)
{
    (void)unused;
    char why[NAMESPACE_WHY_SIZE];
    if (geteuid() == 0)
        give_tree(closed, NOBODY);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
                               setresuid(NOBODY, NOBODY, NOBODY) != 0))
            _exit(3);
        if (!namespace_possible(why)) {
            fprintf(stderr, "NOT TRIED: %s\n", why);
            _exit(77);
        }
        _exit(try_namespace(0));
    }
    int code = end_of(pid);
    if (code == 77)
        SKIP_BECAUSE("the kernel makes no namespaces for this user");
    assert_int_equal(code, 0);
}

static void what_is_no_longer_what_was_found_is_not_mounted(void **unused)
{
    (void)unused;
    struct fh_error error = {0};
    struct mount_plan *plan;
    need_root_and_namespaces();
    char state[PATH_MAX], own[PATH_MAX], program[PATH_MAX];
    snprintf(state, sizeof state, "%s", in_closed("state"));
    snprintf(own, sizeof own, "%s", in_closed("state/users"));
    snprintf(program, sizeof program, "%s", in_closed("releases/1/program"));
    struct namespace_options options = {
        .state = state, .folder = own, .program = program, .program_fd = -1};
    assert_int_equal(namespace_plan(&options, &plan, &error), FH_OK);
    assert_int_equal(rename(own, in_closed("state/gone")), 0);
    assert_int_equal(rename(in_closed("state/orders"), own), 0);
    pid_t pid = fork();
    if (pid == 0) {
        const char *step = namespace_enter(plan);
        _exit(step && errno == ESTALE ? 0 : 1);
    }
    assert_int_equal(end_of(pid), 0);
    namespace_free(plan);
}

static void the_state_folder_is_let_be_seen_by_nothing(void **unused)
{
    (void)unused;
    struct fh_error error = {0};
    struct mount_plan *plan;
    char state[PATH_MAX], own[PATH_MAX], program[PATH_MAX];
    snprintf(state, sizeof state, "%s", in_closed("state"));
    snprintf(own, sizeof own, "%s", in_closed("state/users"));
    snprintf(program, sizeof program, "%s", in_closed("releases/1/program"));
    const char *reads[] = {in_closed("state/users/../.."), NULL};
    struct namespace_options options = {
        .state = state, .folder = own, .program = program, .program_fd = -1, .reads = reads};
    assert_int_equal(namespace_plan(&options, &plan, &error), FH_CONFLICT);
    assert_non_null(strstr(error.message, "The state folder is in "));
}

/* ---- Libraries ---- */

static char found[8192];

static enum fh_code note_found(void *context, const char *path)
{
    size_t used = strlen(found);
    (void)context;
    snprintf(found + used, sizeof found - used, "%s\n", path);
    return FH_OK;
}

static void a_scripts_interpreter_and_the_environments_libraries_are_found(void **unused)
{
    (void)unused;
    char script[PATH_MAX], preload[PATH_MAX + 32], path[PATH_MAX + 32];
    snprintf(script, sizeof script, "%s", in_closed("releases/1/script"));
    write_file(script, "#! /bin/sh -e\n", 0755);
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", in_closed("own.so"));
    snprintf(path, sizeof path, "LD_LIBRARY_PATH=%s:relative", in_closed("lib"));
    char *environment[] = {preload, path, NULL};
    found[0] = '\0';
    assert_int_equal(libraries_find(script, -1, environment, note_found, NULL), FH_OK);
    assert_non_null(strstr(found, "/bin/sh\n"));
    assert_non_null(strstr(found, "/lib64/ld-linux"));
    assert_non_null(strstr(found, in_closed("own.so\n")));
    assert_non_null(strstr(found, in_closed("lib\n")));
    assert_null(strstr(found, "relative"));
}

static void what_is_no_program_needs_nothing(void **unused)
{
    (void)unused;
    static const char *const contents[] = {"",   "x",           "\177ELF", "\177ELF\2\1\1",
                                           "#!", "#!relative\n"};
    char *environment[] = {NULL};
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        write_file(in_closed("none"), contents[i], 0755);
        found[0] = '\0';
        assert_int_equal(libraries_find(in_closed("none"), -1, environment, note_found, NULL),
                         FH_OK);
        assert_string_equal(found, "");
    }
}

static int shows_programs(void)
{
    static struct provision provision = {.covered = true};
    static struct provision_part part;
    snprintf(provision.state.folder, sizeof provision.state.folder, "/homes/ada/shop/state");
    setenv("HOME", "/homes/ada", 1);
    setenv("PATH",
           "/homes/ada/bin:/homes/ada/db/bin:relative:/usr/bin:/homes/ada/shop/bin:/homes/ada", 1);
    arena_init(&provision.arena, ARENA_SIZE_MAX);
    part_show_programs(&provision, &part);
    static const char *const shown[] = {"/homes/ada/bin", "/homes/ada/db", "/usr",
                                        "/homes/ada/shop/bin"};
    size_t count = 0;
    while (part.reads[count] && count < 4 && strcmp(part.reads[count], shown[count]) == 0)
        count++;
    return count == 4 && !part.reads[4] ? 0 : 1;
}

static void a_server_finds_programs_by_the_path_but_sees_no_home_for_that(void **unused)
{
    (void)unused;
    pid_t pid = fork();
    if (pid == 0)
        _exit(geteuid() != 0 || setresuid(NOBODY, NOBODY, NOBODY) == 0 ? shows_programs() : 2);
    assert_int_equal(end_of(pid), 0);
}

/* ---- Giving ---- */

static uid_t owner_of(const char *name)
{
    struct stat status;
    assert_int_equal(lstat(in_closed(name), &status), 0);
    return status.st_uid;
}

static void files_of_others_that_a_service_planted_stay_theirs(void **unused)
{
    (void)unused;
    struct fh_error error;
    if (geteuid() != 0)
        SKIP_BECAUSE("only root can give files away");
    /* As a system of before left them, whose second service was 64001. */
    assert_int_equal(mkdir(in_closed("state/users/kept"), 0700), 0);
    write_file(in_closed("state/users/kept/page"), "", 0600);
    give_tree(in_closed("state/users"), 64001);
    write_file(in_closed("secret"), "", 0600);
    write_file(in_closed("gone"), "", 0600);
    assert_int_equal(link(in_closed("secret"), in_closed("state/users/hard")), 0);
    assert_int_equal(symlink("../../secret", in_closed("state/users/soft")), 0);
    assert_int_equal(symlink("../orders", in_closed("state/users/way")), 0);
    assert_int_equal(mkfifo(in_closed("state/users/fifo"), 0600), 0);
    /* Its other name is removed later: a single link, and still root's. */
    assert_int_equal(link(in_closed("gone"), in_closed("state/users/last")), 0);
    assert_int_equal(unlink(in_closed("gone")), 0);
    int fd = open(in_closed("state/users"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(users_give(fd, OTHER, OTHER, &error), FH_OK);
    assert_int_equal(owner_of("state/users"), OTHER);
    assert_int_equal(owner_of("state/users/store.db"), OTHER);
    assert_int_equal(owner_of("state/users/kept"), OTHER);
    assert_int_equal(owner_of("state/users/kept/page"), OTHER);
    static const char *const planted[] = {
        "secret",          "state/users/hard", "state/users/last",      "state/users/soft",
        "state/users/way", "state/orders",     "state/orders/store.db", "state/users/fifo"};
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++)
        assert_int_equal(owner_of(planted[i]), 0);
    /* Planted later, too, when the folder is its own. */
    assert_int_equal(users_give(fd, OTHER, OTHER, &error), FH_OK);
    assert_int_equal(owner_of("state/users/last"), 0);
    /* And root's own files there are made for it. */
    json_t *config = json_object();
    assert_int_equal(state_write_json(fd, "service.json", config, &error), FH_OK);
    assert_int_equal(owner_of("state/users/service.json"), OTHER);
    json_decref(config);
    assert_int_equal(users_give(fd, 0, 0, &error), FH_OK);
    assert_int_equal(owner_of("state/users/store.db"), 0);
    close(fd);
}

/* `up` was killed in between, and somebody else gets the folder next. */
static void a_giving_that_was_interrupted_is_finished(void **unused)
{
    (void)unused;
    static const uid_t next[] = {OTHER, OTHER + 1, 0};
    struct fh_error error;
    if (geteuid() != 0)
        SKIP_BECAUSE("only root can give files away");
    write_file(in_closed("state/users/second"), "", 0600);
    int fd = open(in_closed("state/users"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof next / sizeof *next; i++) {
        give_tree(in_closed("state/users"), 0);
        assert_int_equal(chown(in_closed("state/users"), 0, OTHER), 0);
        assert_int_equal(chown(in_closed("state/users/second"), OTHER, OTHER), 0);
        uid_t user;
        gid_t group;
        assert_int_equal(users_of_folder(fd, &user, &group, &error), FH_OK);
        assert_int_equal(user, OTHER);
        assert_int_equal(users_give(fd, next[i], next[i], &error), FH_OK);
        assert_int_equal(owner_of("state/users"), next[i]);
        assert_int_equal(owner_of("state/users/second"), next[i]);
        assert_int_equal(owner_of("state/users/store.db"), next[i]);
    }
    close(fd);
}

/* Such as another machine's: then it is no number of ours, and nothing was begun. */
static void a_folder_of_anothers_group_is_not_being_given(void **unused)
{
    (void)unused;
    struct fh_error error;
    uid_t user;
    gid_t group;
    if (geteuid() != 0)
        SKIP_BECAUSE("only root can give files away");
    int fd = open(in_closed("state/users"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(chown(in_closed("state/users"), 101, 104), 0);
    assert_int_equal(users_of_folder(fd, &user, &group, &error), FH_OK);
    assert_int_equal(user, 101);
    assert_int_equal(group, 104);
    assert_int_equal(users_give(fd, 0, 0, &error), FH_OK);
    assert_int_equal(owner_of("state/users"), 101);
    close(fd);
}

/* ---- Numbers ---- */

static json_t *read_numbers(const char *folder)
{
    struct fh_error error = {0};
    struct state state;
    json_t *numbers = NULL;
    bool unregistered;
    assert_int_equal(state_create(&state, folder, &error), FH_OK);
    pid_t holder;
    assert_int_equal(state_lock(&state, &holder, &error), FH_OK);
    if (numbers_read(&state, &numbers, &unregistered, &error) != FH_OK)
        fail_msg("%s", error.message);
    assert_int_equal(numbers_add(numbers, "orders", &error), FH_OK);
    assert_int_equal(numbers_write(&state, numbers, &error), FH_OK);
    state_close(&state);
    return numbers;
}

static void two_systems_never_share_a_number_and_a_copy_is_another_system(void **unused)
{
    (void)unused;
    struct fh_error error = {0};
    char one[PATH_MAX], other[PATH_MAX], copy[3 * PATH_MAX];
    if (geteuid() != 0)
        SKIP_BECAUSE("only root can give files away");
    snprintf(one, sizeof one, "%s", in_closed("one"));
    snprintf(other, sizeof other, "%s", in_closed("other"));
    json_t *first = read_numbers(one), *again = read_numbers(one), *second = read_numbers(other);
    assert_true(json_equal(first, again));
    assert_true(numbers_of(first, "orders") != numbers_of(second, "orders"));
    assert_true(numbers_are_ours(numbers_of(first, "orders")));
    /* One more, and one is gone: the others' stay. */
    assert_int_equal(numbers_add(first, "added", &error), FH_OK);
    assert_int_equal(numbers_of(first, "orders"), numbers_of(again, "orders"));
    assert_true(numbers_of(first, "added") != numbers_of(first, "orders"));
    json_decref(again);
    snprintf(copy, sizeof copy, "cp -a '%s' '%s'", one, in_closed("copied"));
    assert_int_equal(system(copy), 0);
    json_t *copied = read_numbers(in_closed("copied"));
    assert_true(numbers_of(copied, "orders") != numbers_of(first, "orders"));
    json_decref(copied);
    /* One that was moved keeps them. */
    assert_int_equal(rename(one, in_closed("moved")), 0);
    json_t *moved = read_numbers(in_closed("moved"));
    assert_int_equal(numbers_of(moved, "orders"), numbers_of(first, "orders"));
    json_decref(moved);
    json_decref(second);
    json_decref(first);
}

static void numbers_that_no_system_can_have_are_refused(void **unused)
{
    (void)unused;
    static const char *const wrong[] = {
        "{\"freehold\": 1, \"first\": 0, \"count\": 4096, \"users\": {}}",
        "{\"freehold\": 1, \"first\": 2013265920, \"count\": 4096}",
        "{\"freehold\": 1, \"first\": 2013265920, \"count\": 4096, \"users\": []}",
        "{\"freehold\": 1, \"first\": 2013265920, \"count\": 4096, \"users\": {\"orders\": 0}}",
        "{\"freehold\": 1, \"first\": 2013265920, \"count\": 4096, \"users\": {\"orders\": 1000}}",
        "{\"freehold\": 1, \"first\": 2013265920, \"count\": 2000000000, \"users\": {}}",
        "{\"freehold\": 1, \"first\": 4294967296, \"count\": 4096, \"users\": {}}",
        "[]"};
    struct fh_error error;
    struct state state;
    bool unregistered;
    assert_int_equal(state_create(&state, in_closed("wrong"), &error), FH_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *numbers = NULL;
        write_file(in_closed("wrong/" NUMBERS_FILE), wrong[i], 0600);
        assert_int_equal(numbers_read(&state, &numbers, &unregistered, &error), FH_INVALID);
        assert_non_null(strstr(error.message, NUMBERS_FILE " is damaged"));
        json_decref(numbers);
    }
    state_close(&state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(root_gives_a_process_only_what_it_needs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(so_it_does_without_a_closed_folder_on_the_way, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(anyone_else_does_so_in_a_user_namespace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_longer_what_was_found_is_not_mounted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_state_folder_is_let_be_seen_by_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_scripts_interpreter_and_the_environments_libraries_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_program_needs_nothing, set_up, tear_down),
        cmocka_unit_test(a_server_finds_programs_by_the_path_but_sees_no_home_for_that),
        cmocka_unit_test_setup_teardown(files_of_others_that_a_service_planted_stay_theirs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_giving_that_was_interrupted_is_finished, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_folder_of_anothers_group_is_not_being_given, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            two_systems_never_share_a_number_and_a_copy_is_another_system, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_that_no_system_can_have_are_refused, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
