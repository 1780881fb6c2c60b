/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `up` sees to the certificates each time it starts: it keeps those that are from the present
 * authority and have a third of their time left, so a system that is started at least once in two
 * years never sees one expire. Making them takes a millisecond each.
 *
 * A key and its certificate are two files. If a process is killed between writing the two, the pair
 * does not match; that is noticed here (the public keys are compared) and a new pair is made. Each
 * file is written whole or not at all.
 *
 * The authority's key never leaves STATE/.tls, which only its owner can read: whoever has it can
 * pretend to be any service. The processes of a system share one machine's clock; still,
 * certificates are valid from a day earlier, for those that do not.
 */

#define _GNU_SOURCE
#include "system/provision/certificates.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "system/provision/state.h"

#define DAY_S ((time_t)86400)
#define AUTHORITY_DAYS 7300
#define CERTIFICATE_DAYS 1095
#define EARLY_S DAY_S
#define PEM_SIZE_MAX 65536
#define SERIAL_SIZE 16

/* A certificate and its key. */
struct pair {
    gnutls_x509_crt_t certificate; /* NULL: none */
    gnutls_x509_privkey_t key;
};

struct certificates {
    struct pair authority;
};

static enum fh_code refuse_by_gnutls(struct fh_error *error, const char *what, int result)
{
    return error_set(error, FH_UNAVAILABLE, "%s: %s.", what, gnutls_strerror(result));
}

static void pair_release(struct pair *pair)
{
    if (pair->certificate)
        gnutls_x509_crt_deinit(pair->certificate);
    if (pair->key)
        gnutls_x509_privkey_deinit(pair->key);
    *pair = (struct pair){0};
}

/* ---- Files ---- */

static enum fh_code open_folder(int parent_fd, const char *name, int *ret_fd,
                                struct fh_error *error)
{
    if (mkdirat(parent_fd, name, 0700) != 0 && errno != EEXIST)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The folder %s can't be made", name);
    *ret_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0 || fchmod(*ret_fd, 0700) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The folder %s can't be opened", name);
    return FH_OK;
}

/* False: there is none that can be read. */
static bool read_pem_file(int folder_fd, const char *name, gnutls_datum_t *ret)
{
    int fd = state_open_file(folder_fd, name, O_RDONLY);
    if (fd < 0)
        return false;
    char *data = malloc(PEM_SIZE_MAX);
    FH_ASSERT(data != NULL);
    ssize_t got = io_read(fd, data, PEM_SIZE_MAX - 1);
    close(fd);
    *ret = (gnutls_datum_t){(unsigned char *)data, got > 0 ? (unsigned)got : 0};
    if (got > 0)
        return true;
    free(data);
    return false;
}

static enum fh_code write_pem_file(int folder_fd, const char *name, const gnutls_datum_t *pem,
                                   struct fh_error *error)
{
    char fresh[64];
    snprintf(fresh, sizeof fresh, "%s.new", name);
    unlinkat(folder_fd, fresh, 0);
    int fd = state_make_file(folder_fd, fresh, O_WRONLY);
    bool written = fd >= 0 && io_write(fd, pem->data, pem->size) && fsync(fd) == 0;
    int number = errno;
    if (fd >= 0)
        close(fd);
    if (written && renameat(folder_fd, fresh, folder_fd, name) == 0 && fsync(folder_fd) == 0)
        return FH_OK;
    return error_set_errno(error, FH_UNAVAILABLE, written ? errno : number, "%s can't be written",
                           name);
}

static void pair_read(int folder_fd, struct pair *ret)
{
    gnutls_datum_t certificate, key;
    *ret = (struct pair){0};
    gnutls_x509_crt_init(&ret->certificate);
    gnutls_x509_privkey_init(&ret->key);
    bool good = false;
    if (read_pem_file(folder_fd, CERTIFICATES_OWN, &certificate)) {
        good = gnutls_x509_crt_import(ret->certificate, &certificate, GNUTLS_X509_FMT_PEM) == 0;
        free(certificate.data);
    }
    if (good && read_pem_file(folder_fd, CERTIFICATES_KEY, &key)) {
        good = gnutls_x509_privkey_import(ret->key, &key, GNUTLS_X509_FMT_PEM) == 0;
        gnutls_memset(key.data, 0, key.size);
        free(key.data);
    } else {
        good = false;
    }
    if (!good)
        pair_release(ret);
}

