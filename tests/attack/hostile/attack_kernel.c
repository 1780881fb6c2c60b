/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the kernel that no service needs, and that faults are found in year after year. */

#define _GNU_SOURCE
#include "attack.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Any call by `number`, with arguments that no call likes: what is not refused says EFAULT, EINVAL
 * or EBADF. */
ATTACK(make_call)
{
    long number = (long)integer_argument(arguments, "number");
    return outcome_of(syscall(number, -1L, -1L, -1L, -1L, -1L, -1L));
}

ATTACK(make_ring)
{
    static char parameters[256];
    int fd = (int)syscall(SYS_io_uring_setup, 4U, parameters);
    int refused = outcome_of(fd);
    if (fd >= 0)
        close(fd);
    return refused;
}

ATTACK(handle_faults)
{
    int fd = (int)syscall(SYS_userfaultfd, 1U /* of user mode only: open to all */);
    int refused = outcome_of(fd);
    if (fd >= 0)
        close(fd);
    return refused;
}

ATTACK(make_namespace)
{
    return outcome_of(unshare(CLONE_NEWUSER));
}

ATTACK(make_namespace_by_clone)
{
    long child = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | 17, NULL, NULL, NULL, NULL);
    if (child == 0)
        _exit(0);
    return outcome_of(child);
}

ATTACK(change_root)
{
    return outcome_of(chroot(text_argument(arguments, "path")));
}

ATTACK(mount_something)
{
    return outcome_of(mount("none", text_argument(arguments, "path"), "tmpfs", 0, NULL));
}

ATTACK(make_device)
{
    return outcome_of(mknod(text_argument(arguments, "path"), S_IFCHR | 0600, 0x103));
}

ATTACK(type_into_terminal)
{
    char letter = 'x';
    return outcome_of(ioctl(2, TIOCSTI, &letter));
}

ATTACK(change_personality)
{
    return outcome_of(personality(ADDR_NO_RANDOMIZE));
}
