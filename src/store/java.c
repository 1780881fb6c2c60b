/* SPDX-License-Identifier: Apache-2.0 */
/* What is on no command line is in a file of properties, which only the server can read, and which
 * is removed once it answers. */

#define _GNU_SOURCE
#include "store/java.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

#define PEM_SIZE_MAX ((size_t)64 << 10)

/* ---- where it is ---- */

const char *server_on_path(struct arena *arena, const char *name)
{
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t length = strcspn(path, ":");
        const char *found = arena_printf(arena, "%.*s/%s", (int)length, path, name);
        if (*path == '/' && access(found, X_OK) == 0)
            return found;
        path += length + (path[length] == ':');
    }
    return NULL;
}

const char *server_java_programs(struct arena *arena, const char *libraries)
{
    return server_on_path(arena, "java") ? server_on_path(arena, libraries) : NULL;
}

/* ---- its process ---- */

void server_java_begin(const struct server_own *own)
{
    const char *path = arena_printf(own->arena, "%s/" SERVER_JAVA_TMP, own->data);
    mkdir(path, 0700);
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
}

void server_java(const struct server_own *own, int heap_mb, const char *const *options,
                 struct server_command *command)
{
    const char *java = server_on_path(own->arena, "java");
    server_argument(command, "/usr/bin/env");
    server_argument(command, "-i");
    server_argument(command, "PATH=/usr/local/bin:/usr/bin:/bin");
    server_argument(command, "LANG=C.UTF-8");
    server_argument(command, "HOME=%s", own->data);
    server_argument(command, "%s", java ? java : "java");
    server_argument(command, "-Xms32m");
    server_argument(command, "-Xmx%dm", heap_mb);
    server_argument(command, "-XX:+UseSerialGC");
    server_argument(command, "-XX:+ExitOnOutOfMemoryError");
    server_argument(command, "-XX:-UsePerfData");
    server_argument(command, "-XX:+DisableAttachMechanism");
    server_argument(command, "-XX:ErrorFile=%s/java-error.log", own->data);
    server_argument(command, "-Djava.awt.headless=true");
    server_argument(command, "-Djava.net.preferIPv4Stack=true");
    server_argument(command, "-Djava.io.tmpdir=%s/" SERVER_JAVA_TMP, own->data);
    server_argument(command, "-Duser.home=%s", own->data); /* it may have no account */
    server_argument(command, "-Duser.timezone=UTC");
    for (; *options; options++)
        server_argument(command, "%s", *options);
    server_argument(command, "-cp");
    server_argument(command, "%s/*", own->programs);
}

/* ---- its file ---- */

static void add_java_pem(struct text *text, const char *name, const char *pem, size_t length)
{
    text_printf(text, "%s=", name);
    for (size_t i = 0; i < length; i++) {
        if (pem[i] == '\n')
            text_add(text, "\\n");
        else if (pem[i] != '\r')
            text_append(text, &pem[i], 1);
    }
    text_add(text, "\n");
}

static enum fh_code read_java_pem(const char *path, struct text *ret, struct fh_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    text_init(ret, PEM_SIZE_MAX);
    bool read = fd >= 0 && io_read_text(fd, ret) && ret->length && !ret->overflow;
    int number = errno;
    if (fd >= 0)
        close(fd);
    return read ? FH_OK : error_set_errno(error, FH_UNAVAILABLE, number, "Cannot read %s", path);
}

enum fh_code server_java_certificate(struct text *text, const char *name, const char *path,
                                     struct fh_error *error)
{
    struct text pem;
    enum fh_code code = read_java_pem(path, &pem, error);
    if (!code)
        add_java_pem(text, name, pem.data, pem.length);
    text_release(&pem);
    return code;
}

enum fh_code server_java_key(struct text *text, const char *name, const char *path,
                             struct fh_error *error)
{
    struct text pem;
    gnutls_x509_privkey_t key = NULL;
    gnutls_datum_t written = {0};
    enum fh_code code = read_java_pem(path, &pem, error);
    const gnutls_datum_t read = {(unsigned char *)pem.data, (unsigned)pem.length};
    int result = code ? 0 : gnutls_x509_privkey_init(&key);
    if (!code && result == 0)
        result = gnutls_x509_privkey_import(key, &read, GNUTLS_X509_FMT_PEM);
    if (!code && result == 0)
        result = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
                                                   GNUTLS_PKCS_PLAIN, &written);
    if (result < 0)
        code = error_set(error, FH_UNAVAILABLE, "The key in %.150s can't be used: %s.", path,
                         gnutls_strerror(result));
    else if (!code)
        add_java_pem(text, name, (const char *)written.data, written.size);
    if (written.data) {
        gnutls_memset(written.data, 0, written.size);
        gnutls_free(written.data);
    }
    if (key)
        gnutls_x509_privkey_deinit(key);
    if (pem.data)
        sodium_memzero(pem.data, pem.length);
    text_release(&pem);
    return code;
}

enum fh_code server_java_secret(struct text *text, const struct server_own *own, enum fh_code code,
                                struct fh_error *error)
{
    if (!code)
        code = text->overflow
                   ? error_set(error, FH_NO_MEMORY, "There is no memory for a server's settings.")
                   : server_secret(own, text->data, error);
    if (text->data)
        sodium_memzero(text->data, text->length);
    text_release(text);
    return code;
}
