/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: what is recorded, in which order, what is never recorded, and that whatever is
 * done to the file afterwards is found. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "system/audit/audit.h"

struct log {
    char folder[64];
    int fd;
    struct audit_reading reading;
    json_t *entries, *faults;
};

static int make_log(void **state)
{
    struct log *log = calloc(1, sizeof *log);
    assert_non_null(log);
    json_memory_init();
    snprintf(log->folder, sizeof log->folder, "/tmp/audit-XXXXXX");
    assert_non_null(mkdtemp(log->folder));
    log->fd = open(log->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(log->fd >= 0);
    *state = log;
    return 0;
}

static int remove_log(void **state)
{
    struct log *log = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", log->folder);
    json_decref(log->entries);
    json_decref(log->faults);
    close(log->fd);
    int status = system(command);
    free(log);
    return status;
}

static int64_t begin(struct log *log, const char *what)
{
    int64_t act = 0;
    struct fh_error error;
    const struct audit_act begun = {
        .what = what, .service = "orders", .who = {.uid = 7, .login = 1000}};
    assert_int_equal(audit_begin(log->fd, &begun, &act, &error), FH_OK);
    return act;
}

static void end(struct log *log, int64_t act, const char *why)
{
    struct fh_error error;
    assert_int_equal(audit_end(log->fd, act, why, &error), FH_OK);
}

static void keep_entry(void *context, const json_t *entry)
{
    json_array_append(((struct log *)context)->entries, (json_t *)(uintptr_t)entry);
}

static void keep_fault(void *context, const char *file, long line, const char *text)
{
    json_array_append_new(((struct log *)context)->faults,
                          json_sprintf("%s:%ld: %s", file, line, text));
}

/* How many faults there are. */
static size_t look(struct log *log)
{
    struct fh_error error;
    json_decref(log->entries);
    json_decref(log->faults);
    log->entries = json_array();
    log->faults = json_array();
    log->reading = (struct audit_reading){.entry = keep_entry,
                                          .fault = keep_fault,
                                          .context = log,
                                          .expected_n = log->reading.expected_n,
                                          .expected_digest = log->reading.expected_digest};
    assert_int_equal(audit_read(log->fd, &log->reading, &error), FH_OK);
    return json_array_size(log->faults);
}

static const char *fault_text(const struct log *log)
{
    return json_string_value(json_array_get(log->faults, 0));
}

static char *read_all(struct log *log, size_t *ret_length)
{
    char *text = calloc(1, 1 << 20);
    int fd = openat(log->fd, AUDIT_LOG, O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, text, (1 << 20) - 1);
    assert_true(fd >= 0 && length >= 0);
    close(fd);
    *ret_length = (size_t)length;
    return text;
}

static void write_all(struct log *log, const char *text, size_t length)
{
    int fd = openat(log->fd, AUDIT_LOG, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, length), length);
    close(fd);
}

