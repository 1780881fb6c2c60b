/* SPDX-License-Identifier: Apache-2.0 */
/* Confinement, tried for real: each case in a process of its own, since it can't be undone. Where
 * the kernel has no Landlock the cases that need it are skipped, loudly. */

#include "../support/harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "carrier/driver.h"
#include "engine/engines.h"
#include "service/confine.h"

static char base[] = "/tmp/freehold-confine-XXXXXX";

static const char *at(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", base, name);
    return path;
}

static bool make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    bool made = fd >= 0 && write(fd, "kept", 4) == 4;
    if (fd >= 0)
        close(fd);
    return made;
}

/* 0, or the errno of opening it so. */
static int opening(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int number = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return number;
}

static int make_base(void **state)
{
    (void)state;
    return mkdtemp(base) && mkdir(at("own"), 0700) == 0 && mkdir(at("other"), 0700) == 0 &&
                   mkdir(at("migrations"), 0700) == 0 && make_file(at("own/store")) &&
                   make_file(at("other/store")) && make_file(at("migrations/0001.sql"))
               ? 0
               : -1;
}

static int remove_base(void **state)
{
    (void)state;
    static const char *const names[] = {"own/store", "own/new", "other/store",
                                        "migrations/0001.sql"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(at(names[i]));
    return rmdir(at("own")) | rmdir(at("other")) | rmdir(at("migrations")) | rmdir(base);
}

/* Runs `look` in a child; returns the line at which something was not as expected, or 0. */
static void assert_in_child(int (*look)(void))
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(look());
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("status %x: the expectation that ends with %d in its line did not hold",
                 (unsigned)status, WEXITSTATUS(status));
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__ % 250 + 1;                                                             \
    } while (0)

static void skip_without_landlock(void)
{
    struct confinement confinement;
    struct fh_error error;
    pid_t child = fork();
    if (child == 0)
        _exit(confine(&(struct reach){0}, &confinement, &error) == FH_OK && confinement.confined
                  ? 0
                  : 1);
    int status;
    waitpid(child, &status, 0);
    if (WEXITSTATUS(status))
        SKIP_BECAUSE("this kernel has no Landlock, and nothing about it was tried");
}

static int look_around(void)
{
    struct confinement confinement;
    struct fh_error error;
    EXPECT(confine(&(struct reach){at("own"), at("migrations")}, &confinement, &error) == FH_OK);
    EXPECT(confinement.confined && confinement.abi > 0);
    EXPECT(opening(at("own/store"), O_RDWR) == 0);
    EXPECT(opening(at("own/new"), O_WRONLY | O_CREAT | O_TRUNC) == 0);
    EXPECT(rename(at("own/new"), at("own/newer")) == 0 && unlink(at("own/newer")) == 0);
    EXPECT(opening(at("own"), O_RDONLY | O_DIRECTORY) == 0);
    EXPECT(opening(at("migrations/0001.sql"), O_RDONLY) == 0);
    EXPECT(opening(at("migrations/0001.sql"), O_WRONLY) == EACCES);
    EXPECT(opening(at("other/store"), O_RDONLY) == EACCES);
    EXPECT(opening(at("other/store"), O_WRONLY) == EACCES);
    EXPECT(opening(at("other/new"), O_WRONLY | O_CREAT) == EACCES);
    EXPECT(opening(at("other"), O_RDONLY | O_DIRECTORY) == EACCES);
    EXPECT(unlink(at("other/store")) != 0 && errno == EACCES);
    EXPECT(rename(at("own/store"), at("other/taken")) != 0 && (errno == EACCES || errno == EXDEV));
    EXPECT(link(at("other/store"), at("own/taken")) != 0);
    EXPECT(opening("/etc/passwd", O_RDONLY) == EACCES);
    EXPECT(opening("/dev/urandom", O_RDONLY) == 0);
    if (confinement.abi >= 3)
        EXPECT(truncate(at("other/store"), 0) != 0 && errno == EACCES);
    if (confinement.abi >= 6)
        EXPECT(kill(getppid(), 0) != 0 && errno == EPERM);
    return 0;
}

static void a_confined_process_reaches_only_its_own_folder(void **state)
{
    (void)state;
    struct stat status;
    skip_without_landlock();
    assert_in_child(look_around);
    assert_int_equal(stat(at("other/store"), &status), 0);
    assert_int_equal(status.st_size, 4);
}

static void *open_other(void *argument)
{
    *(int *)argument = opening(at("other/store"), O_RDONLY);
    return NULL;
}

static int look_from_a_thread(void)
{
    struct confinement confinement;
    struct fh_error error;
    pthread_t thread;
    int number = 0;
    EXPECT(confine(&(struct reach){at("own")}, &confinement, &error) == FH_OK);
    EXPECT(pthread_create(&thread, NULL, open_other, &number) == 0);
    pthread_join(thread, NULL);
    EXPECT(number == EACCES);
    return 0;
}

