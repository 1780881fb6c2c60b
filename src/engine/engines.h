/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_ENGINES_H
#define ENGINE_ENGINES_H

/*
 * The list of engines. store/engine.h says what an engine is; src/store is handed one and never
 * looks one up.
 */

#include "store/engine.h"

/* From the build (src/engine/meson.build); registered without further calls. The last one is
 * NULL. */
extern const struct engine *const engines_built_in[];
/* Names of the engines that this build lacks, ending with NULL. */
extern const char *const engines_lacking[];

/* Adds an engine. Ends the process if a required part is missing or the name is taken. Call it
 * before there are threads. */
void engine_register(const struct engine *engine);
/* The engine of this name (NULL: the embedded one); NULL: not built in. */
const struct engine *engine_named(const char *name);
/* The one without a server: the default of services that name none. */
const struct engine *engine_embedded(void);
/* The engine after this one (NULL: the first); NULL: no more. */
const struct engine *engine_next(const struct engine *engine);
/* The servers of an engine; NULL: it is embedded, unknown, or not built in. */
const struct server_kind *server_kind(const char *engine);

#endif