static enum fh_code certificate_write(int folder_fd, const char *name,
                                      gnutls_x509_crt_t certificate, struct fh_error *error)
{
    gnutls_datum_t pem;
    int result = gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem);
    if (result < 0)
        return refuse_by_gnutls(error, "A certificate can't be written as PEM", result);
    enum fh_code code = write_pem_file(folder_fd, name, &pem, error);
    gnutls_free(pem.data);
    return code;
}

static enum fh_code pair_write(int folder_fd, const struct pair *pair, struct fh_error *error)
{
    gnutls_datum_t pem;
    int result = gnutls_x509_privkey_export2(pair->key, GNUTLS_X509_FMT_PEM, &pem);
    if (result < 0)
        return refuse_by_gnutls(error, "A key can't be written as PEM", result);
    enum fh_code code = write_pem_file(folder_fd, CERTIFICATES_KEY, &pem, error);
    gnutls_memset(pem.data, 0, pem.size);
    gnutls_free(pem.data);
    return code == FH_OK ? certificate_write(folder_fd, CERTIFICATES_OWN, pair->certificate, error)
                         : code;
}

/* ---- What is still good ---- */

static bool has_time_left(gnutls_x509_crt_t certificate)
{
    time_t begins = gnutls_x509_crt_get_activation_time(certificate);
    time_t ends = gnutls_x509_crt_get_expiration_time(certificate), now = time(NULL);
    return now >= begins && ends - now > (ends - begins) / 3;
}

static bool key_fits(const struct pair *pair)
{
    unsigned char of_certificate[64], of_key[64];
    size_t certificate_size = sizeof of_certificate, key_size = sizeof of_key;
    return pair->certificate &&
           gnutls_x509_crt_get_key_id(pair->certificate, 0, of_certificate, &certificate_size) ==
               0 &&
           gnutls_x509_privkey_get_key_id(pair->key, 0, of_key, &key_size) == 0 &&
           certificate_size == key_size && memcmp(of_certificate, of_key, key_size) == 0;
}

static bool is_by(const struct pair *pair, const struct pair *authority, const char *name)
{
    unsigned status = 1;
    return gnutls_x509_crt_verify(pair->certificate, &authority->certificate, 1, 0, &status) == 0 &&
           status == 0 && gnutls_x509_crt_check_hostname(pair->certificate, name);
}

/* ---- Making ---- */

/* What the certificates of an authority and of a process have in common. */
static int fill_in(struct pair *pair, const char *name, int days)
{
    unsigned char serial[SERIAL_SIZE], id[64];
    size_t id_size = sizeof id;
    gnutls_x509_crt_t certificate = pair->certificate;
    time_t now = time(NULL);
    int result = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);
    serial[0] &= 0x7f; /* a positive number */
    if (result == 0)
        result = gnutls_x509_crt_set_version(certificate, 3);
    if (result == 0)
        result = gnutls_x509_crt_set_serial(certificate, serial, sizeof serial);
    if (result == 0)
        result = gnutls_x509_crt_set_activation_time(certificate, now - EARLY_S);
    if (result == 0)
        result = gnutls_x509_crt_set_expiration_time(certificate, now + days * DAY_S);
    if (result == 0)
        result = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                               (unsigned)strlen(name));
    if (result == 0)
        result = gnutls_x509_crt_set_key(certificate, pair->key);
    if (result == 0)
        result = gnutls_x509_crt_get_key_id(certificate, 0, id, &id_size);
    return result == 0 ? gnutls_x509_crt_set_subject_key_id(certificate, id, id_size) : result;
}

