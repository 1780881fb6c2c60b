/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded before a program (LD_PRELOAD): counts its calls for memory, or for files, and fails one.
 *
 *     FAIL_WHAT    memory: malloc, calloc, realloc, posix_memalign, aligned_alloc, mmap;
 *                  files: open, write, sync, truncate, rename (EMFILE, ENOSPC, EIO, by the call)
 *     FAIL_AT      the call to fail, from 1 on; 0: none
 *     FAIL_AFTER   all: every later one, too, as when memory or the disk stays full; each: every
 * FAIL_AT-th FAIL_REPORT  a file to which it appends: a line for the call that failed, and one for
 * a signal that ends the program, each with the addresses it came by, innermost first, as
 * FILE+OFFSET FAIL_TRACE   a file in which each call's stack is noted by a number: how many calls,
 * then a number for each, all of 32 bits. The report has a line for each stack. FAIL_CASE    of
 * cmocka's cases only the one of this name; "?": none, their names are printed
 *
 * When a case has failed behind the call that failed, the process ends at once: what a test leaves
 * behind that was left in the middle says nothing about what it tests.
 *
 * Only the process itself is meant: what it starts finds these names no more, and a forked child
 * counts nothing. What glibc asks for inside of itself (fopen's open, fwrite's write) is not seen,
 * but its calls of malloc are. Writes count where they go into a regular file that is not a
 * standard stream.
 */

#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS /* else open64 is another name of open here, not another function */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#define SEEN __attribute__((visibility("default")))
#define FRAMES_MAX 48
#define STACKS_MAX (1u << 16)
#define TRACED_MAX (1u << 25) /* 128 MiB of a sparse file */
#define LINE_SIZE 16384
#define MODULES_MAX 512

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

enum what { NOTHING, MEMORY, FILES };

static enum what failing; /* NOTHING until the constructor has run, and in a forked child */
static uint32_t fail_at;
static bool fails_all, fails_each; /* after that one */
static int report = -1;
static struct {
    uint32_t count;
    uint32_t stacks[TRACED_MAX];
} * trace;
static uint32_t count;
static char program[4096];
static char wanted_case[256]; /* "": all */
static __thread bool inside __attribute__((tls_model("initial-exec")));

/* ---- What it writes down ---- */

/* dladdr would look for a symbol, which takes long. */
static struct module {
    uintptr_t from, to, base;
    const char *name;
} modules[MODULES_MAX];
static int modules_count;

static int note_module(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    for (int i = 0; i < info->dlpi_phnum && modules_count < MODULES_MAX; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && part->p_flags & PF_X)
            modules[modules_count++] =
                (struct module){from, from + part->p_memsz, info->dlpi_addr,
                                *info->dlpi_name ? info->dlpi_name : program};
    }
    return 0;
}

static const struct module *module_of(uintptr_t address)
{
    for (int i = 0; i < modules_count; i++)
        if (address >= modules[i].from && address < modules[i].to)
            return &modules[i];
    return NULL;
}

static size_t put_place(char *line, size_t used, void *frame)
{
    uintptr_t address = (uintptr_t)frame;
    const struct module *module = module_of(address);
    if (!module) { /* loaded since, by dlopen */
        modules_count = 0;
        dl_iterate_phdr(note_module, NULL);
        module = module_of(address);
    }
    if (!module)
        return used + (size_t)snprintf(line + used, LINE_SIZE - used, " ?");
    return used + (size_t)snprintf(line + used, LINE_SIZE - used, " %s+%zx", module->name,
                                   (size_t)(address - module->base));
}

static void write_report(const char *title, void **frames, int depth)
{
    static char
        line[LINE_SIZE]; /* fibers have small stacks; `inside` and one failure keep it ours */
    size_t used = (size_t)snprintf(line, sizeof line, "%s:", title);
    for (int i = 0; i < depth && used < sizeof line - 512; i++)
        used = put_place(line, used, frames[i]);
    line[used++] = '\n';
    if (report >= 0)
        syscall(SYS_write, report, line, used);
}