static void a_thread_that_is_made_afterwards_is_confined_too(void **state)
{
    (void)state;
    skip_without_landlock();
    assert_in_child(look_from_a_thread);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *live(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return NULL;
}

static int confine_beside_a_thread(void)
{
    struct confinement confinement;
    struct fh_error error;
    pthread_t thread;
    pthread_mutex_lock(&gate);
    EXPECT(pthread_create(&thread, NULL, live, NULL) == 0);
    EXPECT(confine(&(struct reach){at("own")}, &confinement, &error) == FH_CONFLICT);
    EXPECT(strstr(error.message, "2 threads") && !confinement.confined);
    EXPECT(opening(at("other/store"), O_RDONLY) == 0);
    pthread_mutex_unlock(&gate);
    pthread_join(thread, NULL);
    return 0;
}

/* Schedule 17. */
static void a_thread_that_lived_before_the_confinement_is_noticed(void **state)
{
    (void)state;
    assert_in_child(confine_beside_a_thread);
}

static int confine_to_nothing(void)
{
    struct confinement confinement;
    struct fh_error error;
    EXPECT(confine(&(struct reach){at("nowhere")}, &confinement, &error) == FH_INVALID);
    EXPECT(strstr(error.message, "nowhere") && !confinement.confined);
    EXPECT(opening(at("other/store"), O_RDONLY) == 0);
    return 0;
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    skip_without_landlock();
    assert_in_child(confine_to_nothing);
}

/* The errno of connecting to the port, which nobody listens on; 0: somebody does. */
static int connecting(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int number = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? 0 : errno;
    close(fd);
    return number;
}

/* Two ports that are free; nobody listens on them any more. */
static void find_ports(uint16_t ret[2])
{
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = 0};
        socklen_t size = sizeof at;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        FH_ASSERT(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
        FH_ASSERT(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
        ret[i] = ntohs(at.sin_port);
        close(fd);
    }
}

static enum fh_code check_shelf(const json_t *options, struct fh_error *error)
{
    (void)options;
    (void)error;
    return FH_OK;
}

static enum fh_code open_shelf(struct world *world, const json_t *options, const char *owner,
                               struct carried_server **ret, struct fh_error *error)
{
    (void)world;
    (void)options;
    (void)owner;
    (void)ret;
    return error_set(error, FH_UNSUPPORTED, "It is never opened here.");
}

static void end_shelf(struct carried_server *server)
{
    (void)server;
}

/* Of servers that derived stores lie on. */
static const struct carried_driver shelf = {.name = "shelf",
                                            .title = "The shelf",
                                            .models = 1u << FH_SEARCH,
                                            .port = 6,
                                            .check = check_shelf,
                                            .open = open_shelf,
                                            .silence = end_shelf,
                                            .close = end_shelf};

/* What the configuration of a service says of its peers, its store, and what it derives. */
static int connect_by_configuration(void)
{
    struct confinement confinement;
    struct fh_error error;
    uint16_t ports[2];
    find_ports(ports);
    carried_driver_register(&shelf);
    json_t *config = json_pack(
        "{s:{s:o, s:s}, s:{s:{s:s}}, s:s, s:{s:s, s:i}, s:[i], s:{s:{s:s, s:s}, s:{s:s, s:s, "
        "s:i}}}",
        "peers", "ally", json_sprintf("127.0.0.1:%d", ports[0]), "stranger", "127.0.0.1:3", "keys",
        "calls", "ally", "key", "engine", "postgresql", "store", "host", "127.0.0.1", "port", 4,
        "outside_ports", 5, "derives", "usual", "driver", "shelf", "host", "127.0.0.1", "own",
        "driver", "shelf", "host", "127.0.0.1", "port", 7);
    EXPECT(config && confine_by(config, at("own"), NULL, &confinement, &error) == FH_OK);
    EXPECT(connecting(ports[0]) == ECONNREFUSED); /* a peer it has a key for */
    EXPECT(connecting(4) == ECONNREFUSED);        /* its store */
    EXPECT(connecting(5) == ECONNREFUSED);
    EXPECT(connecting(6) == ECONNREFUSED && connecting(7) == ECONNREFUSED);
    if (confinement.abi >= 4) {
        EXPECT(connecting(ports[1]) == EACCES);
        EXPECT(connecting(3) == EACCES); /* a peer it has no business with */
        EXPECT(connecting(80) == EACCES && connecting(443) == EACCES);
    }
    json_decref(config);
    return 0;
}

/* Of a gateway, that counts on this server. */
static int confine_gateway(const char *engine, const char *host, int *ret_abi)
{
    struct confinement confinement;
    struct fh_error error;
    json_t *config = json_pack("{s:{}, s:{s:{s:s, s:s, s:i}}}", "peers", "limits", "shared",
                               "engine", engine, "host", host, "port", 4);
    EXPECT(config && confine_by(config, NULL, NULL, &confinement, &error) == FH_OK);
    *ret_abi = confinement.abi;
    json_decref(config);
    return 0;
}

static int count_by_port(void)
{
    int abi;
    EXPECT(confine_gateway("redis", "127.0.0.1", &abi) == 0);
    EXPECT(connecting(4) == ECONNREFUSED);
    EXPECT(abi < 4 || (connecting(3) == EACCES && connecting(53) == EACCES));
    EXPECT(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM);
    EXPECT(socket(AF_INET, SOCK_DGRAM, 0) < 0 && errno == EPERM);
    return 0;
}

static int count_by_name(void)
{
    int abi;
    EXPECT(confine_gateway("redis", "counters.example.org", &abi) == 0);
    EXPECT(connecting(4) == ECONNREFUSED && connecting(53) == ECONNREFUSED);
    EXPECT(abi < 4 || connecting(3) == EACCES);
    EXPECT(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP) >= 0);
    return 0;
}

