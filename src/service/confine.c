/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debian 12's header has Landlock's second version; the bits of later ones are defined here, and
 * the kernel is asked which version it has. What is handled and not allowed by a rule is refused.
 *
 * Besides a service's own files, /dev/urandom must be readable: SQLite seeds itself from it, and
 * without it silently uses the time and the pid. Everything else that a program reads (libraries,
 * configuration) has been read by then; but see PUBLIC_FILES.
 */

#define _GNU_SOURCE
#include "service/confine.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/symbol.h"
#include "broker/broker.h"
#include "carrier/driver.h"
#include "engine/engines.h"
#include "service/sanitized.h"
#include "store/server.h"

#define ACCESS_TRUNCATE (1ULL << 14)      /* from version 3 on */
#define ACCESS_IOCTL_DEV (1ULL << 15)     /* 5 */
#define SCOPE_ABSTRACT_SOCKET (1ULL << 0) /* 6 */
#define SCOPE_SIGNAL (1ULL << 1)
#define ACCESS_BIND_TCP (1ULL << 0) /* 4 */
#define ACCESS_CONNECT_TCP (1ULL << 1)
#define RULE_NET_PORT 2

#define PORT_HTTP 80
#define PORT_HTTPS 443
#define PORT_DNS 53 /* answers that are too long for UDP */

#define ACCESS_FIRST ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* all of version 1 */
#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_OWN                                                                                 \
    (ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE | LANDLOCK_ACCESS_FS_MAKE_REG | \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR)

/* The kernel's struct as of version 6; older kernels accept it if the fields they don't know are
 * 0. */
struct ruleset {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

struct port_rule {
    uint64_t allowed_access, port;
};

static int ask_abi(void)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

static uint64_t accesses_of(int abi)
{
    return ACCESS_FIRST | (abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) |
           (abi >= 3 ? ACCESS_TRUNCATE : 0) | (abi >= 5 ? ACCESS_IOCTL_DEV : 0);
}

static enum fh_code allow_path(int ruleset, uint64_t handled, const char *path, uint64_t accesses,
                               struct fh_error *error)
{
    struct stat status;
    struct landlock_path_beneath_attr rule = {.allowed_access = accesses & handled,
                                              .parent_fd = open(path, O_PATH | O_CLOEXEC)};
    bool file =
        rule.parent_fd >= 0 && fstat(rule.parent_fd, &status) == 0 && !S_ISDIR(status.st_mode);
    if (file) /* for a file, folder rights are an error */
        rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
    long result = rule.parent_fd < 0 ? -1
                                     : syscall(SYS_landlock_add_rule, ruleset,
                                               LANDLOCK_RULE_PATH_BENEATH, &rule, 0U);
    int number = errno;
    if (rule.parent_fd >= 0)
        close(rule.parent_fd);
    return result == 0
               ? FH_OK
               : error_set_errno(error, FH_INVALID, number, "%s can't be kept in reach", path);
}

static enum fh_code allow_ports(int ruleset, const struct reach *reach, struct fh_error *error)
{
    for (size_t i = 0; i < reach->port_count; i++) {
        struct port_rule rule = {ACCESS_CONNECT_TCP, reach->ports[i]};
        if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0U) != 0)
            return error_set_errno(error, FH_UNAVAILABLE, errno, "The port %d can't be allowed",
                                   (int)reach->ports[i]);
    }
    return FH_OK;
}

/* 0: not known. */
static int count_threads(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

static enum fh_code close_in(int ruleset, struct fh_error *error)
{
    if (syscall(SYS_landlock_restrict_self, ruleset, 0U) == 0)
        return FH_OK;
    return error_set_errno(error, FH_UNAVAILABLE, errno, "The process can't be confined");
}

static enum fh_code allow_files(int ruleset, uint64_t handled, const struct reach *reach,
                                struct fh_error *error)
{
    enum fh_code code = allow_path(ruleset, handled, "/dev/urandom", ACCESS_READ, error);
    if (code == FH_OK && reach->folder)
        code = allow_path(ruleset, handled, reach->folder, ACCESS_OWN, error);
    if (code == FH_OK && reach->readable)
        code = allow_path(ruleset, handled, reach->readable, ACCESS_READ, error);
    for (const char *const *also = reach->also; also && *also && code == FH_OK; also++) {
        if (access(*also, F_OK) == 0)
            code = allow_path(ruleset, handled, *also, ACCESS_READ, error);
    }
    if (code == FH_OK && SANITIZED) /* the leak check at the end reads it */
        code = allow_path(ruleset, handled, "/proc", ACCESS_READ, error);
    return code;
}

static enum fh_code confine_by_landlock(const struct reach *reach, struct confinement *ret,
                                        struct fh_error *error)
{
    struct ruleset attributes = {
        .handled_access_fs = accesses_of(ret->abi),
        .handled_access_net = ret->abi >= 4 ? ACCESS_BIND_TCP | ACCESS_CONNECT_TCP : 0,
        .scoped = ret->abi >= 6 ? SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL : 0,
    };
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0U);
    if (ruleset < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Landlock makes no ruleset");
    enum fh_code code = allow_files(ruleset, attributes.handled_access_fs, reach, error);
    if (code == FH_OK && attributes.handled_access_net)
        code = allow_ports(ruleset, reach, error);
    if (code == FH_OK)
        code = close_in(ruleset, error);
    close(ruleset);
    ret->confined = code == FH_OK;
    return code;
}

/* Its memory holds keys: no core may have them, and no process of the same user may look. */
static enum fh_code close_memory(struct fh_error *error)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) == 0 &&
        (SANITIZED || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0))
        return FH_OK;
    return error_set_errno(error, FH_UNAVAILABLE, errno, "The process's memory can't be closed");
}

