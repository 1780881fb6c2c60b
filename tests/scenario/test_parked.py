# SPDX-License-Identifier: Apache-2.0
"""An event that a service can't process, and what an operator does about it; and how operators look at sagas."""

import json
import os
import pathlib
import pty
import shutil
import subprocess

import pytest

from conftest import FREEHOLD, ROOT, wait_for
from test_shop import ended, held, new_product, new_user, order_body, place

# Migrations are part of the service: these make a name impossible to process, and possible again.
POISON = """CREATE TABLE heard (name TEXT CONSTRAINT bearable CHECK (name <> 'poison'));
CREATE TRIGGER poison BEFORE UPDATE ON user_names BEGIN INSERT INTO heard VALUES (NEW.user_name); END;
"""
WHY = "The rule bearable of the store forbids it."
MENDED = "DROP TRIGGER poison;\n"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source") / "shop"
    shutil.copytree(ROOT / "examples" / "shop", folder)
    (folder / "orders" / "migrations" / "0090_poison.sql").write_text(POISON)
    return folder


@pytest.fixture(scope="module")
def shop(start, source):
    return start(source / "freehold.yaml")


def rename(shop, user, name):
    assert shop.http("PATCH", f"/api/users/{user}", {"name": name}).status == 200


def name_in(shop, order):
    return shop.http("GET", f"/api/orders/{order['id']}").body["user_name"]


