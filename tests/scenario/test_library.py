# SPDX-License-Identifier: Apache-2.0
"""The shared library and the static one, as they are installed: what they export, and what a service's program
needs."""

import json
import os
import re
import shutil
import subprocess

import pytest

from conftest import FREEHOLD, ROOT, SANITIZED, System, folder_for, free_port, wait_for
from test_new import MESON, installed, run  # noqa: F401

PROJECT = """project('diary', 'c', default_options: ['c_std=gnu17', 'warning_level=2'])
add_project_arguments('-Wno-missing-field-initializers', language: 'c')
executable('shared', 'notes/notes.c', dependencies: dependency('freehold'))
executable('static', 'notes/notes.c', dependencies: dependency('freehold', static: true))
"""
SYSTEM = "system: diary\nservices: {{ notes: {{ program: {}, migrations: {}/notes/migrations }} }}\n"
SANITIZE = ["-fsanitize=address,undefined"] if SANITIZED else []
MISSING = "error while loading shared libraries: libfreehold.so.0: cannot open shared object file"


def needed(program):
    """The shared libraries that it names itself."""
    return re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "--dynamic", "--wide", program))


@pytest.fixture(scope="module")
def library(installed):  # noqa: F811
    found = sorted(os.path.join(folder, name) for folder, _, names in os.walk(installed["FREEHOLD_ROOT"])
                   for name in names if name.startswith("libfreehold.so"))
    if not found:
        pytest.skip("ONLY THE STATIC LIBRARY WAS BUILT: default_library=static")
    return found[0]


@pytest.fixture(scope="module")
def lent(installed, library):  # noqa: F811
    """The same, where the library is found when a program starts."""
    return dict(installed, LD_LIBRARY_PATH=os.path.dirname(library))


