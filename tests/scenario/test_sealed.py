# SPDX-License-Identifier: Apache-2.0
"""Backups that are encrypted and signed: who keeps them can neither read them, nor change them, nor give another one
back for them. What may be done to the bytes of a file is tests/unit/system_seal_test.c's."""

import contextlib
import json
import pathlib
import re
import shutil
import sqlite3
import subprocess

import pytest

from conftest import FREEHOLD, ROOT, System, open_folder, with_programs
from test_backup import add_user, incarnation, rename, run, stopped_since, up_log

KEY, OTHER = "5a" * 32, "a5" * 32


def put_key(path, key=KEY, mode=0o600):
    path.write_text(key + "\n")
    path.chmod(mode)
    return path


@pytest.fixture(scope="module")
def shop():
    folder = open_folder()
    shutil.copytree(ROOT / "examples" / "shop", folder / "shop")
    put_key(folder / "shop" / "backup.key")
    file = folder / "shop" / "freehold.yaml"
    file.write_text(with_programs(file.read_text()) + "backup: { key: { file: backup.key } }\n")
    system = System(file, folder / "state").up()
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


@pytest.fixture
def folder(shop, request):
    return pathlib.Path(shop.state).parent / re.sub(r"\W+", "-", request.node.name)


def back_up(shop, folder, *services):
    done = run(shop, "backup", *services, "--to", str(folder))
    assert done.returncode == 0, done
    return done


