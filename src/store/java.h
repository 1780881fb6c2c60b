/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_JAVA_H
#define STORE_JAVA_H

/* Private servers that Java runs (server.h): where their libraries are, and how a process of it is
 * begun and kept within bounds. */

#include "base/text.h"
#include "store/server.h"

/* The first of its name in the folders of PATH; NULL: there is none. */
const char *server_on_path(struct arena *arena, const char *name);
/* The folder of libraries of this name ("kafka/libs") in a folder of PATH; NULL: it is not there,
 * or there is no Java. */
const char *server_java_programs(struct arena *arena, const char *libraries);

/* The files of a Java process that is killed stay in data/tmp: `server_java_begin` removes them. */
#define SERVER_JAVA_TMP "tmp"
void server_java_begin(const struct server_own *own);
/* Adds the command as far as the name of the class: with nothing of the machine's environment, no
 * files but in its folder, at most `heap_mb` for its objects, and nobody attaches to it. */
void server_java(const struct server_own *own, int heap_mb, const char *const *options,
                 struct server_command *command);

/* Adds a PEM file as a value of a Java properties file. FH_UNAVAILABLE: it can't be read. */
enum fh_code server_java_certificate(struct text *text, const char *name, const char *path,
                                     struct fh_error *error);
/* The same of a private key, as PKCS #8, since Java takes no other. */
enum fh_code server_java_key(struct text *text, const char *name, const char *path,
                             struct fh_error *error);
/* Writes the text as the server's secret (server_secret), and releases it: it has passwords. */
enum fh_code server_java_secret(struct text *text, const struct server_own *own, enum fh_code code,
                                struct fh_error *error);

#endif