static int count_by_socket(void)
{
    int abi;
    EXPECT(confine_gateway("redis", "/run/redis/redis.sock", &abi) == 0);
    EXPECT(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0) >= 0);
    EXPECT(abi < 4 || connecting(4) == EACCES);
    return 0;
}

static void a_gateway_reaches_the_server_on_which_it_counts_and_no_other(void **state)
{
    (void)state;
    skip_without_landlock();
    if (!server_kind("redis"))
        SKIP_BECAUSE("Redis is not built in");
    assert_in_child(count_by_port);
    assert_in_child(count_by_name);
    assert_in_child(count_by_socket);
}

static void only_the_ports_of_the_configuration_are_within_reach(void **state)
{
    (void)state;
    skip_without_landlock();
    assert_in_child(connect_by_configuration);
}

static int call_what_is_refused(void)
{
    struct confinement confinement;
    struct fh_error error;
    struct rlimit core;
    EXPECT(confine(&(struct reach){at("own")}, &confinement, &error) == FH_OK);
    EXPECT(confinement.calls == CALLS_FILTERED);
    EXPECT(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 && errno == EPERM);
    EXPECT(socket(AF_INET, SOCK_DGRAM, 0) < 0 && errno == EPERM); /* it resolves no names */
    EXPECT(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM);
    EXPECT(chmod(at("own/store"), 0666) != 0 && errno == EPERM);
    EXPECT(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
    EXPECT(raise(0) == 0 && kill(getpid(), 0) == 0);
    EXPECT(opening(at("own/store"), O_RDWR) == 0);
    return 0;
}

static void calls_that_no_service_needs_are_refused(void **state)
{
    (void)state;
    assert_in_child(call_what_is_refused);
}

static int call_what_a_store_needs(void)
{
    struct confinement confinement;
    struct fh_error error;
    struct reach reach = {at("own")};
    reach.calls = (struct calls_needed){.names = true, .unix_sockets = true, .watches = true};
    EXPECT(confine(&reach, &confinement, &error) == FH_OK);
    EXPECT(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP) >= 0);
    EXPECT(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0) >= 0);
    EXPECT(socket(AF_UNIX, SOCK_DGRAM, 0) < 0 && errno == EPERM);
    EXPECT(inotify_init1(IN_CLOEXEC) >= 0);
    return 0;
}

static void what_a_store_on_a_server_needs_is_allowed(void **state)
{
    (void)state;
    assert_in_child(call_what_a_store_needs);
}

static void older_kernels_leave_more_open_and_that_is_reported(void **state)
{
    (void)state;
    size_t before = SIZE_MAX;
    for (int abi = 0; abi < 8; abi++) {
        size_t count = 0;
        while (confine_gaps(abi)[count])
            count++;
        assert_true(count >= 2 && count <= before);
        before = count;
    }
    assert_non_null(strstr(confine_gaps(0)[0], "without Landlock"));
    assert_non_null(strstr(confine_gaps(2)[0], "truncated"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_confined_process_reaches_only_its_own_folder),
        cmocka_unit_test(a_thread_that_is_made_afterwards_is_confined_too),
        cmocka_unit_test(a_thread_that_lived_before_the_confinement_is_noticed),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
        cmocka_unit_test(only_the_ports_of_the_configuration_are_within_reach),
        cmocka_unit_test(a_gateway_reaches_the_server_on_which_it_counts_and_no_other),
        cmocka_unit_test(calls_that_no_service_needs_are_refused),
        cmocka_unit_test(what_a_store_on_a_server_needs_is_allowed),
        cmocka_unit_test(older_kernels_leave_more_open_and_that_is_reported),
    };
    return cmocka_run_group_tests(tests, make_base, remove_base);
}
