# SPDX-License-Identifier: Apache-2.0
"""What Freehold is compared with: programs of Node.js (bench/peer), with what npm brings them into the build folder."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
from ports import free_port  # noqa: E402
from common import HERE, PATIENCE_S, Failed  # noqa: E402

NODE_VERSION_MIN = 20  # Fastify 5


class Peer:
    """One of the programs, with `environment` beside that of this process."""

    def __init__(self, build, program, environment):
        self.folder, self.program, self.process = build / "bench" / "peer", program, None
        self.environment = {**os.environ, **environment, "NODE_ENV": "production"}
        self.url = f"http://127.0.0.1:{free_port()}"

    def missing(self):
        for word in ("node", "npm"):
            if not shutil.which(word):
                return f"{word} is not installed"
        version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
        if int(version.stdout.lstrip("v").split(".")[0]) < NODE_VERSION_MIN:
            return f"Node.js is {version.stdout.strip()}, and Fastify needs {NODE_VERSION_MIN}"
        return self.install()

    def install(self):
        """What is wrong, or None."""
        lock, installed = "package-lock.json", self.folder / "installed"
        wanted = (HERE / "peer" / lock).read_text()
        self.folder.mkdir(exist_ok=True)
        for file in (HERE / "peer").iterdir():
            shutil.copy(file, self.folder)
        if installed.exists() and installed.read_text() == wanted:
            return None
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                              cwd=self.folder, capture_output=True, text=True, timeout=600)
        if done.returncode:
            return f"npm could not install it: {done.stderr.strip().splitlines()[-1]}"
        installed.write_text(wanted)
        return None

    def start(self, method, path, body):
        """With one request, so that it has once done what it is measured with."""
        self.process = subprocess.Popen(
            ["node", self.program, self.url.rpartition(":")[2]], cwd=self.folder, text=True,
            env=self.environment, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != "ready\n":
            raise Failed("the peer did not become ready")
        request = urllib.request.Request(self.url + path, method=method, data=json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=PATIENCE_S).close()
        return self

    def close(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process.stdout.close()
            self.process = None
