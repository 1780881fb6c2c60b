/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of spans: the newest replaces the oldest. Both rings lie in one image, which is plain
 * memory or a memory-mapped file of the same size. Keeping a span is the same copy in either case,
 * and in a file the copy survives however the process ends. Nothing is ever synced: after a crash
 * of the machine some spans may be missing or torn. So nothing in the file is trusted: its size and
 * head must be those of this build, or it is started afresh; lengths always come from the image's
 * layout, and kinds are checked.
 *
 * All blocks of the file are allocated before it is used, since with a full disk a copy would kill
 * the process. File systems that move changed blocks can't promise that, and get no file.
 */

#define _GNU_SOURCE
#include "work/spans.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"

#define TRACE_AT 3 /* "00-" */
#define TRACE_LENGTH 32
#define SPAN_AT 36
#define SPAN_LENGTH 16
#define TEXT_SIZE 96
#define NAME_SIZE 40
#define KEY_SIZE 64

struct kept {
    int64_t began_ns, took_ns;
    char trace[TRACE_LENGTH], own[SPAN_LENGTH], parent[SPAN_LENGTH]; /* not terminated */
    char what[NAME_SIZE], where[TEXT_SIZE], service[NAME_SIZE], key[KEY_SIZE];
    short kind, status;
};

#define HEAD "freehold spans 1"

/* A page of it takes up memory only once it is written. */
struct image {
    char head[16]; /* not terminated */
    uint64_t kept_size;
    uint64_t reads_next, others_next; /* how many there have ever been */
    struct kept reads[SPANS_READS_MAX], others[SPANS_OTHERS_MAX];
};

struct ring {
    struct kept *items;
    uint64_t size, *next;
};

struct spans {
    struct world *world;
    struct image *image;
    bool mapped;
    struct ring reads, others;
};

/* ---- The file ---- */

#define BTRFS_MAGIC 0x9123683EL
#define BCACHEFS_MAGIC 0xca451a4eL
#define ZFS_MAGIC 0x2fc12fc1L

static bool keeps_its_blocks(int fd)
{
    struct statfs system;
    return fstatfs(fd, &system) == 0 && system.f_type != BTRFS_MAGIC &&
           system.f_type != BCACHEFS_MAGIC && system.f_type != ZFS_MAGIC;
}

int spans_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || !keeps_its_blocks(fd) ||
        (status.st_size != (off_t)sizeof(struct image) && ftruncate(fd, 0) != 0) ||
        posix_fallocate(fd, 0, sizeof(struct image)) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static bool is_our_image(const struct image *image)
{
    return memcmp(image->head, HEAD, sizeof image->head) == 0 &&
           image->kept_size == sizeof(struct kept);
}

static struct image *map_image(int fd, int protection)
{
    void *image =
        fd >= 0 ? mmap(NULL, sizeof(struct image), protection, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    return image == MAP_FAILED ? NULL : image;
}

static struct spans *spans_of(struct world *world, struct image *image, bool mapped)
{
    struct spans *spans = calloc(1, sizeof *spans);
    FH_ASSERT(spans != NULL && image != NULL);
    *spans = (struct spans){
        .world = world,
        .image = image,
        .mapped = mapped,
        .reads = {image->reads, SPANS_READS_MAX, &image->reads_next},
        .others = {image->others, SPANS_OTHERS_MAX, &image->others_next},
    };
    return spans;
}

struct spans *spans_new(struct world *world, int fd)
{
    struct image *image = map_image(fd, PROT_READ | PROT_WRITE);
    bool mapped = image != NULL;
    if (!mapped)
        image = calloc(1, sizeof *image);
    FH_ASSERT(image != NULL);
    if (!is_our_image(image)) {
        memcpy(image->head, HEAD, sizeof image->head);
        image->kept_size = sizeof(struct kept);
        image->reads_next = image->others_next = 0;
    }
    return spans_of(world, image, mapped);
}

struct spans *spans_read(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); /* waits for no FIFO */
    if (fd >= 0 && (fstat(fd, &status) != 0 || status.st_size != (off_t)sizeof(struct image))) {
        close(fd);
        fd = -1;
    }
    struct image *image = map_image(fd, PROT_READ);
    if (image && is_our_image(image))
        return spans_of(NULL, image, true);
    if (image)
        munmap(image, sizeof *image);
    return NULL;
}

void spans_free(struct spans *spans)
{
    if (!spans)
        return;
    if (spans->mapped)
        munmap(spans->image, sizeof *spans->image);
    else
        free(spans->image);
    free(spans);
}

/* ---- Keeping ---- */

/* Cuts text that is too long. */
static void copy_span_text(char *to, size_t size, const char *text)
{
    to[0] = to[size - 1] = '\0';
    if (text)
        memccpy(to, text, '\0', size - 1);
}

/* Without its query, which may hold anything. */
static void copy_span_path(char *to, size_t size, const char *path)
{
    size_t length = path ? strcspn(path, "?") : 0;
    length = length < size ? length : size - 1;
    memcpy(to, path ? path : "", length);
    to[length] = '\0';
}

/* Without an end before `length`, so that they are all looked at at once. */
static inline bool are_hex(const char *text, size_t length)
{
    unsigned char others = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char digit = (unsigned char)(text[i] - '0'),
                      letter = (unsigned char)(text[i] - 'a');
        others |= (digit > 9) & (letter > 5);
    }
    return !others;
}

