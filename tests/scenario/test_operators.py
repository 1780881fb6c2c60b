# SPDX-License-Identifier: Apache-2.0
"""What operators see and do in a running shop: traces, events, sagas."""

import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import termios

import pytest

from conftest import FREEHOLD, wait_for
from terminal import assert_fits, on_terminal
from test_shop import SHOP, ended, new_product, new_user, order_body, place, stock

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def shop(start):
    return start(SHOP / "freehold.yaml")


def run(shop, *arguments, code=0):
    done = shop.command(*arguments, "--state", shop.state, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


# ---- trace -------------------------------------------------------------------------------------


def test_a_request_is_followed_through_all_services(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    answer = shop.http("POST", "/api/orders", order_body(user, (lamp, 1)), {"traceparent": PARENT})
    assert answer.status == 202
    ended(shop, answer.body["id"])
    confirmed = wait_for("the last step", lambda: [
        span for span in json.loads(run(shop, "trace", TRACE, "--json"))["traces"][0]["spans"]
        if span["what"] == "count" and span["status"] == 204])
    wait_for("nothing more comes to it", shop.at_rest)
    (told,) = json.loads(run(shop, "trace", TRACE, "--json"))["traces"]
    spans = told["spans"]
    (door,) = [span for span in spans if span["in"] == "gateway" and span["what"] == "POST"]
    assert (door["where"], door["status"], door["parent"]) == ("/api/orders", 202, "00f067aa0ba902b7")
    (root,) = [span for span in spans if span["kind"] == "request" and span["in"] == "orders" and
               span["what"] == "POST"]
    assert (root["where"], root["status"], root["parent"]) == ("/api/orders", 202, door["span"])
    assert door["at_us"] <= root["at_us"] and root["took_us"] <= door["took_us"]
    below = {(span["kind"], span["what"], span["in"]) for span in spans if span["parent"] == root["span"]}
    assert {("ask", "GET", "orders"), ("published", "OrderCreated", "orders"), ("step", "reserve", "orders"),
            ("step", "charge", "orders"), ("handler", "confirm", "orders"), ("step", "count", "orders")} <= below
    # Each step's request at its receiver is below the step, within its time.
    (received,) = [span for span in spans if span["parent"] == confirmed[0]["span"]]
    assert (received["in"], received["status"]) == ("users", 204)
    assert confirmed[0]["at_us"] <= received["at_us"]
    assert received["at_us"] + received["took_us"] <= confirmed[0]["at_us"] + confirmed[0]["took_us"]
    assert {span["in"] for span in spans} >= {"orders", "users", "products", "payments"}
    # The same by the order's id and by the traceparent, and as a tree.
    order = str(answer.body["id"])
    assert TRACE in [one["trace"] for one in json.loads(run(shop, "trace", order, "--json"))["traces"]]
    tree = run(shop, "trace", PARENT)
    lines = tree.splitlines()
    assert lines[0].startswith(f"trace {TRACE}: {len(spans)} parts in ")
    place_of = {words: next(i for i, line in enumerate(lines) if words in line)
                for words in ("POST /api/orders: 202", "step charge at payments", "POST /api/payments: 201")}
    depth = {words: len(lines[i].split("  ", 1)[1]) - len(lines[i].split(words)[1]) - len(words)
             for words, i in place_of.items()}
    assert list(place_of.values()) == sorted(place_of.values())
    assert depth["POST /api/orders: 202"] < depth["step charge at payments"] < depth["POST /api/payments: 201"]
    assert len(lines) == len(spans) + 2  # each part once


def test_what_was_done_is_remembered_across_restarts(shop):
    def spans():
        return {(span["in"], span["kind"], span["what"], span["at_us"])
                for span in json.loads(run(shop, "trace", TRACE, "--json"))["traces"][0]["spans"]}
    before, status = spans(), shop.status()
    pids = {name: one["pid"] for name, one in {**shop.services(), "gateway": status["gateway"]}.items()}
    for name in ("orders", "gateway"):
        os.kill(pids[name], signal.SIGKILL)
    wait_for("they are back", lambda: shop.services()["orders"]["ready"] and shop.status()["gateway"]["ready"] and
             shop.services()["orders"]["pid"] != pids["orders"] and
             shop.status()["gateway"]["pid"] != pids["gateway"])
    assert before <= spans() and {one[0] for one in before} >= {"gateway", "orders", "users"}


def test_an_event_is_in_the_trace_of_the_request_that_published_it(shop):
    user = new_user(shop)
    trace = "a" * 32
    shop.http("PATCH", f"/api/users/{user}", {"name": "Grace"}, {"traceparent": f"00-{trace}-{'b' * 16}-00"})
    heard = wait_for("orders heard it", lambda: [
        span for one in json.loads(run(shop, "trace", trace, "--json"))["traces"] for span in one["spans"]
        if span["kind"] == "heard" and span["in"] == "orders"])
    assert (heard[0]["what"], heard[0]["service"], heard[0]["key"]) == ("UserUpdated", "users", str(user))
    assert f"applies UserUpdated {user} of users: done" in run(shop, "trace", trace)


def test_an_undone_saga_shows_its_way_back(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    trace = "c" * 32
    answer = shop.http("POST", "/api/orders", order_body(user, (lamp, 1), token="tok_declined"),
                       {"traceparent": f"00-{trace}-{'d' * 16}-00"})
    ended(shop, answer.body["id"])
    tree = run(shop, "trace", trace)
    for words in ("step charge at payments, /api/payments: 402", "undo charge at payments", "undo reserve at inventory",
                  "runs undone: done", f"publishes OrderCancelled {answer.body['id']}"):
        assert words in tree, tree


def test_what_is_observed_fits_into_80_columns(shop):
    user, lamp = new_user(shop), new_product(shop, 10)
    trace = "e" * 32
    answer = shop.http("POST", "/api/orders", order_body(user, (lamp, 1), token="tok_declined"),
                       {"traceparent": f"00-{trace}-{'d' * 16}-00"})
    ended(shop, answer.body["id"])
    subject = "a-product-whose-own-key-is-as-long-as-keys-of-products-may-well-be-abroad"
    shop.http("PATCH", f"/api/products/{lamp}", {"name": subject})
    state = ("--state", shop.state)
    for words, expected in ((("trace", trace, *state), "undo charge at payments"),
                            (("events", "tail", "products", *state), '{"'),
                            (("logs", *state), "orders"),
                            (("migrate", "plan", "--file", shop.file, *state), "0 to apply"),
                            (("migrate", "state", "--file", shop.file, *state), "applied"),
                            (("personal", "map", shop.file), "answered by"),
                            (("saga", "list", "orders", "--ended", *state), "undone"),
                            (("saga", "show", "orders", f"id={answer.body['id']}", *state), "is undone.")):
        lines = on_terminal([str(word) for word in words], shop.state)
        assert expected in " ".join(" ".join(lines).split()), lines
        # A path of this machine or a saga's input may be longer than any line, and is not cut.
        assert_fits([line for line in lines if not re.search(r"/\S{59}|^input ", line)])


def test_what_nobody_remembers_is_reported_as_such(shop):
    assert "no process remembers anything of 'nothing'" in run(shop, "trace", "nothing", code=1)
    assert "no process remembers anything of" in run(shop, "trace", "0" * 32, code=1)


@pytest.mark.parametrize("query", ["", "?trace=1", "?trace=&key=", "?trace=" + "a" * 32 + "&key=1"])
def test_a_wrong_question_for_spans_is_refused(shop, query):
    assert shop.call("orders", "GET", "/_freehold/spans" + query).status == 400


def test_spans_are_for_operators_only(shop):
    assert shop.http("GET", "/_freehold/spans?key=1").status == 404  # the gateway has no such path


# ---- events ------------------------------------------------------------------------------------


def events(shop, *arguments):
    return [json.loads(line) for line in run(shop, "events", *arguments, "--json").splitlines()]


def test_events_are_shown_as_they_were_published(shop):
    lamp = new_product(shop)
    for name in ("One", "Two", "Three"):
        shop.http("PATCH", f"/api/products/{lamp}", {"name": name})
    mine = events(shop, "tail", "products", "--key", str(lamp))
    assert [(one["type"], one["data"]["name"]) for one in mine] == [
        ("ProductCreated", "Lamp"), ("ProductUpdated", "One"), ("ProductUpdated", "Two"), ("ProductUpdated", "Three")]
    assert [one["data"]["name"] for one in events(shop, "tail", "products", "--count", "2")] == ["Two", "Three"]
    (shown,) = events(shop, "show", "products", str(mine[1]["position"]))
    assert shown == mine[1] and shown["specversion"] == "1.0"
    assert events(shop, "show", "products", "--key", str(lamp)) == mine
    assert json.loads(run(shop, "events", "show", "products", str(mine[0]["position"]))) == mine[0]
    (counted,) = events(shop, "count", "products", "--key", str(lamp))
    assert counted["types"] == {"ProductCreated": 1, "ProductUpdated": 3}
    assert counted["events"] == 4 and counted["last"] >= 4
    assert events(shop, "count", "products", "--type", "ProductDeleted", "--key", str(lamp))[0]["events"] == 0
    line = run(shop, "events", "tail", "products", "--count", "1").split()
    assert line[0] == str(mine[3]["position"]) and line[2] == "ProductUpdated" and '"Three"' in " ".join(line)


def test_a_tail_has_as_many_events_as_are_requested(shop):
    """Sagas take positions, too: the last six of orders are not six events."""
    user, lamp = new_user(shop), new_product(shop, 10)
    for _ in range(3):
        ended(shop, shop.http("POST", "/api/orders", order_body(user, (lamp, 1))).body["id"])
    all_of_them = events(shop, "tail", "orders", "--count", "100000")
    for count in (1, 2, 6):
        assert events(shop, "tail", "orders", "--count", str(count)) == all_of_them[-count:]
    created = [one for one in all_of_them if one["type"] == "OrderCreated"]
    assert events(shop, "tail", "orders", "--type", "OrderCreated", "--count", "3") == created[-3:]
    assert len(events(shop, "tail", "orders", "--count", "0")) == 0


def test_a_tail_goes_on(shop, tmp_path):
    user = new_user(shop)
    with open(tmp_path / "out", "w", encoding="utf-8") as out:
        following = subprocess.Popen([FREEHOLD, "events", "tail", "users", "-f", "--count", "0", "--json", "--state",
                                      shop.state], stdout=out)
    try:
        names = iter(range(1000))

        def heard():
            shop.http("PATCH", f"/api/users/{user}", {"name": f"Name {next(names)}"})
            return (tmp_path / "out").read_text().count("UserUpdated") >= 3

        wait_for("three of them", heard)
    finally:
        following.terminate()
        following.wait(timeout=120)
    told = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    positions = [one["position"] for one in told]
    assert positions == sorted(set(positions))


@pytest.mark.parametrize("arguments, code, expected", [
    (["tail", "usres"], 2, "did you mean 'users'?"),
    (["tial", "users"], 2, "did you mean 'tail'?"),
    (["tail", "users", "--count", "-1"], 2, "is not a number"),
    (["show", "users", "0"], 2, "is not the position of an event"),
    (["show", "users"], 2, "usage: freehold events show SERVICE POSITION"),
    (["show", "users", "999999"], 1, "users has no such event at 999999"),
    (["count", "users", "3"], 2, "usage: freehold events count SERVICE"),
    (["count", "users", "--type", "UserUpdatd"], 2,
     "UserUpdated, UserDeleted; did you mean 'UserUpdated'?"),
    (["tail", "orders", "--type", "nothing-like-it"], 2, "orders publishes no 'nothing-like-it', but OrderCreated, "),
])
def test_a_wrong_question_for_events_is_refused(shop, arguments, code, expected):
    assert expected in run(shop, "events", *arguments, code=code)


@pytest.mark.parametrize("query", ["?after=-1", "?after=x", "?limit=0", "?limit=1001", "?counts=2", "?after=1&after=2"])
def test_a_wrong_query_for_events_is_refused(shop, query):
    assert shop.call("users", "GET", "/_freehold/events" + query).status == 400


# ---- status ------------------------------------------------------------------------------------


def test_status_is_live_on_a_terminal_and_ends_in_order(shop):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    watching = subprocess.Popen([FREEHOLD, "status", "--state", shop.state], stdout=theirs, stderr=theirs,
                                env=dict(os.environ, TERM="xterm"))
    os.close(theirs)
    said = b""
    os.set_blocking(ours, False)

    def read():
        nonlocal said
        try:
            while chunk := os.read(ours, 65536):
                said += chunk
        except OSError:  # nothing now, or it has ended
            pass
        return said

    try:
        wait_for("it is drawn twice", lambda: read().count(b"\033[H\033[J") >= 2)
        watching.send_signal(signal.SIGINT)
        wait_for("it has ended", lambda: read() and watching.poll() is not None)
        assert watching.returncode == 0
    finally:
        watching.kill()
        watching.wait(timeout=120)
    screen, rest = read().split(b"\033[?25h\033[?7h\033[?1049l")
    assert screen.startswith(b"\033[?1049h\033[?7l") and b"Ctrl-C ends this." in screen
    assert b"users" in rest and b"Ctrl-C" not in rest  # the last status stays
    os.close(ours)


def test_status_is_printed_once_elsewhere(shop):
    said = run(shop, "status")
    assert said.count("SERVICE") == 1 and "\033" not in said


# ---- sagas -------------------------------------------------------------------------------------

# A user may have one order: the saga's last step, after its pivot, is refused for the second one.
ONE_ORDER = """CREATE TABLE counted (orders INTEGER CONSTRAINT one_order CHECK (orders < 2));
CREATE TRIGGER one_order BEFORE UPDATE OF order_count ON users
BEGIN INSERT INTO counted VALUES (NEW.order_count); END;
"""


@pytest.fixture(scope="module")
def strict(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("strict") / "shop"
    shutil.copytree(SHOP, folder)
    (folder / "users" / "migrations" / "0090_one_order.sql").write_text(ONE_ORDER)
    return start(folder / "freehold.yaml")


def parked_saga(strict):
    """(order, product, id) of a saga that is parked at its last step."""
    user, lamp = new_user(strict), new_product(strict, 10)
    ended(strict, place(strict, user, (lamp, 1)))
    order = place(strict, user, (lamp, 2))
    (saga,) = wait_for("it is parked", lambda: json.loads(
        run(strict, "saga", "list", "--status", "parked", "--json"))["sagas"])
    assert saga["step"] == "count" and "comes after the pivot and was refused" in saga["why"]
    return order, lamp, saga["id"]


def saga(strict, identity):
    return json.loads(run(strict, "saga", "show", "orders", identity, "--json"))


def test_a_step_that_an_operator_has_settled_is_skipped(strict):
    order, lamp, identity = parked_saga(strict)
    assert "confirm it with --yes" in run(strict, "saga", "skip", "orders", identity, code=2)
    assert saga(strict, identity)["status"] == "parked"
    assert f"{identity} goes on" in run(strict, "saga", "skip", "orders", identity, "--yes")
    wait_for("it has ended", lambda: saga(strict, identity)["status"] == "ended")
    assert strict.http("GET", f"/api/orders/{order}").body["status"] == "CONFIRMED" and stock(strict, lamp) == 7
    assert "is not parked" in run(strict, "saga", "skip", "orders", identity, "--yes", code=1)


def test_a_parked_saga_is_taken_back(strict):
    order, lamp, identity = parked_saga(strict)
    assert f"{identity} goes back" in run(strict, "saga", "compensate", "orders", identity, "--yes")
    shown = wait_for("it is undone", lambda: [one for one in [saga(strict, identity)] if one["status"] == "undone"])
    assert {step["step"]: step["state"] for step in shown[0]["steps"]}["charge"] == "undone"
    assert strict.http("GET", f"/api/orders/{order}").body["status"] == "CANCELLED" and stock(strict, lamp) == 9
    assert "is not parked" in run(strict, "saga", "compensate", "orders", identity, "--yes", code=1)


def test_a_parked_saga_is_abandoned_with_its_reason_and_closed_at_its_receivers(strict):
    order, lamp, identity = parked_saga(strict)
    words = ("saga", "abandon", "orders", identity)
    assert "--why TEXT" in run(strict, *words, "--yes", code=2)
    assert "confirm it with --yes" in run(strict, *words, "--why", "a double order", code=2)
    said = run(strict, *words, "--why", "a double order", "--yes")
    assert f"{identity} is abandoned. It was given up by " in said and "(a double order)" in said
    # All but the count that was refused stays.
    shown = saga(strict, identity)
    assert shown["status"] == "abandoned" and "4 of its 5 steps and elements" in shown["why"], shown
    assert run(strict, "saga", "list", "orders", "--json").count(identity) == 0
    assert strict.http("GET", f"/api/orders/{order}").body["status"] == "CONFIRMED" and stock(strict, lamp) == 7
    for word in (("retry",), ("skip", "--yes"), ("compensate", "--yes"), ("abandon", "--why", "x", "--yes")):
        assert "is not parked; it is abandoned" in run(strict, "saga", word[0], "orders", identity, *word[1:], code=1)
    state = strict.state_of("orders")["sagas"]
    assert (state["parked"], state["abandoned"]) == (0, 1)
    assert 'freehold_sagas{status="abandoned"} 1' in strict.call("orders", "GET", "/metrics").body
    # Receivers no longer keep a record of it: late messages of it are refused for ever.
    number = int(identity.rsplit(".", 1)[1])
    store = pathlib.Path(strict.state) / "payments" / "store.db"
    wait_for("payments has forgotten it", lambda: sqlite3.connect(f"file:{store}?mode=ro", uri=True).execute(
        "SELECT count(*) FROM fh_command WHERE caller = 'orders' AND number = ?", [number]).fetchone() == (0,))
    before = strict.pid("orders")
    os.kill(before, signal.SIGKILL)
    wait_for("it is back", lambda: (one := strict.services()["orders"])["ready"] and one["pid"] != before)
    assert saga(strict, identity)["status"] == "abandoned"


@pytest.mark.parametrize("words, code, expected", [
    (["skp", "orders", "x"], 2, "did you mean 'skip'?"),
    (["skip", "orders"], 2, "usage: freehold saga skip SERVICE ID"),
    (["retry", "orders", "x", "--yes"], 2, "only skip, compensate and abandon take --yes"),
    (["compensate", "orders", "nonsense", "--yes"], 1, "orders: "),
    (["abandon", "orders", "nonsense", "--yes", "--why", "x"], 1, "orders: "),
    (["abandon", "orders", "x.1", "--yes", "--why", "x" * 224], 1, "orders: Say `why`"),
    (["skip", "orders", "x.1", "--yes", "--why", "x"], 2, "only abandon takes --why"),
])
def test_a_wrong_order_for_a_saga_is_refused(strict, words, code, expected):
    assert expected in run(strict, "saga", *words, code=code)
