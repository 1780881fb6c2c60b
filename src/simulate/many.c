/* SPDX-License-Identifier: Apache-2.0 */
/* Results come back in memory that parent and children share, one place for each that runs. */

#define _GNU_SOURCE
#include "simulate/many.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

#define TRACE_LINES_SHOWN 60
#define TRACE_LINE_SIZE 2048
#define TRACE_TIME_SIZE 24
#define TRACE_ID_LENGTH 32  /* of a request, in what is logged of it */
#define TRACE_TIME_WIDTH 12 /* "    0.002319" */

struct slot {
    struct run_result *result; /* shared */
    struct many_seed seed;
    pid_t pid; /* 0: free */
    bool again;
    uint64_t digest; /* of the first time */
};

static pid_t run_seed_apart(const struct run_system *system, uint64_t seed, FILE *trace,
                            struct run_result *result)
{
    memset(result, 0, sizeof *result);
    fflush(NULL);
    pid_t pid = fork();
    FH_ASSERT(pid >= 0);
    if (pid)
        return pid;
    signal(SIGALRM, SIG_DFL);
    signal(SIGXCPU, SIG_DFL);
    alarm(MANY_STILL_S_MAX);
    struct rlimit processor;
    if (getrlimit(RLIMIT_CPU, &processor) == 0) {
        processor.rlim_cur = MANY_RUN_S_MAX;
        setrlimit(RLIMIT_CPU, &processor);
    }
    run_once(system, seed, trace, result);
    if (trace)
        fflush(trace);
    _exit(0);
}

static void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    FH_ASSERT(memory != MAP_FAILED);
    return memory;
}