bool spans_is_traceparent(const char *text)
{
    static const char form[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    _Static_assert(sizeof form == SPANS_TRACE_SIZE, "a traceparent");
    return text && memchr(text, '\0', sizeof form) == text + sizeof form - 1 &&
           are_hex(text, TRACE_AT - 1) && are_hex(text + TRACE_AT, TRACE_LENGTH) &&
           are_hex(text + SPAN_AT, SPAN_LENGTH) && are_hex(text + sizeof form - 3, 2) &&
           text[TRACE_AT - 1] == '-' && text[SPAN_AT - 1] == '-' &&
           text[SPAN_AT + SPAN_LENGTH] == '-';
}

void spans_keep(struct spans *spans, const struct span *span)
{
    bool owns = spans_is_traceparent(span->own), part = spans_is_traceparent(span->parent);
    if (!spans || (!owns && !part))
        return;
    struct ring *ring = span->kind == SPAN_READ ? &spans->reads : &spans->others;
    struct kept *kept = &ring->items[(*ring->next)++ % ring->size];
    kept->kind = (short)span->kind;
    kept->status = (short)span->status;
    kept->began_ns = span->began_ns;
    kept->took_ns =
        (span->ended_ns ? span->ended_ns : world_monotonic_ns(spans->world)) - span->began_ns;
    memcpy(kept->trace, (owns ? span->own : span->parent) + TRACE_AT, TRACE_LENGTH);
    memset(kept->own, 0, SPAN_LENGTH);
    memset(kept->parent, 0, SPAN_LENGTH);
    if (owns)
        memcpy(kept->own, span->own + SPAN_AT, SPAN_LENGTH);
    if (part)
        memcpy(kept->parent, span->parent + SPAN_AT, SPAN_LENGTH);
    copy_span_text(kept->what, sizeof kept->what, span->what);
    copy_span_path(kept->where, sizeof kept->where, span->where);
    copy_span_text(kept->service, sizeof kept->service, span->service);
    copy_span_text(kept->key, sizeof kept->key, span->key);
}

bool spans_part(const char *parent, uint64_t number, char out[static SPANS_TRACE_SIZE])
{
    out[0] = '\0';
    if (!spans_is_traceparent(parent))
        return false;
    uint64_t id = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (int i = SPAN_AT; i < SPAN_AT + SPAN_LENGTH; i++)
        id = (id ^ (unsigned char)parent[i]) * UINT64_C(0x100000001b3);
    for (int i = 0; i < 8; i++)
        id = (id ^ ((number >> (8 * i)) & 255)) * UINT64_C(0x100000001b3);
    snprintf(out, SPANS_TRACE_SIZE, "%.*s%016" PRIx64 "%s", SPAN_AT, parent, id ? id : 1,
             parent + SPAN_AT + SPAN_LENGTH);
    return true;
}

/* ---- Finding ---- */

static const char *const kinds[] = {"request", "request", "ask",   "step",
                                    "undo",    "handler", "heard", "published"};

/* Paths and keys come from outside and are shown on terminals: anything but visible ASCII becomes
 * '?'. A path's query is left out. */
static json_t *kept_span_text(const char *text, size_t size, char end)
{
    char plain[TEXT_SIZE];
    size_t length = 0;
    while (length < size && text[length] && text[length] != end) {
        plain[length] = text[length] > ' ' && text[length] < 127 ? text[length] : '?';
        length++;
    }
    return length ? json_stringn(plain, length) : json_null();
}

static json_t *span_json(const struct kept *kept)
{
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:I, s:I}", "trace",
                     kept_span_text(kept->trace, TRACE_LENGTH, '\0'), "kind", kinds[kept->kind],
                     "what", kept_span_text(kept->what, NAME_SIZE, '\0'), "where",
                     kept_span_text(kept->where, TEXT_SIZE, '?'), "service",
                     kept_span_text(kept->service, NAME_SIZE, '\0'), "key",
                     kept_span_text(kept->key, KEY_SIZE, '\0'), "status", kept->status, "span",
                     kept_span_text(kept->own, SPAN_LENGTH, '\0'), "parent",
                     kept_span_text(kept->parent, SPAN_LENGTH, '\0'), "at_us",
                     (json_int_t)(kept->began_ns / 1000), "took_us",
                     (json_int_t)(kept->took_ns / 1000));
}

static bool span_fits(const struct kept *kept, const char *trace, const char *key)
{
    if (kept->kind < 0 || kept->kind >= (short)(sizeof kinds / sizeof *kinds))
        return false;
    if (memchr(kept->key, '\0', sizeof kept->key) == NULL)
        return false;
    return trace ? strncmp(kept->trace, trace, TRACE_LENGTH) == 0 : strcmp(kept->key, key) == 0;
}

/* False: there are more than fit in one answer. */
static bool find_in(const struct ring *ring, const char *trace, const char *key, json_t *list)
{
    uint64_t next = *ring->next, count = next < ring->size ? next : ring->size;
    for (uint64_t i = next - count; i < next; i++) {
        const struct kept *kept = &ring->items[i % ring->size];
        if (!span_fits(kept, trace, key))
            continue;
        if (json_array_size(list) == SPANS_TOLD_MAX)
            return false;
        json_array_append_new(list, span_json(kept));
    }
    return true;
}

json_t *spans_find(const struct spans *spans, const char *trace, const char *key)
{
    char as_kept[KEY_SIZE];
    json_t *list = json_array();
    copy_span_text(as_kept, sizeof as_kept, key);
    key = key ? as_kept : NULL;
    bool all = !spans || (find_in(&spans->others, trace, key, list) &&
                          find_in(&spans->reads, trace, key, list));
    return json_pack("{s:o, s:b}", "spans", list, "more", !all);
}
