# SPDX-License-Identifier: Apache-2.0
"""Contracts between teams: what `freehold describe` writes, and what `check` and `events diff` say of it."""

import copy
import json
import os
import subprocess

from conftest import FREEHOLD, ROOT
from terminal import assert_fits, on_terminal
from test_command import USERS, Mini, mini  # noqa: F401 a fixture

SHOP = ROOT / "examples" / "shop" / "freehold.yaml"


def changed(**members):
    """The service users, with other members."""
    return {**copy.deepcopy(USERS), **members}


def published(version=1, **properties):
    return {"publishes": [{"type": "UserUpdated", "version": version, "key": "id",
                           "schema": {"type": "object", "additionalProperties": False, "required": ["id"],
                                      "properties": {"id": {"type": "integer"}, **properties}}}]}


def answer(mini, *words, code=0):  # noqa: F811
    done = subprocess.run([FREEHOLD, *map(str, words), "--json"], capture_output=True, text=True, cwd=mini.folder,
                          timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_the_same_programs_give_the_same_bytes_and_nothing_of_the_machine(mini):  # noqa: F811
    first, second = mini.folder / "a.json", mini.folder / "b.json"
    mini.describe("users", {**USERS, "settings": {"properties": {"token": {"default": "THE-SECRET"}}}})
    assert "a.json describes 2 services." in mini.run("describe", mini.file, "--out", "a.json")
    mini.describe("users", dict(reversed(USERS.items())))
    mini.run("describe", mini.file, "--out", second)
    assert first.read_bytes() == second.read_bytes()
    text = first.read_text()
    assert str(mini.folder) not in text and "SECRET" not in text and json.loads(text)["system"] == "mini"
    assert mini.run("describe", mini.file) == text
    assert answer(mini, "describe", mini.file, "users", "--out", "u.json") == {"written": "u.json", "services": 1}
    assert [s["name"] for s in json.loads((mini.folder / "u.json").read_text())["services"]] == ["users"]
    assert "did you mean 'users'" in mini.run("describe", mini.file, "user", code=2)
    assert "No such file or directory" in mini.run("describe", mini.file, "--out", "none/a.json", code=1)
    assert sorted(path.name for path in mini.folder.glob("*.new")) == []


def test_the_shop_promises_what_it_promises(tmp_path):
    out = tmp_path / "shop.json"
    for words in (["describe", SHOP, "--out", out], ["check", SHOP, "--against", out]):
        done = subprocess.run([FREEHOLD, *map(str, words)], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"\nNothing breaks what {out} promises.\n")


def test_what_breaks_is_named_with_whom_and_since_when(mini):  # noqa: F811
    before = mini.folder / "before"
    before.mkdir()
    mini.describe("users", changed(**published(name={"type": "string"})))
    mini.describe("orders", {"hears": [{"service": "users", "type": "UserUpdated", "fields": "id,name"}]})
    mini.run("describe", mini.file, "--out", before / "v9.json")
    mini.run("describe", mini.file, "--out", before / "v10.json")
    # Expand: nothing breaks.
    mini.describe("users", changed(**published(name={"type": "string"}, full_name={"type": "string"})))
    assert "1 change is compatible; --verbose lists them." in mini.run("check", mini.file, "--against", before)
    assert "/full_name: is new" in mini.run("check", mini.file, "--against", before, "--verbose")
    # Contract too early: the subscriber as it is, and the system does not fit together either.
    mini.describe("users", changed(**published(2, full_name={"type": "string"})))
    told = answer(mini, "check", mini.file, "--against", before, code=1)
    assert "orders wants the field 'name' of UserUpdated" in told["errors"][0]["message"]
    [broken] = [change for change in told["changes"] if change["level"] == "error"]
    assert (broken["name"], broken["version"], broken["pointer"], broken["last_in"].rsplit("/", 1)[1]) == (
        "UserUpdated", 1, "/name", "v10.json")
    assert broken["breaks"] == [{"service": "orders", "how": "reads name"}]
    # The subscriber reads it no more, but the one that still runs does.
    mini.describe("orders", {"hears": [{"service": "users", "type": "UserUpdated", "fields": "id,full_name"}]})
    told = answer(mini, "check", mini.file, "--against", before, code=1)
    assert told["errors"] == [] and told["changes"][0]["breaks"][0]["by"].endswith("v10.json")
    lines = on_terminal(["check", str(mini.file), "--against", "before"], mini.folder)
    assert_fits(lines)
    assert "BREAKS  users: event UserUpdated, version 1" in lines and "        /name: is gone" in lines
    assert "        orders reads name (before/v10.json)" in lines
    # One release later nobody reads it.
    for path in before.iterdir():
        text = path.read_text()
        path.write_text(text.replace('"fields": "id,name"', '"fields": "id"'))
        assert text != path.read_text()
    said = mini.run("check", mini.file, "--against", before)
    assert "unused  users: event UserUpdated, version 1" in said
    assert f"1 change breaks what {before} promises, and nobody is known to use it." in said


def test_a_team_checks_its_system_with_the_files_of_others(mini):  # noqa: F811
    mini.run("describe", mini.file, "users", "--out", "users.json")
    mini.describe("orders", {"asks": [{"service": "users", "path": "/api/users/{user_id}"}],
                             "hears": [{"service": "users", "type": "UserUpdated", "fields": "id,name"}]})
    mini.run("describe", mini.file, "orders", "--out", "orders.json")
    mini.write("  orders: {}\n")
    assert "orders needs the service 'users', which the system has not" in mini.run("check", mini.file, code=1)
    mini.run("describe", mini.file, "--out", "orders.json")  # which needs nobody else
    assert "mini fits together" in mini.run("check", mini.file, "--others", "users.json")
    mini.describe("orders", {"asks": [{"service": "users", "path": "/users/{user_id}"}]})
    said = mini.run("check", mini.file, "--others", "users.json", code=1)
    assert "/users/{user_id}, which users does not serve" in said
    # The other way: what they expect of it.
    mini.write("  users: {}\n")
    mini.describe("users", changed(publishes=[]))
    said = mini.run("check", mini.file, "--others", "orders.json", code=1)
    assert "orders subscribes to UserUpdated, which users does not publish" in said
    told = answer(mini, "check", mini.file, "--others", "orders.json", "--against", "users.json", code=1)
    [broken] = [change for change in told["changes"] if change["level"] == "error"]
    assert broken["breaks"] == [{"service": "orders", "how": "subscribes to it", "by": "orders.json"}]


def test_files_that_are_no_description_are_refused_by_name(mini):  # noqa: F811
    mini.run("describe", mini.file, "--out", "good.json")
    good = (mini.folder / "good.json").read_text()
    service = json.loads(good)
    service["services"] = [{"name": "accounts"}]
    texts = {"empty": "", "cut": good[:len(good) // 2], "newer": good.replace('"contracts": 1', '"contracts": 2'),
             "twice": good.replace('"contracts": 1', '"contracts": 1,\n"contracts": 1'), "bank": json.dumps(service),
             "deep": '{"contracts": ' + "[" * 100000, "terminal": good.replace('"key": "id"', '"key": "\\u001b[2J"'),
             "cycle": good.replace('"type": "object"', '"$ref": "#"'), "huge": '{"contracts": "' + "x" * (9 << 20)}
    expected = {"empty": "the file is empty", "cut": "Not valid JSON: line", "newer": "a newer freehold has written it",
                "twice": "duplicate object key", "bank": "it describes other services, such as accounts",
                "deep": "nested deeper than", "terminal": "/key: a control character is in this text",
                "cycle": "/$ref: no word of a shape's schema", "huge": "it has more than 8 MiB"}
    for name, text in texts.items():
        (mini.folder / f"{name}.json").write_text(text)
        done = subprocess.run([FREEHOLD, "check", mini.file, "--against", f"{name}.json"], capture_output=True,
                              text=True, cwd=mini.folder, timeout=120, check=False)
        assert done.returncode == 1 and "\033" not in done.stdout + done.stderr
        assert f"{name}.json" in done.stderr and expected[name] in done.stderr, done.stderr
    os.mkfifo(mini.folder / "pipe.json")
    assert "it is no file" in mini.run("check", mini.file, "--others", "pipe.json", code=1)
    (mini.folder / "none").mkdir()
    assert "the folder has no description in it" in mini.run("check", mini.file, "--others", "none", code=1)
    for name in (b"\xff.json", b"\x1b[31m.json", b"a\n.json"):
        path = os.fsencode(mini.folder / "none") + b"/" + name
        with open(path, "w", encoding="utf-8") as file:
            file.write(good)
        for more in ([], ["--json"]):
            said = mini.run("check", mini.file, "--against", "none", *more, code=1)
            assert "the name of a file in this folder is no UTF-8 text" in said and "\033" not in said
        os.unlink(path)
    assert "--verbose lists changes: it needs --against" in mini.run("check", mini.file, "--verbose", code=2)


def test_event_types_of_two_files_are_compared_without_programs(mini):  # noqa: F811
    mini.describe("users", changed(**published(name={"type": "string"})))
    mini.run("describe", mini.file, "--out", "old.json")
    mini.describe("users", changed(publishes=published(2, name={"type": ["string", "null"]},
                                                       nick={"type": "string"})["publishes"] +
                                   [{"type": "UserGone", "version": 1}]))
    mini.run("describe", mini.file, "--out", "new.json")
    lines = on_terminal(["events", "diff", "old.json", "new.json"], mini.folder)
    assert_fits(lines)
    assert lines[:-1] == [
        "users: UserUpdated, version 1",
        "  ~ compatible  is published as version 2 now, and as 1 before",
        "  ~ breaking    /name: was a text, is now a text or null",
        "  + compatible  /nick: is new",
        "users: UserGone, version 1",
        "  + compatible  is new",
        "4 differences, 1 of them breaking."]
    told = answer(mini, "events", "diff", "old.json", "new.json", "UserGone")
    assert [change["text"] for change in told["changes"]] == ["is new"]
    assert "did you mean 'UserGone'" in mini.run("events", "diff", "old.json", "new.json", "UserGon", code=2)
    assert "No event type differs." in mini.run("events", "diff", "old.json", "old.json")
    assert "usage: freehold events diff OLD NEW [TYPE]" in mini.run("events", "diff", "old.json", code=2)
    assert "none.json: error: it cannot be read" in mini.run("events", "diff", "none.json", "old.json", code=1)