/* ---- Stacks, each with a number ---- */

static uint64_t stack_hashes[STACKS_MAX];
static volatile int stacks_locked;

static uint32_t number_of_stack(void **frames, int depth)
{
    uint64_t hash = 14695981039346656037u;
    for (int i = 0; i < depth; i++)
        hash = (hash ^ (uintptr_t)frames[i]) * 1099511628211u;
    hash |= 1;
    while (__atomic_exchange_n(&stacks_locked, 1, __ATOMIC_ACQUIRE))
        ;
    uint32_t at = (uint32_t)(hash >> 40) % STACKS_MAX, tried = 0;
    while (stack_hashes[at] && stack_hashes[at] != hash && tried++ < STACKS_MAX)
        at = (at + 1) % STACKS_MAX;
    if (stack_hashes[at] != hash) {
        char title[32];
        snprintf(title, sizeof title, "stack %u", at);
        stack_hashes[at] = hash;
        write_report(title, frames, depth);
    }
    __atomic_store_n(&stacks_locked, 0, __ATOMIC_RELEASE);
    return at;
}

/* ---- Counting, and failing ---- */

static void note_call(uint32_t number, const char *call, size_t size, bool told)
{
    void *frames[FRAMES_MAX];
    int depth = backtrace(frames, FRAMES_MAX);
    if (trace && number <= TRACED_MAX) {
        trace->stacks[number - 1] = number_of_stack(frames, depth);
        trace->count = number;
    }
    if (told) {
        char title[64];
        snprintf(title, sizeof title, "failed %u %s %zu", number, call, size);
        write_report(title, frames, depth);
    }
}

static bool call_fails(enum what what, const char *call, size_t size)
{
    if (failing != what || inside)
        return false;
    uint32_t number = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    bool later = fail_at && number > fail_at;
    bool fails =
        number == fail_at || (later && (fails_all || (fails_each && number % fail_at == 0)));
    bool told = fails && !(later && fails_all);
    if (trace || told) {
        int before = errno;
        inside = true;
        note_call(number, call, size, told);
        inside = false;
        errno = before;
    }
    return fails;
}

static void on_fork(void)
{
    failing = NOTHING;
}

static const int deaths[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT, 0};
static bool deaths_heeded;

/* Others' handlers are not installed: cmocka's would call a crash a test that has failed. */
static bool is_heeded(int number)
{
    const int *one = deaths;
    while (*one && *one != number)
        one++;
    return deaths_heeded && *one;
}