static void take_end(struct many_seed *seed, const struct run_result *result, int status)
{
    seed->result = *result;
    if (WIFSIGNALED(status))
        snprintf(seed->death, sizeof seed->death, "its process died of signal %d (%s)",
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (!result->ended)
        snprintf(seed->death, sizeof seed->death, "its process ended with %d", WEXITSTATUS(status));
    seed->failed = result->failures > 0 || seed->death[0];
}

static void slot_begin(const struct many *many, struct slot *slot, uint64_t seed)
{
    memset(&slot->seed, 0, sizeof slot->seed);
    slot->seed.seed = seed;
    slot->again = false;
    slot->pid = run_seed_apart(&many->system, seed, NULL, slot->result);
}

/* True: this seed is done. */
static bool slot_ended(const struct many *many, struct slot *slot, int status)
{
    slot->pid = 0;
    take_end(&slot->seed, slot->result, status);
    if (slot->seed.failed || !many->replay)
        return true;
    if (!slot->again) {
        slot->again = true;
        slot->digest = slot->result->digest;
        slot->pid = run_seed_apart(&many->system, slot->seed.seed, NULL, slot->result);
        return false;
    }
    slot->seed.replayed_otherwise = slot->digest != slot->result->digest;
    slot->seed.failed = slot->seed.replayed_otherwise;
    return true;
}

static struct slot *slot_of(struct slot *slots, int count, pid_t pid)
{
    for (int i = 0; i < count; i++) {
        if (slots[i].pid == pid)
            return &slots[i];
    }
    return NULL;
}

void many_run(const struct many *many)
{
    static const pid_t nobody = 0;
    struct slot slots[MANY_SIDE_BY_SIDE_MAX] = {0};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int count = many->side_by_side ? many->side_by_side : (int)(processors > 0 ? processors : 1);
    if (count > MANY_SIDE_BY_SIDE_MAX)
        count = MANY_SIDE_BY_SIDE_MAX;
    struct run_result *results = shared_memory((size_t)count * sizeof *results);
    for (int i = 0; i < count; i++)
        slots[i].result = &results[i];
    uint64_t begun = 0;
    int running = 0;
    bool more = true;
    while (running || (more && begun < many->runs)) {
        struct slot *slot = slot_of(slots, count, nobody);
        if (slot && more && begun < many->runs) {
            slot_begin(many, slot, many->first_seed + begun++);
            running++;
            continue;
        }
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        slot = pid > 0 ? slot_of(slots, count, pid) : NULL;
        FH_ASSERT(pid > 0 || errno == EINTR);
        if (!slot || !slot_ended(many, slot, status))
            continue;
        running--;
        more &= many->seen(many->context, &slot->seed);
    }
    munmap(results, (size_t)count * sizeof *results);
}

void many_trace(const struct run_system *system, uint64_t seed, FILE *trace, struct many_seed *ret)
{
    struct run_result *result = shared_memory(sizeof *result);
    int status;
    memset(ret, 0, sizeof *ret);
    ret->seed = seed;
    setvbuf(trace, NULL, _IOLBF, 1 << 16); /* a run that dies leaves its last line */
    pid_t pid = run_seed_apart(system, seed, trace, result);
    while (waitpid(pid, &status, 0) < 0)
        FH_ASSERT(errno == EINTR);
    take_end(ret, result, status);
    munmap(result, sizeof *result);
}

/* ---- The end of a trace ---- */

/* The last lines, of which no three are alike but for their time and a trace id: the third and all
 * that follow are counted at the second. What repeats itself would push out what it began with. */
struct trace_end {
    struct trace_line {
        char text[TRACE_LINE_SIZE];
        int more; /* like it */
        char last[TRACE_TIME_SIZE];
    } lines[TRACE_LINES_SHOWN];
    int count; /* of lines that were put here, those that have left again too */
};

static const char *trace_line_words(const char *line)
{
    line += strspn(line, " ");
    return line + strcspn(line, " ");
}

/* Where the id of a trace ends that begins there, which is another one in each line. */
static const char *trace_id_end(const char *text)
{
    size_t digits = strspn(text, "0123456789abcdef");
    return digits == TRACE_ID_LENGTH ? text + digits : text;
}

static bool trace_lines_alike(const char *a, const char *b)
{
    while (*a && *a == *b) {
        const char *a_end = trace_id_end(a + 1), *b_end = trace_id_end(b + 1);
        bool both = a_end > a + 1 && b_end > b + 1;
        a = both ? a_end : a + 1;
        b = both ? b_end : b + 1;
    }
    return *a == *b;
}

static struct trace_line *trace_line_at(struct trace_end *end, int number)
{
    return &end->lines[number % TRACE_LINES_SHOWN];
}

static void trace_end_add(struct trace_end *end, const char *line)
{
    int from = end->count > TRACE_LINES_SHOWN ? end->count - TRACE_LINES_SHOWN : 0, alike = 0;
    for (int i = from; i < end->count; i++) {
        struct trace_line *former = trace_line_at(end, i);
        if (!trace_lines_alike(trace_line_words(former->text), trace_line_words(line)) ||
            ++alike < 2)
            continue;
        const char *time = line + strspn(line, " ");
        snprintf(former->last, sizeof former->last, "%.*s", (int)strcspn(time, " "), time);
        former->more++;
        return;
    }
    struct trace_line *own = trace_line_at(end, end->count++);
    snprintf(own->text, sizeof own->text, "%s", line);
    own->more = 0;
}

static void trace_end_print(struct trace_end *end)
{
    for (int i = end->count > TRACE_LINES_SHOWN ? end->count - TRACE_LINES_SHOWN : 0;
         i < end->count; i++) {
        const struct trace_line *line = trace_line_at(end, i);
        fputs(line->text, stdout);
        if (line->more)
            printf("%*s… %d more like it, the last at %s\n", TRACE_TIME_WIDTH + 1, "", line->more,
                   line->last);
    }
}

void many_trace_end(const struct run_system *system, uint64_t seed)
{
    FILE *trace = tmpfile();
    struct trace_end *end = calloc(1, sizeof *end);
    char line[TRACE_LINE_SIZE];
    struct many_seed result;
    int count = 0;
    FH_ASSERT(trace && end);
    many_trace(system, seed, trace, &result);
    rewind(trace);
    for (; fgets(line, sizeof line, trace); count++)
        trace_end_add(end, line);
    printf("\nseed %" PRIu64 ", the last of %d lines (all of them: --seed %" PRIu64 " --trace):\n",
           seed, count, seed);
    trace_end_print(end);
    free(end);
    fclose(trace);
}