def check(folder, *more):
    return subprocess.run([FREEHOLD, "backup", "--check", str(folder), *more], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def taken(shop):
    """A user is in it, and was renamed since."""
    folder = pathlib.Path(shop.state).parent / "taken"
    user = add_user(shop, "Wilhelmina-Unmistakable")
    back_up(shop, folder, "users", "products")
    rename(shop, user, "Changed")
    return folder, user


def refused(shop, folder, why, *more, services=("users",)):
    """And nothing is touched: no service stops, no file is left."""
    before, log = incarnation(shop, "users"), up_log(shop)
    done = run(shop, "restore", *services, "--from", str(folder), "--yes", *more)
    assert done.returncode == 1 and re.search(why, done.stderr), done
    assert incarnation(shop, "users") == before and stopped_since(shop, log) == []
    assert not list((pathlib.Path(shop.state) / "users").glob("restore-*"))
    assert not (pathlib.Path(shop.state) / "users" / "restore.json").exists()
    return done


def test_a_backup_is_sealed_checked_and_restored(shop, taken):
    folder, user = taken
    assert {path.name for path in folder.iterdir()} == {"users.sealed", "products.sealed", "manifest.json"}
    for path in folder.iterdir():
        data = path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
        assert b"Wilhelmina" not in data and b"SQLite format" not in data and KEY.encode() not in data
    assert not list(pathlib.Path(shop.state).glob("*/backup.db")), "it is not left as it was"
    assert "signed with this key" in check(folder, "--state", shop.state).stdout
    assert check(folder, "--key", str(pathlib.Path(shop.file).parent / "backup.key")).returncode == 0
    shop.command("restore", "users", "--from", str(folder), "--yes", "--state", shop.state)
    assert shop.http("GET", f"/api/users/{user}").body["name"] == "Wilhelmina-Unmistakable"


def test_a_stopped_system_is_backed_up_and_restored_too(shop, folder):
    user = add_user(shop, "Stopped")
    shop.stop()
    try:
        back_up(shop, folder, "users")
        assert "signed with this key" in check(folder, "--state", shop.state).stdout
        assert run(shop, "restore", "users", "--from", str(folder), "--yes").returncode == 0
    finally:
        shop.up()
    assert shop.http("GET", f"/api/users/{user}").body["name"] == "Stopped"


def test_without_its_key_it_is_refused(shop, taken, folder):
    sealed, _ = taken
    folder.mkdir()
    key = put_key(folder / "key", OTHER)
    assert "is encrypted: say with --key" in check(sealed).stderr
    assert "signed with another key" in check(sealed, "--key", str(key)).stderr
    refused(shop, sealed, "signed with another key", "--key", str(key))
    refused(shop, sealed, "Others can use the key", "--key", str(put_key(key, KEY, 0o640)))
    refused(shop, sealed, "holds no key|does not give a key", "--key", str(put_key(key, "xyz")))
    refused(shop, sealed, "can't be read", "--key", str(folder / "none"))
    for wrong in (put_key(key, KEY, 0o644), folder / "none"):
        done = run(shop, "backup", "users", "--to", str(folder / "to"), "--key", str(wrong))
        assert done.returncode == 1 and not (folder / "to").exists(), "a key that can't be read is not none"


def change(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def edit(folder, how):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    how(manifest, manifest["services"])
    path.write_text(json.dumps(manifest))


def put_sum(folder, service="users"):
    """As who wrote the manifest anew would."""
    done = subprocess.run(["sha256sum", folder / f"{service}.sealed"], capture_output=True, text=True, check=True)
    size = (folder / f"{service}.sealed").stat().st_size
    edit(folder, lambda _, services: services[service].update(sha256=done.stdout[:64], size=size))


TAMPERED = {
    "the header": (lambda f, o: change(f / "users.sealed", 3), "not what it was"),
    "the stream's header": (lambda f, o: change(f / "users.sealed", 20), "not what it was"),
    "the first chunk": (lambda f, o: change(f / "users.sealed", 100), "not what it was"),
    "the end": (lambda f, o: change(f / "users.sealed", -1), "not what it was"),
    "cut off": (lambda f, o: (f / "users.sealed").write_bytes((f / "users.sealed").read_bytes()[:-1000]), "has .* bytes"),
    "gone": (lambda f, o: (f / "users.sealed").unlink(), "is missing"),
    "another service's": (lambda f, o: shutil.copy(f / "products.sealed", f / "users.sealed"), "has .* bytes|not what it was"),
    "another backup's file": (lambda f, o: shutil.copy(o / "users.sealed", f / "users.sealed"), "has .* bytes|not what it was"),
    "another backup's manifest": (lambda f, o: shutil.copy(o / "manifest.json", f / "manifest.json"),
                                  "has .* bytes|not what it was"),
    "a sum made anew": (lambda f, o: (change(f / "users.sealed", 100), put_sum(f)), "was changed since"),
    "another backup's file, with its sum": (lambda f, o: (shutil.copy(o / "users.sealed", f / "users.sealed"), put_sum(f)),
                                            "was changed since"),
    "a newer time": (lambda f, o: edit(f, lambda all_, _: all_.update(taken_ms=all_["taken_ms"] + 10**9)), "was changed since"),
    "services swapped": (lambda f, o: edit(f, lambda _, s: s.update(users=dict(s["products"], file="users.sealed"))),
                         "was changed since"),
    "no mac": (lambda f, o: edit(f, lambda all_, _: all_.pop("mac")), "was changed since"),
    "declared plain": (lambda f, o: edit(f, lambda all_, _: all_.update(freehold_backup=1)), "wrong at services"),
}


@pytest.fixture(scope="module")
def other(shop, taken):
    folder = pathlib.Path(shop.state).parent / "other"
    back_up(shop, folder, "users", "products")
    return folder


@pytest.mark.parametrize("what", TAMPERED)
def test_whatever_is_changed_is_refused_before_anything_is_touched(shop, taken, other, folder, what):
    shutil.copytree(taken[0], folder)
    do, why = TAMPERED[what]
    do(folder, other)
    refused(shop, folder, why, "--older")
    assert check(folder, "--state", shop.state).returncode == 1


def test_a_plain_backup_is_refused_where_there_is_a_key(shop, taken, folder):
    """Else who keeps the backups could write one. To make one without a key is allowed, and not quiet."""
    file = pathlib.Path(shop.file)
    text = file.read_text()
    user = add_user(shop, "Plain")
    shop.stop()
    try:
        file.write_text(text.replace("backup: { key", "# backup: { key"))
        shop.up()
        done = back_up(shop, folder, "users")
        assert "NEITHER ENCRYPTED NOR SIGNED" in done.stderr
        assert "Plain" in str(read(folder / "users.db"))
        shop.stop()
    finally:
        file.write_text(text)
        shop.up()
    refused(shop, folder, "neither encrypted nor signed, so anybody may have written it")
    assert "NEITHER ENCRYPTED" in check(folder, "--state", shop.state).stderr
    shop.command("restore", "users", "--from", str(folder), "--yes", "--unsigned", "--state", shop.state)
    assert shop.http("GET", f"/api/users/{user}").body["name"] == "Plain"


def read(path):
    with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as store:
        return store.execute("SELECT name FROM users").fetchall()


def test_an_older_one_is_not_taken_for_the_newest(shop, taken, other, tmp_path):
    refused(shop, taken[0], "a newer one was made at .*: say --older")
    newest = pathlib.Path(shop.state) / "backups.json"
    for damaged in ("", "{}", '{"newest": 1}', "\0"):
        before = newest.read_text()
        try:
            newest.write_text(damaged)
            refused(shop, taken[0], "which backup of users is the newest is not known")
            done = run(shop, "backup", "users", "--to", str(tmp_path / f"after-{len(damaged)}"))
            assert done.returncode == 0 and "this backup can't be recorded as the newest in" in done.stderr and newest.read_text() == damaged
        finally:
            newest.write_text(before)
    shop.command("restore", "users", "--from", str(taken[0]), "--yes", "--older", "--state", shop.state)
    assert shop.http("GET", f"/api/users/{taken[1]}").body["name"] == "Wilhelmina-Unmistakable"


COMMANDS = {
    "prints it": (f"printf '{KEY}\\n'", None),
    "fails": (f"echo {KEY}; exit 3", "failed with exit code 3"),
    "prints nothing": ("true", "did not print a key"),
    "prints something else": ("echo hush-hush", "does not give a key"),
    "prints without end": ("yes", "could not be run, or was killed|did not print a key|failed"),
    "is killed": ("kill -9 $$", "could not be run, or was killed"),
}


@pytest.mark.parametrize("how", COMMANDS)
def test_a_command_gives_the_key(shop, taken, how):
    """Its place is in system.json, from the last `up`; so this is as if the file said so."""
    script, why = COMMANDS[how]
    path = pathlib.Path(shop.state) / "system.json"
    whole = path.read_text()
    system = json.loads(whole)
    assert system["backup_key"] == {"file": str(pathlib.Path(shop.file).parent / "backup.key")}
    system["backup_key"] = {"command": ["/bin/sh", "-c", script]}
    path.write_text(json.dumps(system))
    try:
        done = check(taken[0], "--state", shop.state)
    finally:
        path.write_text(whole)
    assert (done.returncode == 0) == (why is None), done
    assert why is None or re.search(why, done.stderr), done
    assert KEY not in done.stdout + done.stderr and "hush" not in done.stdout + done.stderr


def test_the_system_file_is_checked(tmp_path):
    file = tmp_path / "freehold.yaml"
    shutil.copytree(ROOT / "examples" / "shop", tmp_path, dirs_exist_ok=True)
    text = with_programs(file.read_text())
    key = put_key(tmp_path / "a.key")
    for backup, mode, why in (("{ key: { file: a.key } }", 0o600, None),
                              ("{ key: { file: a.key } }", 0o604, "Others can use the key"),
                              ("{ key: { file: none.key } }", 0o600, "warning: .*does not exist now"),
                              ("{ key: { command: [/bin/cat, a.key] } }", 0o600, None),
                              ("{ key: { command: [cat, a.key] } }", 0o600, "must be an absolute path"),
                              ("{ key: { file: a.key, command: [/bin/cat] } }", 0o600, "either a file or a command"),
                              ("{ key: {} }", 0o600, "either a file or a command"),
                              ("{}", 0o600, "'key' is missing|backup.key. is missing|key")):
        key.chmod(mode)
        file.write_text(text + f"backup: {backup}\n")
        done = subprocess.run([FREEHOLD, "check", file], capture_output=True, text=True, timeout=120)
        assert (done.returncode == 0) == (why is None or why.startswith("warning")), (backup, done)
        assert why is None or re.search(why, done.stderr), (backup, done)
        assert KEY not in done.stdout + done.stderr


def test_the_key_is_nowhere(shop, taken):
    """Not in the state folder, the logs, or what was audited."""
    for path in pathlib.Path(shop.state).rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
    done = run(shop, "audit", "--what", "backup", "--json")
    assert all(act["with"].get("encrypted") in (True, False, None) for act in json.loads(done.stdout)["acts"] if act.get("with"))
