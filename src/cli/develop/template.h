/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEVELOP_TEMPLATE_H
#define CLI_DEVELOP_TEMPLATE_H

/* The files that `freehold new` writes, from src/cli/templates and, as "ENGINE/service.sql", from
 * the folders of engines; placeholders in them are written @NAME@. */

struct template_file {
    const char *name, *text;
};

extern const struct template_file templates[]; /* ended by {0} */

#endif
