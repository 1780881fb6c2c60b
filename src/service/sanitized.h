/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_SANITIZED_H
#define SERVICE_SANITIZED_H

/* 1 in a build with AddressSanitizer, which reaches further than others do: its leak check at the
 * end reads /proc and stops all threads from a process of its own. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
