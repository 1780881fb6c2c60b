/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: those of others, and new ones. `pid` is whom it aims at. */

#define _GNU_SOURCE
#include "attack.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t target_of(const json_t *arguments)
{
    return (pid_t)integer_argument(arguments, "pid");
}

ATTACK(trace)
{
    return outcome_of(ptrace(PTRACE_SEIZE, target_of(arguments), NULL, NULL));
}

ATTACK(read_memory)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {&byte, 1};
    return outcome_of(process_vm_readv(target_of(arguments), &here, 1, &there, 1, 0));
}

/* Signal 0 looks whether one could be sent: the system must live on. */
ATTACK(signal_process)
{
    return outcome_of(kill(target_of(arguments), 0));
}

ATTACK(signal_thread)
{
    return outcome_of(tgkill(target_of(arguments), target_of(arguments), 0));
}

ATTACK(signal_by_descriptor)
{
    int fd = (int)syscall(SYS_pidfd_open, target_of(arguments), 0U);
    if (fd < 0)
        return errno;
    int refused = outcome_of(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0U));
    close(fd);
    return refused;
}

ATTACK(signal_queued)
{
    siginfo_t info = {.si_code = SI_QUEUE, .si_pid = getpid(), .si_uid = getuid()};
    return outcome_of(syscall(SYS_rt_sigqueueinfo, target_of(arguments), 0, &info));
}

/* Whoever owns a descriptor is signalled when something comes. */
ATTACK(signal_by_owner)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    int refused = outcome_of(fcntl(ends[0], F_SETOWN, target_of(arguments)));
    close(ends[0]);
    close(ends[1]);
    return refused;
}

ATTACK(lower_priority)
{
    return outcome_of(setpriority(PRIO_PROCESS, (id_t)target_of(arguments), 19));
}

/* Of the thread that calls. */
ATTACK(schedule_own_thread)
{
    struct sched_param none = {0};
    return outcome_of(sched_setscheduler(0, (int)integer_argument(arguments, "policy"), &none));
}

ATTACK(lower_limits)
{
    struct rlimit limit = {64, 64};
    return outcome_of(prlimit(target_of(arguments), RLIMIT_NOFILE, &limit, NULL));
}

ATTACK(read_limits)
{
    struct rlimit limit;
    return outcome_of(prlimit(target_of(arguments), RLIMIT_NOFILE, NULL, &limit));
}

ATTACK(bind_to_processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    return outcome_of(sched_setaffinity(target_of(arguments), sizeof set, &set));
}

ATTACK(idle_schedule)
{
    struct sched_param parameters = {0};
    return outcome_of(sched_setscheduler(target_of(arguments), SCHED_IDLE, &parameters));
}

ATTACK(compare_processes)
{
    return outcome_of(syscall(SYS_kcmp, getpid(), target_of(arguments), KCMP_FILE, 0, 0));
}

ATTACK(take_descriptor)
{
    int fd = (int)syscall(SYS_pidfd_open, target_of(arguments), 0U);
    if (fd < 0)
        return errno;
    int taken = (int)syscall(SYS_pidfd_getfd, fd, 0, 0U);
    int refused = outcome_of(taken);
    close(fd);
    if (taken >= 0)
        close(taken);
    return refused;
}

ATTACK(fork_child)
{
    pid_t child = fork();
    if (child < 0)
        return errno;
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    return 0;
}

ATTACK(spawn_program)
{
    char *words[] = {(char[]){"true"}, NULL};
    pid_t child;
    int failed = posix_spawn(&child, "/bin/true", NULL, NULL, words, NULL);
    if (failed)
        return failed;
    waitpid(child, NULL, 0);
    return 0;
}

/* Would not come back if it worked. */
ATTACK(become_program)
{
    char *words[] = {(char[]){"true"}, NULL};
    return outcome_of(execv("/bin/true", words));
}

ATTACK(become_memory)
{
    static const char script[] = "#!/bin/true\n";
    char *words[] = {(char[]){"true"}, NULL};
    int fd = memfd_create("program", MFD_CLOEXEC);
    if (fd < 0)
        return errno;
    int refused = outcome_of(write(fd, script, sizeof script - 1));
    if (!refused)
        refused = outcome_of(fexecve(fd, words, words + 1));
    close(fd);
    return refused;
}

/* So that whoever shares its user may look into it again. */
ATTACK(become_dumpable)
{
    return outcome_of(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

ATTACK(tell_dumpable)
{
    struct rlimit core;
    json_object_set_new(found, "dumpable", json_integer(prctl(PR_GET_DUMPABLE)));
    json_object_set_new(
        found, "core",
        json_integer(getrlimit(RLIMIT_CORE, &core) == 0 ? (json_int_t)core.rlim_max : -1));
    return 0;
}

ATTACK(end_by_foreign_call)
{
    return outcome_of(syscall(0x40000000 | SYS_getpid));
}
