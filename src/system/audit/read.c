/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the audit log, and following its chain. Each fault is reported with its file and line,
 * and the chain is followed further from there, so that one fault is one finding. The lock is held
 * meanwhile: an entry that is just being written would look like one that was cut short.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "system/audit/audit.h"

#define NAME_SIZE 64

struct chain {
    struct audit_reading *reading;
    char file[NAME_SIZE];
    long line;
    int64_t n;                      /* of the entry before; 0: none was read yet */
    char digest[AUDIT_DIGEST_SIZE]; /* of its line */
    bool expected;                  /* the expected entry was there */
};

static void __attribute__((format(printf, 2, 3)))
report_fault(struct chain *chain, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    chain->reading->faults++;
    chain->reading->fault(chain->reading->context, chain->file, chain->line, text);
}

static void check_expected(struct chain *chain)
{
    const struct audit_reading *reading = chain->reading;
    if (chain->n != reading->expected_n)
        return;
    chain->expected = true;
    if (strcmp(chain->digest, reading->expected_digest) != 0)
        report_fault(chain, "entry %lld is not the one that was expected: %.64s",
                     (long long)chain->n, chain->digest);
}

static void check_link(struct chain *chain, const json_t *entry, int64_t n)
{
    const char *previous = json_string_at(entry, "previous");
    if (chain->n == 0 && n == 1 && (!previous || strspn(previous, "0") != strlen(previous)))
        report_fault(chain, "entry 1 does not begin the chain");
    if (chain->n == 0) /* what came before was moved elsewhere */
        return;
    if (n != chain->n + 1)
        report_fault(chain, "entry %lld follows entry %lld: entries are missing, or were added",
                     (long long)n, (long long)chain->n);
    else if (!previous || strcmp(previous, chain->digest) != 0)
        report_fault(chain, "entry %lld was changed, or the one after it", (long long)chain->n);
}

static void take_audit_line(struct chain *chain, const char *line, size_t length)
{
    json_t *entry = NULL;
    json_int_t n = 0, at_ms = 0, act = 0;
    struct audit_reading *reading = chain->reading;
    if (json_parse(line, length, &entry, ERROR_UNHEEDED) != FH_OK ||
        !json_integer_at(entry, "n", &n) || n <= 0 || !json_integer_at(entry, "at_ms", &at_ms) ||
        !json_integer_at(entry, "act", &act) || !json_string_at(entry, "state")) {
        report_fault(chain, "this is not an entry of the log");
        json_decref(entry);
        audit_digest(line, length, chain->digest);
        chain->n = chain->n ? chain->n + 1 : 0; /* in its place */
        return;
    }
    check_link(chain, entry, n);
    chain->n = n;
    audit_digest(line, length, chain->digest);
    check_expected(chain);
    if (reading->first == 0)
        reading->first = n;
    reading->entry(reading->context, entry);
    json_decref(entry);
}

static enum fh_code read_audit_file(int state_fd, struct chain *chain, struct fh_error *error)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    struct stat status;
    int fd = openat(state_fd, chain->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return FH_OK;
    FILE *stream =
        fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? fdopen(fd, "r") : NULL;
    if (!stream) {
        if (fd >= 0)
            close(fd);
        return error_set(error, FH_UNAVAILABLE, "%s can't be read.", chain->file);
    }
    for (chain->line = 1; (length = getline(&line, &size, stream)) > 0; chain->line++) {
        bool whole = line[length - 1] == '\n';
        if (!whole && strcmp(chain->file, AUDIT_LOG) == 0)
            break; /* never acknowledged; the next append cuts it off */
        take_audit_line(chain, line, (size_t)length - whole);
    }
    bool failed = ferror(stream);
    free(line);
    fclose(stream);
    return failed ? error_set(error, FH_UNAVAILABLE, "%s can't be read.", chain->file) : FH_OK;
}

enum fh_code audit_read(int state_fd, struct audit_reading *reading, struct fh_error *error)
{
    struct chain chain = {.reading = reading};
    int64_t *numbers = NULL;
    size_t count = 0;
    int lock_fd;
    enum fh_code code = audit_lock(state_fd, &lock_fd, error);
    if (code == FH_OK)
        code = audit_rotated(state_fd, &numbers, &count, error);
    for (size_t i = 0; i < count && code == FH_OK; i++) {
        snprintf(chain.file, sizeof chain.file, AUDIT_LOG ".%lld", (long long)numbers[i]);
        code = read_audit_file(state_fd, &chain, error);
    }
    snprintf(chain.file, sizeof chain.file, AUDIT_LOG);
    if (code == FH_OK)
        code = read_audit_file(state_fd, &chain, error);
    if (code == FH_OK && reading->expected_n > 0 && !chain.expected)
        report_fault(&chain, "entry %lld is expected and missing: the newest is %lld",
                     (long long)reading->expected_n, (long long)chain.n);
    reading->last = chain.n;
    memcpy(reading->head, chain.digest, sizeof reading->head);
    free(numbers);
    if (lock_fd >= 0)
        close(lock_fd);
    return code;
}