enum fh_code confine(const struct reach *reach, struct confinement *ret, struct fh_error *error)
{
    *ret = (struct confinement){.abi = ask_abi()};
    int threads = count_threads();
    if (threads != 1)
        return error_set(error, FH_CONFLICT,
                         "The process has %d threads before it is confined, and Landlock would "
                         "confine only this one.",
                         threads);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Privileges can't be given up");
    enum fh_code code = ret->abi > 0 ? confine_by_landlock(reach, ret, error) : FH_OK;
    if (code == FH_OK)
        code = close_memory(error);
    if (code == FH_OK)
        code = calls_filter(&reach->calls, &ret->calls, error);
    return code;
}

/* What client libraries read when they reconnect: name resolution, certificates, and their plugins.
 * All of it is world-readable, except for the keys that the configuration names. */
#define PUBLIC_FILES                                                                               \
    "/usr/lib", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/resolv.conf", "/etc/hosts",        \
        "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf"

#define NEEDED_FILES_MAX 256

/* What the configuration says a process needs. */
struct needs {
    uint16_t ports[REACH_PORTS_MAX];
    size_t port_count;
    const char *files[NEEDED_FILES_MAX + 1]; /* to be read; ended by NULL */
    size_t file_count;
    struct calls_needed calls;
};

static void need_file(struct needs *needs, const char *path)
{
    for (size_t i = 0; i < needs->file_count; i++) {
        if (strcmp(needs->files[i], path) == 0)
            return;
    }
    FH_ASSERT(needs->file_count < NEEDED_FILES_MAX);
    needs->files[needs->file_count++] = path;
}

static void need_certificates(struct needs *needs, const json_t *tls)
{
    static const char *const names[] = {"ca", "certificate", "key"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = json_string_value(json_object_get(tls, names[i]));
        if (path)
            need_file(needs, path);
    }
}

static void need_public_files(struct needs *needs)
{
    static const char *const paths[] = {PUBLIC_FILES};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        need_file(needs, paths[i]);
}

static void need_port(struct needs *needs, json_int_t port)
{
    for (size_t i = 0; i < needs->port_count; i++) {
        if (needs->ports[i] == port)
            return;
    }
    FH_ASSERT(needs->port_count < REACH_PORTS_MAX);
    if (port > 0 && port <= UINT16_MAX)
        needs->ports[needs->port_count++] = (uint16_t)port;
}

static void need_peers(struct needs *needs, const json_t *config)
{
    const json_t *calls = json_at(config, "keys.calls");
    const char *name;
    json_t *address;
    json_object_foreach (json_object_get(config, "peers"), name, address) {
        const char *colon =
            json_is_string(address) ? strrchr(json_string_value(address), ':') : NULL;
        /* Without keys everybody is called, and believed. */
        if (colon && (!json_object_get(config, "keys") || json_object_get(calls, name)))
            need_port(needs, strtol(colon + 1, NULL, 10));
    }
}

/* A store's server, or one of its replicas. */
static void need_server(struct needs *needs, const json_t *server, int usual_port)
{
    const char *host = json_string_at(server, "host");
    unsigned char binary[sizeof(struct in6_addr)];
    json_int_t port = usual_port;
    if (host && *host == '/') {
        needs->calls.unix_sockets = true;
        return;
    }
    if (host && inet_pton(AF_INET, host, binary) != 1 && inet_pton(AF_INET6, host, binary) != 1)
        needs->calls.names = true;
    json_integer_at(server, "port", &port);
    need_port(needs, port);
}

static void need_store(struct needs *needs, const char *engine, const json_t *store)
{
    size_t i;
    const json_t *replica;
    const struct server_kind *kind = engine ? server_kind(engine) : NULL;
    if (!kind) /* embedded */
        return;
    needs->calls.watches = true;
    need_server(needs, store, kind->port);
    json_array_foreach (json_object_get(store, "replicas"), i, replica)
        need_server(needs, replica, kind->port);
}

/* On which gateways count together. */
static void need_counters(struct needs *needs, const json_t *shared)
{
    const char *engine = json_string_at(shared, "engine");
    const struct server_kind *kind = engine ? server_kind(engine) : NULL;
    if (kind)
        need_server(needs, shared, kind->port);
}

/* A broker; its client library is loaded when it is connected to. */
static void need_bus(struct needs *needs, const json_t *bus)
{
    const char *name = json_string_at(bus, "driver");
    const struct broker_driver *driver = name ? broker_driver_named(name) : NULL;
    if (!driver)
        return;
    need_public_files(needs);
    need_certificates(needs, json_object_get(bus, "tls"));
    need_server(needs, bus, driver->port);
}