@pytest.fixture(scope="module")
def source(installed, library, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("source")
    run("freehold", "new", "system", "diary", folder=folder, environment=installed)
    run("freehold", "new", "service", "notes", folder=folder / "diary", environment=installed)
    return folder / "diary"


@pytest.fixture(scope="module")
def by_hand(source, installed):  # noqa: F811
    """As somebody compiles it without Meson."""
    flags = run("pkg-config", "--cflags", "--libs", "freehold", environment=installed).split()
    run("cc", *SANITIZE, "-o", source / "by_hand", source / "notes" / "notes.c", *flags)
    return source / "by_hand"


def serves(folder, source, program, environment):
    """Brought up with the command that was built, it takes a note and gives it back."""
    (folder / "freehold.yaml").write_text(SYSTEM.format(program, source))

    def freehold(*words):
        return run(FREEHOLD, *words, "--state", folder / "state", folder=folder, environment=environment)

    freehold("up", "--detach", "--listen", f"127.0.0.1:{free_port()}")
    try:
        freehold("call", "notes", "POST", "/api/notes", "--data", '{"text": "first"}')
        return [row["text"] for row in json.loads(freehold("call", "notes", "GET", "/api/notes"))] == ["first"]
    finally:
        freehold("stop")


def test_the_library_has_its_soname_and_one_node_of_symbols(library):
    dynamic = run("readelf", "--dynamic", "--wide", library)
    assert "Library soname: [libfreehold.so.0]" in dynamic
    assert os.path.basename(os.path.realpath(library)) == "libfreehold.so.0.1.0"
    given = run("nm", "--dynamic", "--defined-only", library).splitlines()
    functions = [line.split()[2] for line in given if " A " not in line]
    assert "fh_main@@FREEHOLD_0.1" in functions and "fh_row@@FREEHOLD_0.1" in functions
    assert all(re.fullmatch(r"fh_\w+@@FREEHOLD_0\.1", name) for name in functions), functions


def test_nothing_of_what_only_the_command_and_simulations_need_is_in_it(library):
    assert not [name for name in needed(library) if re.search(r"yaml|lua|pg_query|stdc|zstd|libz\.", name)]


def test_a_service_that_is_compiled_by_hand_uses_the_shared_library(by_hand, source, lent, tmp_path):
    assert needed(by_hand)[0] == "libfreehold.so.0" or SANITIZED
    assert "libsqlite3.so.0" not in needed(by_hand)
    assert json.loads(run(by_hand, "--describe", environment=lent))["name"] == "notes"
    assert serves(tmp_path, source, by_hand, lent)


def test_a_service_links_either_library_with_meson(source, installed, tmp_path):  # noqa: F811
    """Meson records where the shared one is, so that it is found until the program is installed."""
    folder = tmp_path / "project"
    shutil.copytree(source, folder)
    (folder / "meson.build").write_text(PROJECT)
    sanitize = ["-Db_sanitize=address,undefined", "-Db_lundef=false"] if SANITIZED else []
    run(MESON, "setup", "build", "-Dwerror=true", *sanitize, folder=folder, environment=installed)
    run("ninja", "-C", "build", folder=folder, environment=installed)
    assert "libfreehold.so.0" in needed(folder / "build" / "shared")
    assert "libfreehold.so.0" not in needed(folder / "build" / "static")
    for kind in ("shared", "static"):
        (tmp_path / kind).mkdir()
        assert serves(tmp_path / kind, folder, folder / "build" / kind, installed), kind


def test_pkg_config_lists_what_the_static_library_needs(source, installed, tmp_path):  # noqa: F811
    flags = run("pkg-config", "--static", "--cflags", "--libs", "freehold", environment=installed).split()
    assert "-l:libboost_context.a" in flags and "-l:libuv.so" in flags
    flags = ["-l:libfreehold.a" if flag == "-lfreehold" else flag for flag in flags]
    run("cc", *SANITIZE, "-Wl,--as-needed", "-o", tmp_path / "notes", source / "notes" / "notes.c", *flags)
    assert "libfreehold.so.0" not in needed(tmp_path / "notes")
    assert json.loads(run(tmp_path / "notes", "--describe", environment=installed))["name"] == "notes"


@pytest.mark.parametrize("library_kind, linked", [("shared", "libfreehold.so"), ("both", "libfreehold.so"),
                                                  ("static", "libfreehold.a")])
def test_freehold_can_be_a_part_of_a_project(source, tmp_path, library_kind, linked):
    """Its names are the same then; what would be built is checked, since building all of it would take long."""
    folder = tmp_path / "project"
    shutil.copytree(source, folder)
    (folder / "subprojects").mkdir()
    (folder / "subprojects" / "freehold").symlink_to(ROOT)
    first, rest = PROJECT.split("\n", 1)
    (folder / "meson.build").write_text(f"{first}\nsubproject('freehold')\n{rest}")
    run(MESON, "setup", "build", f"-Ddefault_library={library_kind}", folder=folder)
    for program, library in (("shared", linked), ("static", "libfreehold.a")):
        linking = run("ninja", "-C", "build", "-t", "commands", program, folder=folder).strip().splitlines()[-1]
        assert f"subprojects/freehold/{library}" in linking, linking


# ---- where it is missing ---------------------------------------------------------------------------


def test_a_program_without_the_library_is_refused_with_the_reason(by_hand, source, installed, tmp_path):  # noqa: F811
    (tmp_path / "freehold.yaml").write_text(SYSTEM.format(by_hand, source))
    for command in ("check", "up"):
        said = run(FREEHOLD, command, folder=tmp_path, environment=installed, code=1)
        assert f"{by_hand} --describe failed with exit code 127: {MISSING}" in said, said
        assert "ldconfig" in said


def test_a_library_that_vanishes_is_reported_when_the_service_restarts(by_hand, source, library, installed, tmp_path):  # noqa: F811
    shutil.copytree(os.path.dirname(library), tmp_path / "lib", symlinks=True)
    (tmp_path / "freehold.yaml").write_text(SYSTEM.format(by_hand, source))
    with open(tmp_path / "said", "w", encoding="utf-8") as said:
        up = subprocess.Popen([FREEHOLD, "up", "--state", tmp_path / "state", "--listen", f"127.0.0.1:{free_port()}"],
                              cwd=tmp_path, stdout=said, stderr=said,
                              env=dict(installed, LD_LIBRARY_PATH=str(tmp_path / "lib")))
    system = System(tmp_path / "freehold.yaml", tmp_path / "state")
    try:
        wait_for("notes is ready", lambda: "notes " in (text := (tmp_path / "said").read_text()) and "ready in" in text
                 and (tmp_path / "state" / "system.json").exists() and system.status()["services"][0]["ready"])
        os.rename(tmp_path / "lib", tmp_path / "gone")
        os.kill(system.pid("notes"), 9)
        wait_for("up says why", lambda: MISSING in (tmp_path / "said").read_text())
        assert re.search(r"notes ended (as user \d+ )?with exit code 127 before it was ready",
                         (tmp_path / "said").read_text())
        os.rename(tmp_path / "gone", tmp_path / "lib")
        wait_for("notes is back", lambda: system.status()["services"][0]["ready"])
    finally:
        up.terminate()
        up.wait(60)


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: USERS OF THEIR OWN WERE NOT TRIED")
@pytest.mark.parametrize("closed, expected", [("lib", rf"notes ended as user \d+ with exit code 127(?s:.*){MISSING}"),
                                              ("notes", r"notes can't be run as user \d+: Permission denied")])
def test_what_only_root_may_read_is_reported_with_the_user_who_may_not(by_hand, source, library, installed, request,  # noqa: F811
                                                                   closed, expected):
    folder = folder_for(request)
    shutil.copytree(os.path.dirname(library), folder / "lib", symlinks=True)
    (folder / "bin").mkdir()
    shutil.copy(by_hand, folder / "bin" / "notes")
    shutil.copytree(source / "notes", folder / "notes")
    (folder / "freehold.yaml").write_text("isolation: users\n" + SYSTEM.format(folder / "bin" / "notes", folder))
    for path in (folder / "lib").iterdir() if closed == "lib" else [folder / "bin" / "notes"]:
        path.chmod(0o700)
    said = run(FREEHOLD, "up", "--detach", "--state", folder / "state", "--listen", f"127.0.0.1:{free_port()}", folder=folder, code=1,
               environment=dict(installed, LD_LIBRARY_PATH=str(folder / "lib")))
    assert re.search(expected, said), said
