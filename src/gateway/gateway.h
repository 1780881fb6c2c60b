/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

/* The gateway: the only public door of a system. docs/guide/gateway.md says what it does. */

/* Runs until SIGTERM or until its starter is gone, then drains. `config_path` is the file that
 * docs/internals/processes.md describes. Returns the exit code: 0 drained; 1 a failure that a restart may
 * mend; 78 a wrong configuration. */
int gateway_main(const char *config_path);

#endif