SEEN int sigaction(int number, const struct sigaction *action, struct sigaction *ret_before)
{
    int (*set)(int, const struct sigaction *, struct sigaction *) =
        (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");
    return set(number, is_heeded(number) ? NULL : action, ret_before);
}

SEEN sighandler_t signal(int number, sighandler_t handler)
{
    sighandler_t (*set)(int, sighandler_t) =
        (sighandler_t(*)(int, sighandler_t))dlsym(RTLD_NEXT, "signal");
    return is_heeded(number) ? SIG_DFL : set(number, handler);
}

static void on_death(int number)
{
    void *frames[FRAMES_MAX];
    char title[32];
    failing = NOTHING;
    deaths_heeded = false;
    inside = true;
    snprintf(title, sizeof title, "died %d", number);
    write_report(title, frames, backtrace(frames, FRAMES_MAX));
    signal(number, SIG_DFL);
    raise(number);
}

static const char *taken(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

static void heed_deaths(void)
{
    static char stack[64 << 10] __attribute__((aligned(16)));
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    struct sigaction action = {.sa_handler = on_death, .sa_flags = SA_ONSTACK | SA_NODEFER};
    for (const int *one = deaths; *one; one++)
        sigaction(*one, &action, NULL);
    deaths_heeded = true;
}

static int descriptor_of(const char *path, int flags)
{
    if (!*path)
        return -1;
    int low = (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CREAT | O_CLOEXEC, 0600);
    int high = fcntl(low, F_DUPFD_CLOEXEC, 200); /* where no test counts descriptors */
    close(low);
    return high;
}

__attribute__((constructor)) static void begin(void)
{
    void *frames[4];
    const char *what = taken("FAIL_WHAT");
    if (!*what)
        return;
    inside = true;
    backtrace(frames, 4); /* it loads what it needs at its first call */
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0)
        program[0] = '\0';
    fail_at = (uint32_t)strtoul(taken("FAIL_AT"), NULL, 10);
    fails_all = strcmp(taken("FAIL_AFTER"), "all") == 0;
    fails_each = strcmp(taken("FAIL_AFTER"), "each") == 0;
    report = descriptor_of(taken("FAIL_REPORT"), O_WRONLY | O_APPEND);
    int traced = descriptor_of(taken("FAIL_TRACE"), O_RDWR);
    if (traced >= 0 && ftruncate(traced, sizeof *trace) == 0)
        trace = (void *)syscall(SYS_mmap, NULL, sizeof *trace, PROT_READ | PROT_WRITE, MAP_SHARED,
                                traced, 0);
    snprintf(wanted_case, sizeof wanted_case, "%s", taken("FAIL_CASE"));
    heed_deaths();
    pthread_atfork(NULL, NULL, on_fork);
    failing = strcmp(what, "memory") == 0 ? MEMORY : FILES;
    const char *const names[] = {"FAIL_WHAT",  "FAIL_AT",   "FAIL_AFTER", "FAIL_REPORT",
                                 "FAIL_TRACE", "FAIL_CASE", "LD_PRELOAD"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    inside = false;
}

/* ---- Cases ---- */

SEEN int _cmocka_run_group_tests(const char *name, const struct CMUnitTest *const tests,
                                 const size_t tests_count, CMFixtureFunction begin_group,
                                 CMFixtureFunction end_group)
{
    int (*run)(const char *, const struct CMUnitTest *, size_t, CMFixtureFunction,
               CMFixtureFunction) =
        (int (*)(const char *, const struct CMUnitTest *, size_t, CMFixtureFunction,
                 CMFixtureFunction))dlsym(RTLD_NEXT, "_cmocka_run_group_tests");
    if (!*wanted_case)
        return run(name, tests, tests_count, begin_group, end_group);
    for (size_t i = 0; i < tests_count; i++) {
        if (strcmp(wanted_case, "?") == 0)
            printf("%s\n", tests[i].name);
        else if (strcmp(wanted_case, tests[i].name) == 0)
            return run(name, &tests[i], 1, begin_group, end_group);
    }
    return 0;
}

SEEN void _fail(const char *file, const int line)
{
    void (*fail_as_ever)(const char *, int) =
        (void (*)(const char *, int))dlsym(RTLD_NEXT, "_fail");
    if (failing != NOTHING && fail_at && count >= fail_at) {
        char title[256];
        snprintf(title, sizeof title, "reported %s:%d", file, line);
        write_report(title, NULL, 0);
        _exit(1);
    }
    fail_as_ever(file, line);
    abort();
}

/* ---- Memory ---- */

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

SEEN void *malloc(size_t size)
{
    return call_fails(MEMORY, "malloc", size) ? no_memory() : __libc_malloc(size);
}

SEEN void *calloc(size_t number, size_t size)
{
    return call_fails(MEMORY, "calloc", number * size) ? no_memory() : __libc_calloc(number, size);
}

/* What makes something smaller does not fail: few would expect it, and glibc's does not. */
SEEN void *realloc(void *memory, size_t size)
{
    return size && call_fails(MEMORY, "realloc", size) ? no_memory() : __libc_realloc(memory, size);
}

SEEN int posix_memalign(void **ret, size_t alignment, size_t size)
{
    if (call_fails(MEMORY, "posix_memalign", size))
        return ENOMEM;
    void *memory = __libc_memalign(alignment, size);
    if (!memory)
        return ENOMEM;
    *ret = memory;
    return 0;
}

SEEN void *aligned_alloc(size_t alignment, size_t size)
{
    return call_fails(MEMORY, "aligned_alloc", size) ? no_memory()
                                                     : __libc_memalign(alignment, size);
}

static void *map(void *at, size_t length, int protection, int flags, int file, off_t offset)
{
    return (void *)syscall(SYS_mmap, at, length, protection, flags, file, offset);
}

SEEN void *mmap(void *at, size_t length, int protection, int flags, int file, off_t offset)
{
    if (!call_fails(MEMORY, "mmap", length))
        return map(at, length, protection, flags, file, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

SEEN void *mmap64(void *at, size_t length, int protection, int flags, int file, off_t offset)
{
    if (!call_fails(MEMORY, "mmap", length))
        return map(at, length, protection, flags, file, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

/* ---- Files ---- */

static int failed(int number)
{
    errno = number;
    return -1;
}

static bool is_regular(int file)
{
    struct stat status;
    int before = errno;
    bool regular = file > STDERR_FILENO && failing == FILES && fstat(file, &status) == 0 &&
                   S_ISREG(status.st_mode);
    errno = before;
    return regular;
}

#define OPEN(name)                                                                                 \
    SEEN int name(const char *path, int flags, ...)                                                \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;               \
        va_end(arguments);                                                                         \
        return call_fails(FILES, "open", 0)                                                        \
                   ? failed(EMFILE)                                                                \
                   : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);                        \
    }
OPEN(open)
OPEN(open64)

#define OPEN_AT(name)                                                                              \
    SEEN int name(int folder, const char *path, int flags, ...)                                    \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;               \
        va_end(arguments);                                                                         \
        return call_fails(FILES, "open", 0) ? failed(EMFILE)                                       \
                                            : (int)syscall(SYS_openat, folder, path, flags, mode); \
    }
OPEN_AT(openat)
OPEN_AT(openat64)

SEEN ssize_t write(int file, const void *data, size_t length)
{
    if (is_regular(file) && call_fails(FILES, "write", length))
        return failed(ENOSPC);
    return syscall(SYS_write, file, data, length);
}

SEEN ssize_t writev(int file, const struct iovec *parts, int parts_count)
{
    if (is_regular(file) && call_fails(FILES, "writev", 0))
        return failed(ENOSPC);
    return syscall(SYS_writev, file, parts, parts_count);
}

#define PWRITE(name)                                                                               \
    SEEN ssize_t name(int file, const void *data, size_t length, off_t offset)                     \
    {                                                                                              \
        if (is_regular(file) && call_fails(FILES, "pwrite", length))                               \
            return failed(ENOSPC);                                                                 \
        return syscall(SYS_pwrite64, file, data, length, offset);                                  \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

SEEN int fsync(int file)
{
    return call_fails(FILES, "fsync", 0) ? failed(EIO) : (int)syscall(SYS_fsync, file);
}

SEEN int fdatasync(int file)
{
    return call_fails(FILES, "fdatasync", 0) ? failed(EIO) : (int)syscall(SYS_fdatasync, file);
}

#define TRUNCATE(name)                                                                             \
    SEEN int name(int file, off_t length)                                                          \
    {                                                                                              \
        return call_fails(FILES, "ftruncate", 0) ? failed(EIO)                                     \
                                                 : (int)syscall(SYS_ftruncate, file, length);      \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

SEEN int rename(const char *from, const char *to)
{
    return call_fails(FILES, "rename", 0)
               ? failed(ENOSPC)
               : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

SEEN int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return call_fails(FILES, "rename", 0)
               ? failed(ENOSPC)
               : (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
}
