# SPDX-License-Identifier: Apache-2.0
"""A service's program that waits before it begins, for as long as a test wants it to."""

import os
import pathlib

SCRIPT = """#!/bin/sh
if [ -e hold-next ]; then mv hold-next hold
else while [ -e hold ]; do touch held; sleep 0.05; done
fi
exec {real} "$@"
"""


class Held:
    """A wrapper of `real`. Its processes look into the folder they run in, which is the service's."""

    def __init__(self, path, real, folder):
        self.path, self.folder = pathlib.Path(path), pathlib.Path(folder)
        self.path.write_text(SCRIPT.format(real=real))
        self.path.chmod(0o755)

    def hold(self):
        """All that start from now on."""
        (self.folder / "hold").touch()

    def hold_behind_the_next(self):
        """All that start from now on, but not the first of them."""
        (self.folder / "hold-next").touch()

    def is_held(self):
        return (self.folder / "held").exists()

    def release(self):
        for name in ("hold", "hold-next", "held"):
            if (self.folder / name).exists():
                os.unlink(self.folder / name)
