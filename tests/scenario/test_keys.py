# SPDX-License-Identifier: Apache-2.0
"""freehold key: makes, lists and revokes API keys in a file that a gateway may be reading."""

import concurrent.futures
import hashlib
import json
import os
import subprocess

import pytest

from conftest import FREEHOLD, wait_for
from test_authentication import bearer, keys_gateway, user_of
from test_gateway import started  # noqa: F401

SYSTEM = "system: mini\nservices: {users: }\ngateway:\n  auth:\n    keys: clients/keys.json\n"


class Keys:
    """A system file that names a file of keys, and the command beside it."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "clients" / "keys.json"
        self.file.parent.mkdir(mode=0o700)
        (folder / "freehold.yaml").write_text(SYSTEM)

    def run(self, *arguments, code=0, **how):
        done = subprocess.run([FREEHOLD, "key", *map(str, arguments)], text=True, cwd=self.folder, timeout=120,
                              **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how})
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def new(self, *arguments):
        return json.loads(self.run("new", "--json", *arguments).stdout)

    def entries(self):
        return json.loads(self.file.read_text())["keys"]


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path)


def mode_of(path):
    return path.stat().st_mode & 0o7777


def test_a_key_is_shown_once_and_stored_as_its_hash(keys):
    done = keys.run("new", "--subject", "reporting", "--scopes", "stock:read,stock:write stock:read", "--roles", "staff",
                    "--expires", "2100-01-31")
    key = done.stdout.removesuffix("\n")
    assert len(key) == 47 and key.startswith("fhk_") and key not in done.stderr
    digest = hashlib.blake2b(key.encode(), digest_size=32).hexdigest()
    assert keys.entries() == [{"hash": digest, "subject": "reporting", "scopes": ["stock:read", "stock:write"],
                               "roles": ["staff"], "expires": "2100-01-31T00:00:00Z"}]
    assert mode_of(keys.file) == 0o600 and key not in keys.file.read_text()
    listed = keys.run("list")
    assert digest[:12] in listed.stdout and "reporting" in listed.stdout and key not in listed.stdout
    assert json.loads(keys.run("list", "--json").stdout) == {"keys": [
        {"id": digest[:12], "subject": "reporting", "scopes": ["stock:read", "stock:write"], "roles": ["staff"],
         "expires": "2100-01-31T00:00:00Z"}]}


def test_keys_are_revoked_all_or_none(keys):
    made = [keys.new("--subject", f"client-{i}")["id"] for i in range(3)]
    assert "has no key" in keys.run("revoke", made[0], "0" * 12, code=1).stderr
    assert len(keys.entries()) == 3
    assert keys.run("revoke", made[0], made[2]).stdout.splitlines() == [
        f"revoked {made[0]} of client-0", f"revoked {made[2]} of client-2"]
    assert [entry["subject"] for entry in keys.entries()] == ["client-1"]
    twice = {"hash": "ab" * 32, "subject": "x"}
    keys.file.write_text(json.dumps({"keys": [twice, {**twice, "hash": "ab" * 31 + "cd"}]}))
    assert "give more digits" in keys.run("revoke", "ab" * 6, code=1).stderr


@pytest.mark.parametrize("arguments, said", [
    (["new"], "--subject"), (["new", "--subject", "a\nb"], "control characters"),
    (["new", "--subject", "x" * 256], "255"), (["new", "--subject", "x", "--scopes", "a\tb"], "control characters"),
    (["new", "--subject", "x", "--expires", "2100-02-30"], "2100-02-30"),
    (["new", "--subject", "x", "--expires", "2020-01-01"], "in the future"),
    (["new", "--subject", "x", "--expires", "90"], "90d"),
    (["new", "--subject", "x", "y"], "does not expect"), (["list", "--subject", "x"], "only new"), (["revoke"], "ID"),
    (["revoke", "fhk_" + "a" * 43], "no keys"), (["revoke", "abc"], "at least 8"),
    (["list", "--file", "freehold.yaml", "--keys", "x"], "one of them")])
def test_wrong_usage_is_told_and_changes_nothing(keys, arguments, said):
    assert said in keys.run(*arguments, code=2).stderr
    assert not keys.file.exists()


def test_a_file_with_a_fault_is_left_as_it_is(keys):
    for text in ("{", '{"keys": [{"hash": "00", "subject": "a"}]}', '{"keys": {}}', '{"keys": [], "keys": []}', ""):
        keys.file.write_text(text)
        assert "keys.json: " in keys.run("new", "--subject", "x", code=1).stderr
        assert keys.file.read_text() == text
    keys.file.unlink()
    os.mkfifo(keys.file)
    assert "not a regular file" in keys.run("list", code=1).stderr
    keys.file.unlink()
    keys.file.parent.rmdir()
    assert "its folder isn't there" in keys.run("new", "--subject", "x", code=1).stderr
    (keys.folder / "freehold.yaml").write_text("system: mini\n")
    assert "gateway.auth.keys" in keys.run("list", code=1).stderr


def test_a_file_keeps_its_mode_and_a_link_what_it_leads_to(keys):
    keys.new("--subject", "a")
    keys.file.chmod(0o640)
    link = keys.folder / "link.json"
    link.symlink_to(keys.file)
    keys.run("new", "--subject", "b", "--keys", link)
    assert link.is_symlink() and len(keys.entries()) == 2 and mode_of(keys.file) == 0o640
    assert [path.name for path in keys.file.parent.iterdir()] == ["keys.json"]


def test_many_at_once_lose_no_key(keys):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: keys.new("--subject", f"client-{i}")["id"], range(24)))
    assert {entry["hash"][:12] for entry in keys.entries()} == set(made) and len(set(made)) == 24


def test_a_key_that_could_not_be_shown_is_named(keys):
    with open("/dev/full", "w") as full:
        said = keys.run("new", "--subject", "x", code=1, stdout=full).stderr
    digest = keys.entries()[0]["hash"]
    assert f"freehold key revoke {digest[:12]}" in said


def test_a_gateway_takes_a_key_that_is_made_and_drops_one_that_is_revoked(started, keys):  # noqa: F811
    gateway = keys_gateway(started, [])
    made = keys.new("--subject", "reporting", "--scopes", "stock:read", "--roles", "staff", "--keys", gateway.file)

    def status():
        return gateway.get("/api/stock", headers=bearer(made["key"])).status
    wait_for("the new key is taken", lambda: status() == 200)
    assert user_of(gateway.get("/api/stock", headers=bearer(made["key"])))["sub"] == "reporting"
    keys.run("revoke", made["id"], "--keys", gateway.file)
    wait_for("the revoked key counts no more", lambda: status() == 401)
