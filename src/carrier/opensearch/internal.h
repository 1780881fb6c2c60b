/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_OPENSEARCH_INTERNAL_H
#define CARRIER_OPENSEARCH_INTERNAL_H

/* Within the driver: what its files share. README.md says how it works. */

#include "base/text.h"
#include "carrier/driver.h"
#include "carrier/opensearch/opensearch.h"
#include "http/client.h"
#include "store/derived/words.h"
#include "store/tls.h"

#define OPENSEARCH_REQUEST_MS 30000
#define OPENSEARCH_HITS_MAX ((size_t)64 << 20)  /* the answer to a question */
#define OPENSEARCH_PAGE_MAX ((size_t)256 << 20) /* the body of one: values, words, some more */
#define OPENSEARCH_SMALL ((size_t)1 << 20)      /* all other bodies and answers */
#define OPENSEARCH_INDEX_SIZE (CARRIED_OWNER_SIZE + DERIVED_NAME_LENGTH_MAX + ID_SIZE + 32)
#define OPENSEARCH_ALIAS ".ops" /* behind an index's name: what pages are sent to */
#define OPENSEARCH_FORM 1       /* of documents and mappings: raised with each change of them */
#define OPENSEARCH_DIGEST_SIZE (DERIVED_DIGEST_SIZE + 16)
#define OPENSEARCH_WORD_MAX 400     /* bytes of a word; a longer one counts as its beginning */
#define OPENSEARCH_PREFIX_MAX 19    /* characters of a beginning that has a place of its own */
#define OPENSEARCH_CLAUSES_MAX 1000 /* of a question; a server takes 1024 */
#define OPENSEARCH_TYPE_SIZE 80

struct opensearch_options {
    char host[256], user[128], password[256];
    int port, replicas;
    struct store_tls tls;
};

struct opensearch {
    struct carried_server base;
    struct world *world;
    struct opensearch_options options;
    char owner[CARRIED_OWNER_SIZE];
    struct http_client *client; /* NULL: the world sends */
    bool silent;
    struct http_tls trust;
    char base_url[300];  /* "https://search:9200" */
    char *authorization; /* a header's value; NULL: there is no user */
};

static inline struct opensearch *opensearch_of(struct carried_server *server)
{
    return (struct opensearch *)server;
}

/* options.c */
enum fh_code opensearch_options_read(const json_t *options, struct opensearch_options *ret,
                                     struct fh_error *error);

/* request.c: one request and its answer. */
struct opensearch_call {
    const char *method;
    char path[512];   /* with the query */
    const char *body; /* NULL: none */
    size_t body_length;
    bool lines;          /* the body is lines of JSON */
    int64_t deadline_ns; /* 0: in OPENSEARCH_REQUEST_MS */
    size_t answer_max;   /* 0: OPENSEARCH_SMALL, as it is read on the loop */
    /* Filled in: */
    struct world_request request;    /* its answer's text, until the call is released */
    json_t *answer;                  /* an object; NULL: it is none, or was not read yet */
    char type[OPENSEARCH_TYPE_SIZE]; /* "index_not_found_exception"; "": it is no error */
};
/* Parks, then reads the answer. FH_NOT_FOUND: there is no such index, as far as this node knows. */
enum fh_code opensearch_ask(struct opensearch *server, struct opensearch_call *call,
                            struct fh_error *error);
/* The two parts of it; the second one on any thread. */
enum fh_code opensearch_ask_unread(struct opensearch *server, struct opensearch_call *call,
                                   struct fh_error *error);
enum fh_code opensearch_read(const struct opensearch *server, struct opensearch_call *call,
                             struct fh_error *error);
void opensearch_call_release(struct opensearch_call *call);
/* What a status and a type say, of a request or of one line of it. */
enum fh_code opensearch_judge(const struct opensearch *server, int status, const char *type,
                              struct fh_error *error);
/* A type as it may be shown and noted: it never has anything of a value. */
void opensearch_type(const json_t *error_type, char ret[static OPENSEARCH_TYPE_SIZE]);
enum fh_code opensearch_strange(const struct opensearch *server, struct fh_error *error);

/* index.c */
void opensearch_index(const struct opensearch *server, const struct fh_derived *declared,
                      const struct carried_name *generation,
                      char ret[static OPENSEARCH_INDEX_SIZE]);
/* Where a node has said that there is no such generation: FH_NOT_FOUND if that is so, and
 * FH_UNAVAILABLE if it has only not read yet what there is. The deadline as a call's. Parks. */
enum fh_code opensearch_confirm_gone(struct opensearch *server, const char *index,
                                     int64_t deadline_ns, struct fh_error *error);
enum fh_code opensearch_make(struct carried_server *server, const struct fh_derived *declared,
                             const struct carried_name *generation, struct fh_error *error);
enum fh_code opensearch_drop(struct carried_server *server, const struct fh_derived *declared,
                             const struct carried_name *generation, struct fh_error *error);
enum fh_code opensearch_generations(struct carried_server *server,
                                    const struct fh_derived *declared,
                                    void (*visit)(void *context, const struct carried_name *name),
                                    void *context, struct fh_error *error);

/* document.c, pure. */
/* The body that makes an index. */
void opensearch_write_index(struct text *body, const struct opensearch *server, const char *index,
                            const struct fh_derived *declared);
void opensearch_digest(const struct fh_derived *declared, char ret[static OPENSEARCH_DIGEST_SIZE]);
/* The lines of an op, and of a link. */
enum fh_code opensearch_write_op(struct text *body, struct word_splitter *splitter,
                                 const struct fh_derived *declared, const struct carried_op *op,
                                 struct fh_error *error);
void opensearch_write_link(struct text *body, const struct carried_link *link);
/* A word as it is kept: its length. */
size_t opensearch_word_length(const char *word, size_t length);

/* query.c, pure: the body of a search. FH_INVALID with a field: it has too many words, or the
 * cursor is no place of it. */
enum fh_code opensearch_write_query(struct text *body, const struct question *question,
                                    int64_t timeout_ms, struct fh_error *error);

/* send.c, links.c, search.c, trim.c */
enum fh_code opensearch_send(struct carried_server *server, const struct fh_derived *declared,
                             const struct carried_name *generation, struct carried_page *page,
                             struct fh_error *error);
enum fh_code opensearch_links(struct carried_server *server, const struct fh_derived *declared,
                              const struct carried_name *generation,
                              const struct carried_link *after, int limit,
                              void (*visit)(void *context, const struct carried_link *link),
                              void *context, int *ret_count, struct fh_error *error);
enum fh_code opensearch_search(struct carried_server *server, const struct fh_derived *declared,
                               const struct carried_name *generation,
                               const struct fh_search *search, int64_t deadline_ns, json_t **ret,
                               struct fh_error *error);

enum fh_code opensearch_trim(struct carried_server *server, const struct fh_derived *declared,
                             const struct carried_name *generation, int64_t oldest_ms,
                             struct fh_error *error);

extern const struct server_kind opensearch_server; /* how a private one is run */

#endif