static void need_buses(struct needs *needs, const json_t *config)
{
    const char *source;
    json_t *bus;
    need_bus(needs, json_object_get(config, "bus"));
    json_object_foreach (json_object_get(config, "buses"), source, bus)
        need_bus(needs, bus);
}

/* Servers that derived stores lie on: their authorities are read, and their names resolved. */
static void need_derives(struct needs *needs, const json_t *config)
{
    const char *derived;
    json_t *server;
    json_object_foreach (json_object_get(config, "derives"), derived, server) {
        const char *name = json_string_at(server, "driver");
        const struct carried_driver *driver = name ? carried_driver_named(name) : NULL;
        if (!driver)
            continue;
        need_public_files(needs);
        need_certificates(needs, json_object_get(server, "tls"));
        need_server(needs, server, driver->port);
    }
}

static void need_outside(struct needs *needs, const json_t *config)
{
    size_t i;
    const json_t *port;
    if (json_object_get(config, "outside")) {
        needs->calls.names = true;
        need_port(needs, PORT_HTTP);
        need_port(needs, PORT_HTTPS);
    }
    json_array_foreach (json_object_get(config, "outside_ports"), i, port)
        need_port(needs, json_integer_value(port));
}

/* Those of every URL in it: identities' providers. */
static void need_urls(struct needs *needs, const json_t *value)
{
    const char *name, *text = json_string_value(value);
    const json_t *inner;
    size_t i;
    if (text && strncmp(text, "http", 4) == 0 && strstr(text, "://")) {
        const char *host = strstr(text, "://") + 3, *end = host + strcspn(host, "/?#");
        const char *colon = memrchr(host, ':', (size_t)(end - host));
        if (colon)
            need_port(needs, strtol(colon + 1, NULL, 10));
    }
    json_array_foreach (value, i, inner)
        need_urls(needs, inner);
    json_object_foreach ((json_t *)(uintptr_t)value, name, inner)
        need_urls(needs, inner);
}

static void need_all(struct needs *needs, const json_t *config)
{
    need_peers(needs, config);
    need_store(needs, json_string_at(config, "engine"), json_object_get(config, "store"));
    need_store(needs, json_string_at(config, "from.engine"), json_at(config, "from.store"));
    need_counters(needs, json_at(config, "limits.shared"));
    need_buses(needs, config);
    need_derives(needs, config);
    need_outside(needs, config);
    need_urls(needs, json_object_get(config, "auth"));
    if (needs->calls.names)
        need_port(needs, PORT_DNS);
}

static enum fh_code confine_client(const json_t *config, const char *folder, const char *readable,
                                   struct confinement *ret, struct fh_error *error)
{
    const json_t *store = json_object_get(config, "store"),
                 *shared = json_at(config, "limits.shared");
    struct needs needs = {0};
    if (store || shared || json_object_get(config, "outside"))
        need_public_files(&needs);
    need_certificates(&needs, json_object_get(store ? store : shared, "tls"));
    need_all(&needs, config);
    if (json_string_at(config, "reports"))
        need_file(&needs, json_string_at(config, "reports"));
    struct reach reach = {folder,      readable,         needs.file_count ? needs.files : NULL,
                          needs.ports, needs.port_count, needs.calls};
    return confine(&reach, ret, error);
}

enum fh_code confine_by(const json_t *config, const char *folder, const char *readable,
                        struct confinement *ret, struct fh_error *error)
{
    *ret = (struct confinement){0};
    symbols_init(); /* while files can still be opened */
    if (json_is_false(json_object_get(config, "confine"))) {
        ret->abi = ask_abi();
        log_warning(
            "confinement-lifted",
            "the configuration lifts the confinement: THIS PROCESS REACHES EVERY FILE OF ITS "
            "USER");
        return FH_OK;
    }
    enum fh_code code = confine_client(config, folder, readable, ret, error);
    if (code == FH_OK && !ret->confined)
        log_warning("confinement-unsupported",
                    "this kernel has no Landlock: the process is not confined");
    if (code == FH_OK && ret->calls == CALLS_UNFILTERED)
        log_warning("calls-unfiltered",
                    "this kernel has no seccomp: the process may make every system call");
    return code;
}

const char *const *confine_gaps(int abi)
{
    static const char *const gaps[] = {
        "without Landlock nothing is refused but by the files' modes", /* below 1 */
        "files of others could still be truncated",                    /* below 3 */
        "any port could be connected to, on this machine and others",  /* below 4 */
        "devices that are open could still be controlled",             /* below 5 */
        "by signals that files send, processes of the same user could still be reached", /* below 6
                                                                                          */
        "what files there are, and their size and mode, can be seen",
        "ports that a service connects to are open to it on every machine: Landlock knows no "
        "addresses",
        NULL};
    static const int needed[] = {1, 3, 4, 5, 6};
    size_t gap = 0;
    while (gap < sizeof needed / sizeof *needed && abi >= needed[gap])
        gap++;
    return gaps + gap;
}