static void an_act_begins_and_ends_in_a_closed_file(void **state)
{
    struct log *log = *state;
    struct stat status;
    int64_t scale = begin(log, "scale"), move = begin(log, "move");
    assert_int_equal(scale, 1);
    end(log, move, "no such engine");
    end(log, scale, NULL);
    assert_int_equal(look(log), 0);
    assert_int_equal(json_array_size(log->entries), 4);
    const json_t *first = json_array_get(log->entries, 0), *third = json_array_get(log->entries, 2);
    assert_string_equal(json_string_at(first, "what"), "scale");
    assert_string_equal(json_string_at(first, "service"), "orders");
    assert_int_equal(json_integer_value(json_at(first, "who.uid")), 7);
    assert_int_equal(json_integer_value(json_at(first, "who.login")), 1000);
    assert_int_equal(json_integer_value(json_object_get(third, "act")), move);
    assert_string_equal(json_string_at(third, "state"), "failed");
    assert_string_equal(json_string_at(third, "why"), "no such engine");
    assert_string_equal(json_string_at(json_array_get(log->entries, 3), "state"), "done");
    assert_int_equal(fstatat(log->fd, AUDIT_LOG, &status, 0), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
}

static void nothing_that_may_be_secret_is_recorded(void **state)
{
    struct log *log = *state;
    int64_t act;
    struct fh_error error;
    json_t *with = json_pack("{s:s, s:s, s:{s:s}, s:s, s:[s, {s:s}], s:b, s:i}", "source", "orders",
                             "data", "hush", "id", "deep", "hush", "password", "hush", "ids", "1",
                             "x", "hush", "all", 1, "position", 4);
    char longest[70000];
    memset(longest, '\n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    json_object_set_new(with, "why", json_string(longest));
    const struct audit_act begun = {.what = "parked edit", .who = audit_who_self(), .with = with};
    assert_int_equal(audit_begin(log->fd, &begun, &act, &error), FH_OK);
    json_decref(with);
    assert_int_equal(look(log), 0);
    char *text = json_text(json_object_get(json_array_get(log->entries, 0), "with"));
    assert_null(strstr(text, "hush"));
    assert_non_null(strstr(text, "\"data\":\"(not recorded)\""));
    assert_non_null(strstr(text, "\"source\":\"orders\""));
    assert_non_null(strstr(text, "\"position\":4"));
    assert_true(strlen(text) < 4096);
    json_text_free(text);
    const struct audit_act odd = {.what = "\xff", .service = "\xc3", .who = audit_who_self()};
    assert_int_equal(audit_begin(log->fd, &odd, &act, &error), FH_OK);
    assert_int_equal(look(log), 0);
}

/* Every byte of a log with five entries, changed: the chain shows it, but for the last line, which
 * the head shows. */
static void a_changed_byte_is_found(void **state)
{
    struct log *log = *state;
    size_t length;
    char head[AUDIT_DIGEST_SIZE];
    for (int i = 0; i < 5; i++)
        begin(log, "scale");
    assert_int_equal(look(log), 0);
    memcpy(head, log->reading.head, sizeof head);
    char *text = read_all(log, &length);
    log->reading.expected_n = 5;
    log->reading.expected_digest = head;
    assert_int_equal(look(log), 0);
    for (size_t at = 0; at < length; at++) {
        text[at] ^= 1;
        write_all(log, text, length);
        assert_true(look(log) > 0);
        text[at] ^= 1;
    }
    write_all(log, text, length);
    assert_int_equal(look(log), 0);
    free(text);
}

static void lines_taken_out_added_or_swapped_are_found(void **state)
{
    struct log *log = *state;
    size_t length;
    char *lines[6], changed[8192];
    for (int i = 0; i < 5; i++)
        begin(log, "scale");
    char *text = read_all(log, &length), *at = text;
    for (int i = 0; i < 5; i++) {
        lines[i] = at;
        at = strchr(at, '\n') + 1;
    }
    lines[5] = at;
    static const int orders[][6] = {
        {0, 1, 3, 4, -1}, {0, 2, 1, 3, 4, -1}, {0, 1, 1, 2, 3, 4}, {1, 0, 2, 3, 4, -1}};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        size_t used = 0;
        for (int j = 0; j < 6 && orders[i][j] >= 0; j++) {
            size_t size = (size_t)(lines[orders[i][j] + 1] - lines[orders[i][j]]);
            memcpy(changed + used, lines[orders[i][j]], size);
            used += size;
        }
        write_all(log, changed, used);
        assert_true(look(log) > 0);
    }
    /* What is cut off at the end only the head shows. */
    char head[AUDIT_DIGEST_SIZE];
    write_all(log, text, length);
    assert_int_equal(look(log), 0);
    memcpy(head, log->reading.head, sizeof head);
    write_all(log, text, (size_t)(lines[4] - text));
    assert_int_equal(look(log), 0);
    log->reading.expected_n = 5;
    log->reading.expected_digest = head;
    assert_int_equal(look(log), 1);
    assert_non_null(strstr(fault_text(log), "entry 5 is expected and missing"));
    /* What was there before is gone with its file: the rest still hangs together. */
    log->reading.expected_n = 0;
    write_all(log, lines[2], (size_t)(lines[5] - lines[2]));
    assert_int_equal(look(log), 0);
    assert_int_equal(log->reading.first, 3);
    free(text);
}

static void an_entry_that_was_cut_short_is_dropped_and_told(void **state)
{
    struct log *log = *state;
    size_t length;
    begin(log, "scale");
    begin(log, "scale");
    char *text = read_all(log, &length);
    for (size_t cut = 1; cut < 40; cut += 13) {
        write_all(log, text, length - cut);
        assert_int_equal(look(log), 0);
        assert_int_equal(log->reading.last, 1);
        assert_int_equal(begin(log, "move"), 2);
        assert_int_equal(look(log), 0);
        assert_true(
            json_integer_value(json_object_get(json_array_get(log->entries, 1), "dropped")) > 0);
    }
    write_all(log, text, 20); /* the first one */
    assert_int_equal(begin(log, "move"), 1);
    assert_int_equal(look(log), 0);
    free(text);
}

static void a_damaged_end_takes_no_entries(void **state)
{
    struct log *log = *state;
    int64_t act;
    struct fh_error error;
    const struct audit_act begun = {.what = "scale", .who = audit_who_self()};
    begin(log, "scale");
    write_all(log, "nonsense\n", 9);
    assert_int_equal(audit_begin(log->fd, &begun, &act, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "damaged"));
    assert_int_equal(renameat(log->fd, AUDIT_LOG, log->fd, "aside"), 0);
    assert_int_equal(audit_begin(log->fd, &begun, &act, &error), FH_OK);
}

static void a_full_disk_refuses_the_act_and_leaves_the_chain_whole(void **state)
{
    struct log *log = *state;
    begin(log, "scale");
    size_t length;
    free(read_all(log, &length));
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {length + 60, length + 60}; /* in the middle of the next entry */
        int64_t act;
        struct fh_error error = {0};
        const struct audit_act begun = {.what = "scale", .who = audit_who_self()};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        bool refused = audit_begin(log->fd, &begun, &act, &error) == FH_UNAVAILABLE &&
                       strstr(error.message, "nothing is done unrecorded") != NULL;
        _exit(refused ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    size_t now;
    free(read_all(log, &now));
    assert_int_equal(now, length);
    assert_int_equal(begin(log, "move"), 2);
    assert_int_equal(look(log), 0);
}

/* Not synced is not begun; to make 4 MiB by real entries would take a while. */
static void a_large_log_goes_on_in_another(void **state)
{
    struct log *log = *state;
    size_t length, used = 0;
    char *text = calloc(1, AUDIT_SIZE_MAX + 4096);
    char digest[AUDIT_DIGEST_SIZE];
    long long n = 0;
    assert_non_null(text);
    memset(digest, '0', sizeof digest - 1);
    digest[sizeof digest - 1] = '\0';
    while (used < AUDIT_SIZE_MAX) {
        int size = snprintf(text + used, 4096,
                            "{\"n\":%lld,\"act\":%lld,\"at_ms\":1,\"state\":\"begun\",\"what\":"
                            "\"%02000d\",\"previous\":\"%s\"}\n",
                            n + 1, n + 1, 0, digest);
        audit_digest(text + used, (size_t)size - 1, digest);
        used += (size_t)size;
        n++;
    }
    write_all(log, text, used);
    free(text);
    int64_t act = begin(log, "scale");
    assert_int_equal(act, n + 1);
    end(log, act, NULL);
    free(read_all(log, &length));
    assert_true(length < 1000);
    assert_int_equal(look(log), 0);
    assert_int_equal(log->reading.first, 1);
    assert_int_equal(log->reading.last, n + 2);
    /* Killed after the renaming: there is no audit.log. */
    assert_int_equal(unlinkat(log->fd, AUDIT_LOG, 0), 0);
    assert_int_equal(begin(log, "scale"), n + 1);
    assert_int_equal(look(log), 0);
    /* The chain goes over the files' border. */
    text = read_all(log, &length);
    char *previous = strstr(text, "\"previous\":\"");
    previous[13] = previous[13] == '0' ? '1' : '0';
    write_all(log, text, length);
    assert_int_equal(look(log), 1);
    free(text);
}

static void a_process_that_holds_the_lock_costs_two_seconds_and_the_act(void **state)
{
    struct log *log = *state;
    int64_t act;
    int held;
    struct fh_error error;
    const struct audit_act begun = {.what = "scale", .who = audit_who_self()};
    assert_int_equal(audit_lock(log->fd, &held, &error), FH_OK);
    assert_int_equal(audit_begin(log->fd, &begun, &act, &error), FH_UNAVAILABLE);
    assert_non_null(strstr(error.message, "locked by another process"));
    close(held);
    assert_int_equal(audit_begin(log->fd, &begun, &act, &error), FH_OK);
}

static void many_processes_make_one_chain(void **state)
{
    struct log *log = *state;
    pid_t pids[4];
    for (size_t i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            for (int j = 0; j < 10; j++)
                end(log, begin(log, "scale"), NULL);
            _exit(0);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(look(log), 0);
    assert_int_equal(log->reading.last, 80);
}

#define AUDIT_TEST(test) cmocka_unit_test_setup_teardown(test, make_log, remove_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AUDIT_TEST(an_act_begins_and_ends_in_a_closed_file),
        AUDIT_TEST(nothing_that_may_be_secret_is_recorded),
        AUDIT_TEST(a_changed_byte_is_found),
        AUDIT_TEST(lines_taken_out_added_or_swapped_are_found),
        AUDIT_TEST(an_entry_that_was_cut_short_is_dropped_and_told),
        AUDIT_TEST(a_damaged_end_takes_no_entries),
        AUDIT_TEST(a_full_disk_refuses_the_act_and_leaves_the_chain_whole),
        AUDIT_TEST(a_large_log_goes_on_in_another),
        AUDIT_TEST(a_process_that_holds_the_lock_costs_two_seconds_and_the_act),
        AUDIT_TEST(many_processes_make_one_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
