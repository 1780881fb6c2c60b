/* SPDX-License-Identifier: Apache-2.0 */
/* The audited system from outside: the command that starts and stops it, and the files in which
 * `up` writes its processes' ids. */

#define _GNU_SOURCE
#include "audit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_FIRST 4100
#define PORT_BEHIND 15000
#define PORT_TRIES_MAX 1000

extern char **environ;

static const char *const names[] = {"ledger", "listener", "gateway"};
/* Of 16 kills. */
static const int shares[] = {7, 6, 3};

const char *system_victim(int index)
{
    return names[index];
}

static void run(const char *const arguments[])
{
    pid_t pid;
    char *copied[16];
    int count = 0, status;
    for (; arguments[count]; count++)
        copied[count] = strdup(arguments[count]);
    copied[count] = NULL;
    int failed = posix_spawn(&pid, copied[0], NULL, NULL, copied, environ);
    if (failed)
        die("%s can't be started: %s.", arguments[0], strerror(failed));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        die("%s %s has failed.", arguments[0], arguments[1]);
    for (int i = 0; i < count; i++)
        free(copied[i]);
}

/*
 * Below those that the kernel gives to connections that go out (32768 on): another process could
 * have it by the time that the system listens.
 */
static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int tries = 0; tries < PORT_TRIES_MAX; tries++) {
        uint16_t port = (uint16_t)(PORT_FIRST + (getpid() + tries) % (PORT_BEHIND - PORT_FIRST));
        address.sin_port = htons(port);
        int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        bool found = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        if (found)
            return port;
    }
    die("No free port from %d to %d.", PORT_FIRST, PORT_BEHIND - 1);
}

uint16_t system_up(const char *freehold, const char *file, const char *state, const char *profile)
{
    char listen_on[32];
    uint16_t port = free_port();
    snprintf(listen_on, sizeof listen_on, "127.0.0.1:%d", port);
    run((const char *const[]){freehold, "up", file, "--detach", "--state", state, "--listen",
                              listen_on, profile ? "--profile" : NULL, profile, NULL});
    return port;
}

void system_stop(const char *freehold, const char *state)
{
    run((const char *const[]){freehold, "stop", "--state", state, NULL});
}

/* The id of a process that lives and was started for this system, or 0. */
static pid_t pid_of(const char *state, const char *name)
{
    char path[4200], text[8192] = "";
    bool gateway = strcmp(name, "gateway") == 0;
    snprintf(path, sizeof path, "%s/.run/%s.%s.0", state, gateway ? "gateway" : "service", name);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    size_t read = fread(text, 1, sizeof text - 1, file);
    text[read] = '\0';
    fclose(file);
    const char *member = strstr(text, "\"pid\":");
    int found = member ? atoi(member + strlen("\"pid\":")) : 0;
    if (found <= 1)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/cmdline", found);
    file = fopen(path, "re");
    if (!file)
        return 0;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    /* its --config FILE */
    snprintf(path, sizeof path, "/%s/%s.json", name, gateway ? name : "service");
    return memmem(text, length, path, strlen(path)) ? (pid_t)found : 0;
}

bool system_kill(struct victims *victims)
{
    uint64_t drawn = chance() % 16;
    int victim = 0;
    while (drawn >= (uint64_t)shares[victim])
        drawn -= (uint64_t)shares[victim++];
    pid_t pid = pid_of(victims->state, names[victim]);
    if (pid == 0 || pid == victims->killed[victim] || kill(pid, SIGKILL) != 0)
        return false;
    victims->killed[victim] = pid;
    victims->counts[victim]++;
    return true;
}
