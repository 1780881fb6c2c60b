# SPDX-License-Identifier: Apache-2.0
"""What `make demo` builds: the command, the library and the shop, many files at once. Files that are compiled together
share their names: two that call different things the same break this build alone."""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from conftest import FREEHOLD, ROOT

STEPS_MAX = 140  # of 2817 in a whole build
BESIDE = pathlib.Path(FREEHOLD).parent


def run(*words, folder=ROOT):
    done = subprocess.run([str(word) for word in words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def set_up(folder, *more):
    """As the Makefile does, but for the time that it takes to optimise."""
    [lean] = [line.partition("=")[2].split() for line in (ROOT / "Makefile").read_text().splitlines()
              if line.startswith("LEAN = ")]
    run("/usr/bin/meson", "setup", folder, *lean, "-Doptimization=0", "-Ddebug=false", *more)
    return folder


def packages_of(target, folder):
    """What `make TARGET` installs where nothing is."""
    tools = folder / "tools"
    tools.mkdir()
    for name, does in (("dpkg-query", "exit 1"), ("apt-get", f'echo "$@" >>{folder}/asked'), ("sudo", 'exec "$@"')):
        (tools / name).write_text(f"#!/bin/sh\n{does}\n")
        (tools / name).chmod(0o755)
    subprocess.run([ROOT / "tools" / "deps", target], env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
                   stdout=subprocess.DEVNULL, check=False)
    [asked] = [line for line in (folder / "asked").read_text().splitlines() if line.startswith("install ")]
    return {word for word in asked.split()[1:] if not word.startswith("-")}


def assert_packages_suffice(build, target, folder):
    """Where everything is installed, a package that was forgotten would not be missed."""
    linked = {os.path.normpath(word) for line in (build / "build.ninja").read_text().splitlines() if " LINK_ARGS = " in line
              for word in line.split() if re.match(r"/usr/lib/.*\.(a|so)$", word)}
    assert any("libuv" in path for path in linked)
    needed = {line.split(":")[0] for line in run("dpkg", "-S", *sorted(linked)).splitlines()}
    named = packages_of(target, folder)
    needed_by_them = re.findall(r"[a-z0-9][a-z0-9.+-]+", run("dpkg-query", "-W", "-f=${Depends}\\n", *sorted(named)))
    assert needed <= named | set(needed_by_them), "tools/deps lacks them"


def test_the_lean_build_has_what_the_demo_needs_and_no_more(tmp_path):
    build = set_up(tmp_path / "build")
    assert_packages_suffice(build, "demo", tmp_path)
    assert len(run("/usr/bin/ninja", "-C", build, "-t", "commands", "demo").splitlines()) <= STEPS_MAX
    run("/usr/bin/ninja", "-C", build, "--quiet", "demo")
    file = ROOT / "examples" / "shop" / "freehold.yaml"
    said = json.loads(run(build / "freehold", "check", file, "--programs", build / "examples" / "shop", "--json"))
    assert said["services"] == 11 and said["errors"] == []
    refused = subprocess.run([build / "freehold", "check", file, "--profile", "postgresql"], capture_output=True,
                             text=True, timeout=60, check=False)
    assert refused.returncode == 1 and "is not built in" in refused.stderr, refused


def test_the_clients_of_servers_compile_in_it_too(tmp_path):
    engines = [name for name in ("postgresql", "mariadb", "mongodb", "redis")
               if (BESIDE / "libfreehold.a.p" / f"src_engine_{name}_engine.c.o").exists()]
    if len(engines) < 4:
        pytest.skip(f"NOT ALL CLIENT LIBRARIES OF SERVERS ARE INSTALLED, ONLY THOSE OF: {engines}")
    build = set_up(tmp_path / "build", "-Dservers=enabled")
    assert_packages_suffice(build, "servers", tmp_path)
    run("/usr/bin/ninja", "-C", build, "-n", "demo")  # there is a rule for all that is linked
    units = [one for one in json.loads((build / "compile_commands.json").read_text()) if "-unity" in one["file"]]

    included = {re.search(r"#include\s*[<\"](.*)[>\"]", line).group(1)
                for path in build.rglob("*-unity*.c") for line in path.read_text().splitlines() if "#include" in line}
    made = [os.path.relpath(path, build) for path in included if str(build) in path and not os.path.exists(path)]
    run("/usr/bin/ninja", "-C", build, "--quiet", *made)  # what is generated

    def compiles(unit):
        done = subprocess.run([*shlex.split(unit["command"]), "-fsyntax-only"], cwd=unit["directory"],
                              capture_output=True, text=True, timeout=300, check=False)
        return done.stderr if done.returncode else ""

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        assert not "".join(pool.map(compiles, units))
    assert any("src/engine/mongodb/" in path for path in included)


def test_a_server_that_cannot_be_built_may_be_put_where_it_would_be(tmp_path):
    """Go is in no Debian that is new enough: the message says what to do, and doing it suffices."""
    def build():
        return subprocess.run([sys.executable, ROOT / "tools" / "servers", "build", tmp_path / "servers"],
                              env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60,
                              check=False).stderr
    assert "there is no ferretdb, and it can't be built: go, which builds it, not to be found.\nInstall Go 1.22" in build()
    (tmp_path / "servers/ferretdb").write_text("#!/bin/sh\n")
    (tmp_path / "servers/ferretdb").chmod(0o755)
    assert "ferretdb" not in build()