static int make_authority(struct pair *pair, const char *system)
{
    int result = fill_in(pair, system, AUTHORITY_DAYS);
    if (result == 0)
        result = gnutls_x509_crt_set_basic_constraints(pair->certificate, 1, 0);
    if (result == 0)
        result = gnutls_x509_crt_set_key_usage(pair->certificate, GNUTLS_KEY_KEY_CERT_SIGN);
    return result == 0 ? gnutls_x509_crt_sign2(pair->certificate, pair->certificate, pair->key,
                                               GNUTLS_DIG_SHA256, 0)
                       : result;
}

/* An address is named as an address, and as a name: some clients look at names alone
 * (librabbitmq). */
static int name_process(gnutls_x509_crt_t certificate, const char *name)
{
    struct in_addr address;
    int result = gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, name,
                                                      (unsigned)strlen(name), GNUTLS_FSAN_SET);
    if (result != 0 || inet_pton(AF_INET, name, &address) != 1)
        return result;
    return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, &address,
                                                sizeof address, GNUTLS_FSAN_APPEND);
}

static int make_process(struct pair *pair, const struct pair *authority, const char *name)
{
    gnutls_x509_crt_t certificate = pair->certificate;
    int result = fill_in(pair, name, CERTIFICATE_DAYS);
    if (result == 0)
        result = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
    if (result == 0)
        result = gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (result == 0)
        result = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (result == 0)
        result = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0);
    if (result == 0)
        result = name_process(certificate, name);
    return result == 0 ? gnutls_x509_crt_sign2(certificate, authority->certificate, authority->key,
                                               GNUTLS_DIG_SHA256, 0)
                       : result;
}

/* `authority` NULL: self-signed. */
static enum fh_code pair_make(struct pair *ret, const struct pair *authority, const char *name,
                              struct fh_error *error)
{
    pair_release(ret);
    int result = gnutls_x509_crt_init(&ret->certificate);
    if (result == 0)
        result = gnutls_x509_privkey_init(&ret->key);
    if (result == 0)
        result = gnutls_x509_privkey_generate(ret->key, GNUTLS_PK_ECDSA,
                                              GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (result == 0)
        result = authority ? make_process(ret, authority, name) : make_authority(ret, name);
    return result == 0 ? FH_OK : refuse_by_gnutls(error, "A certificate can't be made", result);
}

enum fh_code certificates_open(int state_fd, const char *system, struct certificates **ret,
                               struct fh_error *error)
{
    int folder_fd = -1;
    struct certificates *certificates = calloc(1, sizeof *certificates);
    FH_ASSERT(certificates != NULL);
    *ret = NULL;
    enum fh_code code = open_folder(state_fd, CERTIFICATES_FOLDER, &folder_fd, error);
    if (code == FH_OK) {
        pair_read(folder_fd, &certificates->authority);
        if (!key_fits(&certificates->authority) ||
            !has_time_left(certificates->authority.certificate)) {
            code = pair_make(&certificates->authority, NULL, system, error);
            if (code == FH_OK)
                code = pair_write(folder_fd, &certificates->authority, error);
        }
    }
    if (code == FH_OK)
        code = certificate_write(folder_fd, CERTIFICATES_CA, certificates->authority.certificate,
                                 error);
    if (folder_fd >= 0)
        close(folder_fd);
    if (code == FH_OK)
        *ret = certificates;
    else
        certificates_close(certificates);
    return code;
}

void certificates_close(struct certificates *certificates)
{
    if (!certificates)
        return;
    pair_release(&certificates->authority);
    free(certificates);
}

enum fh_code certificates_give(struct certificates *certificates, int folder_fd, const char *name,
                               struct fh_error *error)
{
    struct pair own;
    enum fh_code code = FH_OK;
    FH_ASSERT(strlen(name) <= CERTIFICATES_NAME_LENGTH_MAX);
    pair_read(folder_fd, &own);
    if (!key_fits(&own) || !has_time_left(own.certificate) ||
        !is_by(&own, &certificates->authority, name)) {
        code = pair_make(&own, &certificates->authority, name, error);
        if (code == FH_OK)
            code = pair_write(folder_fd, &own, error);
    }
    if (code == FH_OK)
        code = certificate_write(folder_fd, CERTIFICATES_CA, certificates->authority.certificate,
                                 error);
    pair_release(&own);
    return code;
}
