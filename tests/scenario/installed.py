# SPDX-License-Identifier: Apache-2.0
"""What tests need of package managers, installed once, into a folder of the cache that all builds share: real providers
of identities, in the version that their folder of tests/support names, and whatever else is installed by a script."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import ROOT

INSTALL_S_MAX = 300
SAID_LENGTH_MAX = 300


def skip(name, reason):
    pytest.skip(f"NOT RUN BEFORE A REAL PROVIDER, {name}: {reason}")


def fetch(name, command, folder):
    try:
        done = subprocess.run(command, cwd=folder, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=INSTALL_S_MAX)
    except subprocess.TimeoutExpired:
        skip(name, f"not fetched within {INSTALL_S_MAX} s by {' '.join(command)}: it needs the network, once")
    if done.returncode:
        said = " ".join(done.stdout.split())[:SAID_LENGTH_MAX]
        skip(name, f"it can't be fetched, which needs the network, once, by {' '.join(command)}: {said}")


@contextlib.contextmanager
def cached(name, content):
    """The folder of the cache for `name` as `content` (bytes) describes it, there or not, for one at a time."""
    caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "freehold"
    caches.mkdir(parents=True, exist_ok=True)
    folder = caches / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def installed(name, tools, command, prepare=lambda folder: None):
    """Where it is. tools: {program: package}. command: fetches it, in a copy of its folder of tests/support. prepare:
    called once with the new folder. The test is skipped, loudly, where tools or the network are missing."""
    missing = [f"{tool} (package {package})" for tool, package in tools.items() if not shutil.which(tool)]
    if missing:
        skip(name, f"{' and '.join(missing)} must be installed")
    source = ROOT / "tests" / "support" / name
    with cached(name, b"\0".join(path.read_bytes() for path in sorted(source.iterdir()))) as folder:
        if folder.is_dir():
            return folder
        fresh = pathlib.Path(f"{folder}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(source, fresh)
        fetch(name, command, fresh)
        prepare(fresh)
        fresh.rename(folder)
    return folder