def parked(shop, *arguments, code=0):
    done = shop.command("parked", *arguments, "--state", shop.state, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def keys(shop):
    return json.loads(parked(shop, "list", "--json").stdout)["parked"]


def test_a_poison_is_parked_and_an_operator_deals_with_it(shop):
    ann, bob, lamp = new_user(shop, "Ann"), new_user(shop, "Bob"), new_product(shop, 50)
    of_ann, of_bob = (ended(shop, place(shop, user, (lamp, 1))) for user in (ann, bob))
    rename(shop, ann, "poison")
    rename(shop, ann, "Anna")
    rename(shop, bob, "Bobby")
    wait_for("others go on", lambda: name_in(shop, of_bob) == "Bobby")
    wait_for("both are parked", lambda: [one["events"] for one in keys(shop)] == [2])
    (key,) = keys(shop)
    assert (key["service"], key["source"], key["key"], key["attempts"]) == ("orders", "users", str(ann), 5)
    assert key["error"] == WHY and name_in(shop, of_ann) == "Ann"
    words = ("orders", "users", str(ann))
    # It is shown everywhere.
    (subscription,) = [one for one in shop.state_of("orders")["subscriptions"]
                       if one["source"] == "users"]
    assert subscription["parked"]["events"] == 2 and subscription["depth"] >= 2 and subscription["lag_ms"] > 0
    metrics = shop.call("orders", "GET", "/metrics").body
    assert 'freehold_parked_keys{source="users"} 1' in metrics
    assert 'freehold_parked_events{source="users"} 2' in metrics
    assert WHY in parked(shop, "list").stdout
    assert "waits for" in parked(shop, "show", *words).stdout
    shown = json.loads(parked(shop, "show", *words, "--json").stdout)
    assert [one["event"]["data"]["name"] for one in shown["events"]] == ["[personal]"] * 2
    assert [one["event"]["data"]["id"] for one in shown["events"]] == [ann] * 2
    # Nothing has changed, so a retry fails; the order of its events is kept.
    assert WHY in parked(shop, "retry", *words, code=1).stdout
    assert name_in(shop, of_ann) == "Ann" and keys(shop)[0]["attempts"] == 6
    # Dropping is confirmed, and the log says what it was.
    assert "--yes" in parked(shop, "drop", *words, code=2).stderr
    assert "1 wait" in parked(shop, "drop", *words, "--yes").stdout
    assert "drops the parked event UserUpdated" in (pathlib.Path(shop.state) / "orders" / "log").read_text()
    assert "1 applied, 0 left" in parked(shop, "retry", "orders").stdout
    assert name_in(shop, of_ann) == "Anna" and keys(shop) == []


def test_a_person_changes_what_a_handler_can_not_bear(shop, tmp_path):
    user, lamp = new_user(shop, "Dora"), new_product(shop, 50)
    order = ended(shop, place(shop, user, (lamp, 1)))
    rename(shop, user, "poison")
    rename(shop, user, "Dorothea")
    wait_for("both are parked", lambda: [one["events"] for one in keys(shop)] == [2])
    words = ("edit", "orders", "users", str(user))
    # What can't be such an event is refused with its place, and changes nothing.
    for data, said in ((f'{{"id": {user}, "name": 7}}', "/name: expected a string, found an integer"),
                       (f'{{"id": {user}, "name": "a", "age": 7}}', "/age: "), ("[]", "JSON object")):
        assert said in parked(shop, *words, "--data", data, code=1).stderr
    assert "--data: " in parked(shop, *words, "--data", "{", code=2).stderr
    assert "--data" in parked(shop, *words, code=2).stderr  # no terminal to edit at
    assert keys(shop)[0]["attempts"] == 5
    # Another name that is no better stays, with what was there before.
    file = tmp_path / "data.json"
    file.write_text(json.dumps({"id": user, "name": "poison"}))
    assert WHY in parked(shop, *words, "--data", f"@{file}", code=1).stdout
    shown = json.loads(parked(shop, "show", *words[1:], "--json").stdout)["events"]
    assert shown[0]["edits"][0]["before"]["name"] == "[personal]" and shown[0]["edits"][0]["by"]
    assert "changed by" in parked(shop, "show", *words[1:]).stdout and "edits" not in shown[1]
    # In an editor, at a terminal.
    mend = tmp_path / "mend"
    mend.write_text("#!/bin/sh\ngrep -q personal \"$1\" && test \"$(stat -c %a \"$1\")\" = 600 &&"
                    " sed -i 's/.personal./Doris/' \"$1\"\n")
    mend.chmod(0o755)
    terminal, theirs = pty.openpty()
    environment = {**os.environ, "EDITOR": str(mend), "VISUAL": "", "TMPDIR": str(tmp_path)}
    done = subprocess.run([FREEHOLD, "parked", *words, "--state", shop.state], stdin=theirs, env=environment,
                          capture_output=True, text=True, timeout=120, check=False)
    os.close(theirs)
    os.close(terminal)
    assert done.returncode == 0 and "2 applied, 0 left" in done.stdout, done
    assert name_in(shop, order) == "Dorothea" and keys(shop) == []
    assert not list(tmp_path.glob("freehold-parked-*"))
    log = (pathlib.Path(shop.state) / "orders" / "log").read_text()
    assert "changes the data of the parked event UserUpdated" in log


TRICKY = "\x1b[31m closed \x1b]0;owned\x07 50% & co {error}"


def park(shop, *names):
    """A user and an order of each, whose events are parked: one that fails, and one behind it."""
    lamp = new_product(shop, 50)
    users = [new_user(shop, name) for name in names]
    orders = [ended(shop, place(shop, user, (lamp, 1))) for user in users]
    for user in users:
        rename(shop, user, "poison")
        rename(shop, user, f"after {user}")
    wait_for("all are parked", lambda: {(one["key"], one["events"]) for one in keys(shop)} >=
             {(str(user), 2) for user in users})
    return users, orders


def acts(shop, what):
    lines = (pathlib.Path(shop.state) / "audit.log").read_text().splitlines()
    return [act for act in map(json.loads, lines) if act.get("what") == what]


def test_many_are_chosen_by_type_error_and_age(shop):
    users, orders = park(shop, "Eve", "Fay", "Gus", "Hal")
    of = {str(user): order for user, order in zip(users, orders)}
    # An error of another's making, as far as a terminal and a query are concerned.
    tricky = {"source": "users", "key": str(users[0]), "id": "x", "attempts": 5}
    assert shop.call("orders", "POST", "/_freehold/parked/retry", {"keys": [tricky] * 33}).status == 400
    assert shop.call("orders", "POST", "/_freehold/parked/drop", {"keys": {}}).status == 400
    (told,) = shop.call("orders", "POST", "/_freehold/parked/drop", {"keys": [tricky]}).body["keys"]
    assert told["changed"] is True
    for query in ("before_ms=x", "after_source=users", "after_position=-1", "after_ms=1.5"):
        assert shop.call("orders", "GET", f"/_freehold/parked/matching?{query}").status == 400, query
    # What matches nothing, in any way, says so and does nothing.
    for words in (("--type", "UserMoved"), ("--error", TRICKY), ("--older", "2h"), ("--newer", "0s")):
        assert "None of the 4 keys" in parked(shop, "retry", "orders", *words).stdout
        assert json.loads(parked(shop, "drop", "orders", *words, "--json", "--yes").stdout)["matched"] == 0
    assert parked(shop, "list", "orders", "--type", "UserMoved").stdout == "Nothing is parked.\n"
    assert len(json.loads(parked(shop, "list", "--error", "bearable", "--json").stdout)["parked"]) == 4
    before = len(acts(shop, "parked drop"))
    # Looking beforehand changes nothing, and is no act.
    dry = json.loads(parked(shop, "drop", "orders", "users", "--type", "UserUpdated", "--error", WHY, "--newer", "1d",
                            "--older", "0s", "--all", "--dry-run", "--json").stdout)
    assert (dry["matched"], dry["events"]) == (4, 8) and {one["key"] for one in dry["keys"]} == of.keys()
    assert "4 events of these 4 keys would be dropped" in parked(shop, "drop", "orders", "--error", "bearable",
                                                                 "--dry-run").stdout
    assert len(acts(shop, "parked drop")) == before and len(keys(shop)) == 4
    # A retry goes on after each key that fails again.
    done = parked(shop, "retry", "orders", "--type", "UserUpdated", code=1)
    assert "0 went through, 4 are parked again" in done.stdout and done.stdout.count(WHY) == 4
    assert {one["attempts"] for one in keys(shop)} == {6}
    # Dropping many is confirmed; the first of each goes, and the others wait in their order.
    assert "--yes" in parked(shop, "drop", "orders", "--error", "bearable", code=2).stderr
    assert "--all" in parked(shop, "drop", "orders", "--yes", code=2).stderr
    done = parked(shop, "drop", "orders", "--error", "bearable", "--yes")
    assert "4 events dropped" in done.stdout and "4 events wait for their retry" in done.stdout
    done = json.loads(parked(shop, "retry", "orders", "--json").stdout)
    assert (done["matched"], done["through"], done["applied"], done["parked"], done["untried"]) == (4, 4, 4, 0, 0)
    assert keys(shop) == [] and all(name_in(shop, order) == f"after {user}" for user, order in of.items())
    assert parked(shop, "retry", "orders").stdout == "Nothing is parked.\n"
    # All of it is in the audit log: what was meant, and which keys.
    whole, batch = acts(shop, "parked drop")[-2:]
    assert whole["with"] == {"error": "bearable", "all": False, "matched": 4} and whole["service"] == "orders"
    assert {one["key"] for one in batch["with"]["keys"]} == of.keys() and "attempts" not in batch["with"]["keys"][0]
    assert "parked drop" in shop.command("audit", "--state", shop.state).stdout
    assert shop.command("audit", "--unfinished", "--json", "--state", shop.state, check=False).returncode == 0


def test_all_of_many_is_dropped_and_a_key_is_free_again(shop):
    users, orders = park(shop, "Ida", "Jon")
    done = json.loads(parked(shop, "drop", "orders", "--all", "--yes", "--json").stdout)
    assert (done["dropped"], done["left"], done["changed"]) == (4, 0, 0) and keys(shop) == []
    for user, order in zip(users, orders):
        rename(shop, user, f"new {user}")
        wait_for("its events are applied", lambda: name_in(shop, order) == f"new {user}")


def test_a_mended_program_applies_what_was_parked_when_it_starts(shop, source):
    user, lamp = new_user(shop, "Cleo"), new_product(shop, 50)
    order = ended(shop, place(shop, user, (lamp, 1)))
    rename(shop, user, "poison")
    wait_for("it is parked", lambda: keys(shop))
    (source / "orders" / "migrations" / "0091_mended.sql").write_text(MENDED)
    shop.command("upgrade", "orders", "--state", shop.state)  # a mere restart keeps the schema
    wait_for("it is applied", lambda: keys(shop) == [])
    assert name_in(shop, order) == "poison"


@pytest.mark.parametrize("words, code", [
    (("eat",), 2), (("show", "orders"), 2), (("list", "--yes"), 2), (("list", "order"), 2),
    (("show", "orders", "users", "none"), 1), (("retry", "orders", "users", "none"), 1),
    (("drop", "orders", "users", "none", "--yes"), 1), (("edit", "orders", "users", "none", "--data", "{}"), 1),
    (("edit", "orders", "users"), 2), (("edit", "orders", "users", "none", "--yes"), 2),
    (("show", "orders", "users", "none", "--data", "{}"), 2),
    (("retry", "orders", "--older", "2"), 2), (("retry", "orders", "--newer", "-1h"), 2),
    (("retry", "orders", "--type", ""), 2), (("drop", "orders"), 2), (("drop", "orders", "users", "--yes"), 2),
    (("show", "orders", "users", "1", "--type", "T"), 2), (("retry", "orders", "users", "1", "--type", "T"), 2),
    (("list", "--dry-run"), 2), (("drop", "orders", "users", "1", "--dry-run"), 2), (("retry", "orders", "--yes"), 2)])
def test_wrong_arguments_are_distinguished_from_what_is_not_there(shop, words, code):
    assert parked(shop, *words, code=code).stderr


def test_operators_routes_are_for_operators_and_refuse_nonsense(shop):
    assert shop.http("GET", "/_freehold/parked").status == 404  # the gateway has no such path
    for path in ("/_freehold/parked/retry", "/_freehold/parked/drop", "/_freehold/parked/edit",
                 "/_freehold/saga/retry"):
        for body in ([], {"source": 1}, {"key": "1"}, {"id": "x"}):
            assert shop.call("orders", "POST", path, body).status == 400, (path, body)
    sound = {"source": "users", "key": "1", "data": {}}
    for wrong in ({"data": None}, {"data": 7}, {"position": 0}, {"position": "x"}, {"by": 7}, {"by": "x" * 65}):
        answer = shop.call("orders", "POST", "/_freehold/parked/edit", {**sound, **wrong})
        assert answer.status == (404 if "data" in wrong else 400), (wrong, answer.body)
    assert shop.call("orders", "POST", "/_freehold/parked/edit", sound).status == 404  # nothing is parked
    assert shop.call("orders", "GET", "/_freehold/parked?key=1").status == 400
    assert shop.call("orders", "GET", "/_freehold/saga?id=999999").status == 404  # of this number
    assert shop.call("orders", "GET", "/_freehold/saga?id=1x").status == 400
    assert shop.call("orders", "GET", "/_freehold/saga?id=x.1").status == 404
    assert shop.call("orders", "GET", "/_freehold/sagas?status=ended").status == 400


def saga(shop, *arguments, code=0):
    done = shop.command("saga", *arguments, "--state", shop.state, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def sagas(shop):
    return json.loads(saga(shop, "list", "--json"))["sagas"]


def test_a_saga_explains_its_state_in_one_sentence(shop):
    user, lamp = new_user(shop), new_product(shop, 50)
    wait_for("all is at rest", lambda: sagas(shop) == [])
    with held(shop, "payments"):
        order = shop.http("POST", "/api/orders", order_body(user, (lamp, 1)))
        assert order.status == 202
        (one,) = wait_for("it is at the payment",
                          lambda: [one for one in json.loads(saga(shop, "list", "orders", "--json"))["sagas"]
                                   if one["step"] == "charge"])
        assert one["why"] == "It is at step charge, 1 of its 1 requests to payments not settled."
        assert one["why"] in saga(shop, "show", "orders", one["id"])
        shown = json.loads(saga(shop, "show", "orders", one["id"], "--json"))
        assert [step["state"] for step in shown["steps"] if step["step"] == "reserve"] == ["done"]
        saga(shop, "retry", "orders", one["id"], code=1)  # it is not parked
    wait_for("it ends", lambda: sagas(shop) == [])
    assert "All its steps are done." in saga(shop, "show", "orders", one["id"])
    saga(shop, "show", "orders", code=2)
