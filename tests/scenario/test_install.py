# SPDX-License-Identifier: Apache-2.0
"""`make install` and `make uninstall`, into a folder that stands for a machine's root."""

import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import FREEHOLD, ROOT, open_folder

BUILD = pathlib.Path(FREEHOLD).parent
LIST = "usr/local/share/freehold/installed"


def tree(folder):
    """{path: contents} of all that is below it; folders have none."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() and not path.is_symlink() else None
            for path in sorted(folder.rglob("*"))}


def run(destdir, *words, code=0, prefix="/usr/local"):
    done = subprocess.run([ROOT / "tools" / "install", *words, "--prefix", prefix, "--destdir", destdir],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def root(tmp_path):
    """What was there before: others' files, in folders that the installation has, too."""
    (tmp_path / "usr/local/bin").mkdir(parents=True)
    (tmp_path / "usr/local/bin/other").write_text("other")
    (tmp_path / "usr/local/share/man").mkdir(parents=True)
    return tmp_path


def test_what_was_installed_works_and_uninstall_removes_exactly_that(root):
    before = tree(root)
    run(root, "--build", BUILD)
    there = tree(root)
    local = root / "usr/local"
    [library] = local.rglob("libfreehold.so.0.*")
    for expected in ("bin/freehold", "include/freehold.h", "share/man/man1/freehold.1",
                     "share/bash-completion/completions/freehold", "share/zsh/site-functions/_freehold",
                     "share/freehold/alarms.yml"):
        assert f"usr/local/{expected}" in there, sorted(there)
    assert there["usr/local/share/freehold/alarms.yml"] == (ROOT / "src/service/alarms.yml").read_bytes()
    [described] = local.rglob("freehold.pc")
    assert "prefix=/usr/local" in described.read_text()
    for program in (local / "bin/freehold", library):
        sections = subprocess.run(["objdump", "-h", program], capture_output=True, text=True, check=True).stdout
        assert ".debug_info" not in sections, f"{program} is not stripped"
    version = subprocess.run([local / "bin/freehold", "version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("freehold ")
    compiled = subprocess.run(["pkg-config", "--cflags", "freehold"], capture_output=True, text=True,
                              env={**os.environ, "PKG_CONFIG_PATH": str(described.parent)}, check=True).stdout
    assert "-I/usr/local/include" in compiled.split(), compiled
    (local / "include/freehold/mine.h").write_text("somebody else's")
    run(root, "--remove")
    after = tree(root)
    added = {"usr/local/include", "usr/local/include/freehold", "usr/local/include/freehold/mine.h"}
    assert set(after) - set(before) == added and {k: after[k] for k in before} == before
    assert "is not there" in run(root, "--remove", code=1)


def test_installing_again_removes_what_is_no_more_and_a_list_that_lies_removes_nothing(root):
    run(root, "--build", BUILD)
    former = root / "usr/local/share/freehold/former.txt"
    former.write_text("of an earlier version")
    with open(root / LIST, "a", encoding="utf-8") as listed:
        listed.write("file /usr/local/share/freehold/former.txt\n")
    first = tree(root)
    run(root, "--build", BUILD)
    assert not former.exists() and set(first) - set(tree(root)) == {"usr/local/share/freehold/former.txt"}
    with open(root / LIST, "a", encoding="utf-8") as listed:
        listed.write("file /usr/local/../../other\n")
    before = tree(root)
    assert "expected `file PATH`" in run(root, "--remove", code=1)
    assert tree(root) == before


def test_a_prefix_of_its_own_is_made_and_goes_with_what_was_in_it(tmp_path):
    run(tmp_path, "--build", BUILD, prefix="/opt/freehold")
    assert (tmp_path / "opt/freehold/bin/freehold").exists()
    run(tmp_path, "--remove", prefix="/opt/freehold")
    assert tree(tmp_path) == {"opt": None}


def test_without_a_build_folder_nothing_is_done(tmp_path):
    said = run(tmp_path, "--build", tmp_path / "no-build", code=1)
    assert said == f"tools/install: there is no build folder {tmp_path}/no-build: run `make` first\n"
    assert tree(tmp_path) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_that_may_not_be_written_is_told_before_anything_is_done():
    folder = open_folder()
    (folder / "usr/local").mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "install", folder)
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", folder / "install",
                           "--build", "no-build", "--prefix", "/usr/local", "--destdir", folder],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1 and done.stderr == (f"tools/install: this user can't write to {folder}/usr/local: run it "
                                                    "with sudo, or choose another PREFIX\n"), done
    assert set(tree(folder)) == {"install", "usr", "usr/local"}
    shutil.rmtree(folder)
