# SPDX-License-Identifier: Apache-2.0
"""The end of the time that tests have: FREEHOLD_UNTIL, seconds since 1970, which `tools/test --until` sets. What has not
begun by then is skipped, and says so."""

import os
import time

SKIPPED = "NO TIME WAS LEFT FOR IT"
NAME = "FREEHOLD_UNTIL"


def is_over():
    return time.time() > float(os.environ.get(NAME) or "inf")
