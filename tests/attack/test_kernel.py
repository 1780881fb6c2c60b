# SPDX-License-Identifier: Apache-2.0
"""The kernel: what no service needs is shut, and what it is refused, the log names."""

import platform

import pytest

from conftest import scenario

X86_64 = {"bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "keyctl": 250, "add_key": 248, "request_key": 249,
          "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "ptrace": 101, "process_vm_readv": 310,
          "process_vm_writev": 311, "kcmp": 312, "pidfd_getfd": 438, "pidfd_open": 434, "pidfd_send_signal": 424,
          "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "move_mount": 429, "fsopen": 430,
          "open_tree": 428, "mount_setattr": 442, "unshare": 272, "setns": 308, "init_module": 175, "finit_module": 313,
          "kexec_load": 246, "reboot": 169, "swapon": 167, "sethostname": 170, "setuid": 105, "setgid": 106,
          "setgroups": 116, "setresuid": 117, "capset": 126, "chmod": 90, "fchmod": 91, "fchmodat": 268, "chown": 92,
          "lchown": 94, "fchownat": 260, "setxattr": 188, "umask": 95, "mknod": 133, "mknodat": 259, "symlink": 88,
          "link": 86, "personality": 135, "syslog": 103, "quotactl": 179, "acct": 163, "iopl": 172, "ioperm": 173,
          "modify_ldt": 154, "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "setrlimit": 160,
          "setpriority": 141, "ioprio_set": 251, "sched_setparam": 142, "sched_setattr": 314, "move_pages": 279,
          "migrate_pages": 256, "mbind": 237, "memfd_create": 319, "memfd_secret": 447, "execve": 59, "execveat": 322,
          "fork": 57, "vfork": 58, "name_to_handle_at": 303, "open_by_handle_at": 304, "openat2": 437,
          "fanotify_init": 300, "inotify_init1": 294, "seccomp": 317, "landlock_create_ruleset": 444,
          "landlock_restrict_self": 446, "shmget": 29, "msgget": 68, "semget": 64, "mq_open": 240, "rt_sigqueueinfo": 129,
          "tkill": 200, "bind": 49, "listen": 50, "vmsplice": 278, "splice": 275, "tee": 276, "remap_file_pages": 216,
          "lookup_dcookie": 212, "nfsservctl": 180, "_sysctl": 156, "uselib": 134, "ustat": 136, "sysfs": 139}

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="ITS CALLS ARE KNOWN BY NUMBER ON x86_64 ALONE")


@pytest.mark.parametrize("name", X86_64)
def test_a_call_that_no_service_needs_is_refused(attacked, name):
    assert attacked.attack("make_call", number=X86_64[name])[0] == "EPERM"
    named = f"[call-refused]: the system call {name} (number {X86_64[name]}) was refused"
    scenario.wait_for(f"the log says: {named}", lambda: named in attacked.log("hostile"))


@pytest.mark.parametrize("name, number, errno", [("close", 3, "EBADF"), ("fsync", 74, "EBADF"), ("fstat", 5, "EBADF")])
def test_a_call_that_it_needs_reaches_the_kernel(attacked, name, number, errno):
    """So the refusals above say something."""
    assert attacked.attack("make_call", number=number)[0] == errno, name


@pytest.mark.parametrize("attack", ["make_ring", "handle_faults", "make_namespace", "make_namespace_by_clone",
                                    "type_into_terminal", "change_personality"])
def test_whole_attacks_are_refused(attacked, attack):
    assert attacked.attack(attack)[0] == "EPERM"


@pytest.mark.parametrize("attack", ["change_root", "mount_something", "make_device"])
def test_whole_attacks_on_files_are_refused(attacked, attack):
    assert attacked.attack(attack, path=attacked.path("hostile", "there"))[0] == "EPERM"


def test_a_call_of_another_architecture_ends_the_process(attacked):
    """Its number would pass for another call's. Whoever makes one was taken over: `up` starts it anew."""
    before = attacked.pid("hostile")
    attacked.command("call", "hostile", "POST", "/attacks/end_by_foreign_call", "--json", "--state", attacked.state,
                     "--data", "{}", check=False)
    scenario.wait_for("it was started anew", lambda: attacked.pid("hostile") not in (None, before) and
                      attacked.services()["hostile"]["ready"])
