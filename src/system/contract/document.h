/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CONTRACT_DOCUMENT_H
#define SYSTEM_CONTRACT_DOCUMENT_H

/*
 * A description of contracts: what services promise one another and expect of each other, in a file
 * that one team gives to another (docs/guide/contracts.md). Of a program's own description it has
 * what others can see, and nothing else: no settings, no path of a machine.
 *
 *     {"contracts": 1, "system": "shop", "services": [{"name": "users", "routes": [...],
 *      "publishes": [...], "hears": [...], "asks": [...], "takes_over": [...], "sagas": [...]}]}
 *
 * The same declarations give the same bytes: everything is sorted. A reader refuses what it does
 * not know, so a new member needs a new number.
 */

#include <jansson.h>

#include "base/text.h"
#include "system/file/file.h"

#define CONTRACT_FORMAT 1
#define CONTRACT_SIZE_MAX ((size_t)8 << 20)
#define CONTRACT_FILES_MAX 256

/* Of `count` descriptions (PROGRAM --describe). New reference. */
json_t *contract_document(const char *system, const json_t *const *descriptions, size_t count);
/* As it is written to a file: indented, with sorted names, ended by a line break. */
void contract_write(struct text *text, const json_t *document);

/* Services by name, {"users": {...}}, each in the form of a program's description; NULL: a finding
 * says what is wrong with the text, and where. New reference. `path` is borrowed by findings. */
json_t *contract_parse(const char *path, const char *text, size_t length,
                       struct findings *findings);

/* Descriptions from a file, or from all files NAME.json of a folder, in the order of their names,
 * in which numbers count as such (v2 comes before v10). */
struct contract_file {
    char *path;
    json_t *services; /* as contract_parse gives them */
};
struct contract_files {
    struct contract_file files[CONTRACT_FILES_MAX];
    size_t count;
};
/* What can't be read is a finding, whose place is borrowed from `ret`. */
void contract_files_read(const char *path, struct contract_files *ret, struct findings *findings);
/* The services that are not of the system `file`, by name: for file->others. One that two files
 * describe is a finding. New reference. */
json_t *contract_files_others(const struct contract_files *files, const struct system_file *file,
                              struct findings *findings);
void contract_files_release(struct contract_files *files);

#endif
