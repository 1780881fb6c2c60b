/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

/* The gateway: the only public door of a system. See docs/guide/gateway.md. */

/* Runs until SIGTERM or until the process that started it is gone, then drains. `config_path` is
 * the file described in docs/internals/processes.md. Returns the exit code: 0 drained; 1 a failure
 * that a restart may fix; 78 a wrong configuration. */
int gateway_main(const char *config_path);

#endif
