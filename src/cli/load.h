/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

/* The start of both `check` and `up`: load the file and its programs, and check that they fit
 * together. */

#include "cli/cli.h"
#include "system/contract/document.h"
#include "system/provision/provision.h"

struct load_options {
    const char *path, *profile;          /* profile: may be NULL, like all that follow */
    const char *programs;                /* another folder to look for programs in */
    const char *state;                   /* the state folder; NULL: the default */
    const struct contract_files *others; /* what other teams' services say of themselves */
    /* Of a file that is right, what its programs say of themselves: they are not held against one
     * another. */
    bool described_only;
    bool unfit_too;     /* returns it even if its programs don't fit together */
    const char *listen; /* where the gateway listens instead of where the file says */
    /* Services to be left where the file says, ended by NULL, whatever `freehold move` has done;
     * with `abandon` even those whose move is under way. */
    const char *const *leave;
    bool abandon;
};

/* As a command's options say: --profile, --programs, --state. `path` NULL: CLI_SYSTEM_FILE. */
struct load_options load_options_of(const struct cli_command *command, const char **values,
                                    const char *path);
/* The system as its file describes it, with services where moves have put them
 * (system/move/moved.h). NULL if there was an error; everything found is in `findings`. */
struct system_file *load_system(const struct load_options *options, struct findings *findings);
/* The environment without the variables that the file uses: their values are for the services that
 * name them. On the file's arena. */
char **load_environment(struct system_file *file);
/* Stores are not source code: keeps .freehold next to a system file out of git automatically. For
 * default state folders, not those the user has named. */
void load_hide(const struct provision *provision);

/* Reports that the file has no such service, and the nearest name: CLI_USAGE. */
int load_no_service(const struct system_file *file, const char *name);

#endif
