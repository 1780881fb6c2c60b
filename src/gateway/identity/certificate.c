/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration says of which kind the name is that counts, and a certificate must have exactly
 * one of it. Taking the first one, or another kind where there is none, would let whoever gets a
 * certificate with two names choose who they are.
 */

#include "gateway/identity/certificate.h"

#include <gnutls/x509.h>
#include <string.h>

#include "base/json.h"
#include "gateway/identity/claims.h"

const char *const certificate_name_words[] = {"uri", "dns", "email", "cn", NULL};

enum fh_code certificate_rules_read(const json_t *config, struct certificate_rules *ret,
                                    struct fh_error *error)
{
    const char *word = json_string_at(config, "name"),
               *subjects = json_string_at(config, "subjects");
    *ret = (struct certificate_rules){.subjects = subjects ? subjects : ""};
    for (int i = 0; word && certificate_name_words[i]; i++) {
        if (strcmp(word, certificate_name_words[i]) != 0)
            continue;
        ret->name = (enum certificate_name)i;
        return FH_OK;
    }
    return error_set(error, FH_INVALID,
                     "\"certificates\": \"name\" must be \"uri\", \"dns\", \"email\" or \"cn\".");
}

/* ---- Names ---- */

#define NAME_SIZE (CLAIMS_SUBJECT_LENGTH_MAX + 1)

/* How many common names; the first in `ret`. *ret_sound: it fits, and has no NUL. */
static int common_names(gnutls_x509_crt_t certificate, char ret[static NAME_SIZE], bool *ret_sound)
{
    int count = 0, result = 0;
    for (; count < 2; count++) {
        char other[NAME_SIZE];
        char *into = count ? other : ret;
        size_t size = NAME_SIZE;
        result = gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME,
                                               (unsigned)count, 0, into, &size);
        if (result == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            break;
        *ret_sound = result == 0 && strlen(into) == size;
    }
    return count;
}

/* The same of the subjectAltName's names of one type. */
static int alternative_names(gnutls_x509_crt_t certificate, gnutls_x509_subject_alt_name_t wanted,
                             char ret[static NAME_SIZE], bool *ret_sound)
{
    int count = 0;
    for (unsigned i = 0;; i++) {
        char name[NAME_SIZE];
        unsigned type = 0;
        size_t size = sizeof name;
        int result =
            gnutls_x509_crt_get_subject_alt_name2(certificate, i, name, &size, &type, NULL);
        if (result == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return count;
        bool fits = result >= 0 && size < sizeof name;
        if (result < 0 && result != GNUTLS_E_SHORT_MEMORY_BUFFER)
            return 0; /* one that can't be read may be any */
        if (type != (unsigned)wanted)
            continue;
        if (fits)
            name[size] = '\0';
        *ret_sound = fits && strlen(name) == size;
        if (count++ == 0 && *ret_sound)
            memcpy(ret, name, size + 1);
    }
}

static json_t *subject_of(const struct certificate_rules *rules, gnutls_x509_crt_t certificate)
{
    static const gnutls_x509_subject_alt_name_t types[] = {[CERTIFICATE_URI] = GNUTLS_SAN_URI,
                                                           [CERTIFICATE_DNS] = GNUTLS_SAN_DNSNAME,
                                                           [CERTIFICATE_EMAIL] =
                                                               GNUTLS_SAN_RFC822NAME};
    char name[NAME_SIZE] = "";
    bool sound = false;
    int count = rules->name == CERTIFICATE_CN
                    ? common_names(certificate, name, &sound)
                    : alternative_names(certificate, types[rules->name], name, &sound);
    sound = sound && count == 1 && *name;
    for (const char *at = name; *at; at++)
        sound = sound && (unsigned char)*at >= ' ' && *at != 0x7f;
    return sound ? json_sprintf("%s%s", rules->subjects, name) : NULL; /* NULL: no UTF-8 */
}

enum fh_code certificate_identity(const struct certificate_rules *rules, const unsigned char *der,
                                  size_t length, int64_t now_ms, json_t **ret,
                                  int64_t *ret_until_ms, struct fh_error *error)
{
    gnutls_datum_t datum = {(unsigned char *)(uintptr_t)der, (unsigned)length};
    gnutls_x509_crt_t certificate;
    json_t *subject = NULL;
    int64_t until_s = 0;
    *ret = NULL;
    FH_ASSERT(gnutls_x509_crt_init(&certificate) == GNUTLS_E_SUCCESS);
    if (gnutls_x509_crt_import(certificate, &datum, GNUTLS_X509_FMT_DER) == GNUTLS_E_SUCCESS) {
        until_s = (int64_t)gnutls_x509_crt_get_expiration_time(certificate);
        subject = subject_of(rules, certificate);
    }
    gnutls_x509_crt_deinit(certificate);
    if (!subject)
        return error_set(error, FH_INVALID,
                         "The client's certificate has not exactly one name of the kind that "
                         "gateway.tls.clients says (%s), of 1 to %d bytes.",
                         certificate_name_words[rules->name], CLAIMS_SUBJECT_LENGTH_MAX);
    *ret_until_ms = until_s > INT64_MAX / 1000 ? INT64_MAX : until_s * 1000;
    if (now_ms >= *ret_until_ms) {
        json_decref(subject);
        return error_set(error, FH_INVALID, "The client's certificate has expired meanwhile.");
    }
    *ret =
        json_pack("{s:o, s:s, s:I, s:I, s:[], s:[]}", "sub", subject, "via", "certificate", "iat",
                  (json_int_t)(now_ms / 1000), "exp", (json_int_t)until_s, "scopes", "roles");
    FH_ASSERT(*ret != NULL);
    return FH_OK;
}
