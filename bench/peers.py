# SPDX-License-Identifier: Apache-2.0
"""What Freehold is compared with: programs in other languages (bench/peer), each built by that language's own tool, with
what its lock file pins, into the build folder. Where the tool is missing, or what it has to fetch, `missing` says so."""

import json
import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
from ports import free_port  # noqa: E402
from common import HERE, PATIENCE_S, Failed  # noqa: E402

BUILD_S_MAX = 1800


def version_of(*command):
    """The first number that it prints: 1.95.0 is (1, 95, 0). None: it prints none, or fails, as where only a launcher of
    it is installed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\d+(\.\d+)+", done.stdout)
    return found and tuple(map(int, found.group().split(".")))


def built(command, folder, **environment):
    """What is wrong, or None."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_S_MAX,
                              env={**os.environ, **environment})
    except subprocess.TimeoutExpired:
        return f"{command[0]} took more than {BUILD_S_MAX} s"
    lines = (done.stderr.strip() or done.stdout.strip() or "it did not say why").splitlines()
    why = next((line for line in lines if line.startswith("error")), lines[-1])
    return f"{command[0]} could not build it: {why}" if done.returncode else None


class Peer:
    """A program that serves HTTP on the port it is called with, with `environment` beside that of this process."""

    tools = {}  # what builds it: {command: (how it tells its version, the least that will do)}

    def __init__(self, build, program, environment):
        self.build, self.program, self.process = build / "bench" / "peer", program, None
        self.environment = {**os.environ, **environment}
        self.url = f"http://127.0.0.1:{free_port()}"

    def missing(self):
        """Why it can't be run, or None: then it is built."""
        for tool, (word, least) in self.tools.items():
            if not shutil.which(tool):
                return f"{tool} is not installed"
            if (version := version_of(tool, word)) is None:
                return f"`{tool} {word}` tells no version"
            if version < least:
                return f"{tool} is {'.'.join(map(str, version))}, and {'.'.join(map(str, least))} is needed"
        self.build.mkdir(exist_ok=True)
        return self.make()

    def make(self):
        """Builds it. What is wrong, or None."""
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def spawn(self):
        self.process = subprocess.Popen([*self.command(), self.url.rpartition(":")[2]], cwd=self.build, text=True,
                                        env=self.environment, stdout=subprocess.PIPE)
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        if not ready or self.process.stdout.readline() != "ready\n":
            raise Failed(f"{self.program} did not say within {PATIENCE_S} s that it is ready")
        return self

    def start(self, method, path, body):
        """With one request, so that it has once done what it is measured with."""
        self.spawn()
        request = urllib.request.Request(self.url + path, method=method, data=json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=PATIENCE_S).close()
        return self

    def close(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.process = None


class Node(Peer):
    """`program`: a file of bench/peer."""

    tools = {"node": ("--version", (20, 0)), "npm": ("--version", (1, 0))}  # Fastify 5 needs Node.js 20

    def __init__(self, build, program, environment):
        super().__init__(build, program, {**environment, "NODE_ENV": "production"})

    def make(self):
        installed, wanted = self.build / "installed", (HERE / "peer" / "package-lock.json").read_text()
        for file in filter(pathlib.Path.is_file, (HERE / "peer").iterdir()):
            shutil.copy(file, self.build)
        if installed.exists() and installed.read_text() == wanted:
            return None
        wrong = built(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], self.build)
        if not wrong:
            installed.write_text(wanted)
        return wrong

    def command(self):
        return ["node", self.program]


def rust_source(folder):
    """What cargo calls the place that it fetches from, as it writes that into the lock of a crate with one dependency."""
    crate = folder / "source"
    (crate / "src").mkdir(parents=True, exist_ok=True)
    (crate / "src" / "lib.rs").touch()
    (crate / "Cargo.toml").write_text('[package]\nname = "source"\nversion = "0.0.0"\nedition = "2021"\n'
                                      '[dependencies]\nitoa = "1"\n[workspace]\n')
    wrong = built(["cargo", "generate-lockfile", "--quiet"], crate)
    if wrong:
        return None, wrong
    lock = (crate / "Cargo.lock").read_text()
    return next(line for line in lock.splitlines() if line.startswith("source = ")), None


def rust_crates(folder):
    """bench/peer/rust in the build folder. Its Cargo.lock names versions and checksums, not where they are from: that is
    the machine's affair. What is wrong, or None."""
    lock = (HERE / "peer" / "rust" / "Cargo.lock").read_text()
    if (folder / "pinned").exists() and (folder / "pinned").read_text() == lock:
        shutil.copytree(HERE / "peer" / "rust", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("Cargo.lock"))
        return None
    shutil.copytree(HERE / "peer" / "rust", folder, dirs_exist_ok=True)
    source, wrong = rust_source(folder)
    if not wrong:
        whole = re.sub(r"^checksum = ", source + "\nchecksum = ", lock, flags=re.MULTILINE)
        (folder / "Cargo.lock").write_text(whole)
        (folder / "pinned").write_text(lock)
    return wrong


class Rust(Peer):
    """`program`: a file of bench/peer/rust/src/bin, without its ending."""

    tools = {"cargo": ("--version", (1, 89))}
    package = ()

    def make(self):
        crates = self.build / "crates"
        return rust_crates(crates) or built(["cargo", "build", "--quiet", "--locked", "--release", *self.package, "--bin",
                                             self.program, "--target-dir", str(self.build / "rust")], crates)

    def command(self):
        return [self.build / "rust" / "release" / self.program]


class Go(Peer):
    """`program`: a folder of bench/peer/go."""

    tools = {"go": ("version", (1, 25)), "cc": ("--version", (1, 0))}  # SQLite is C

    def make(self):
        return built(["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o",
                      str(self.build / "go" / self.program), f"./{self.program}"], HERE / "peer" / "go",
                     CGO_ENABLED="1", GOTOOLCHAIN="local")

    def command(self):
        return [self.build / "go" / self.program]
