# SPDX-License-Identifier: Apache-2.0
"""Every kind of work that goes over links, once: how a bed does it, and what must be true afterwards.

A kind's `run(bed, name)` does it under one name, as a client or an operator would who repeats what has a key until it
is answered, and gives back what must be found: bounds for what is counted under the name at the desk. What follows from
these at the shelf and in the outbox is the same for all kinds (`wrong`)."""

import asyncio
import json
import time

from bed import Service, ask

PATIENCE_S = 120
BATCH = 5
AT_ONCE = 4


class Wrong(AssertionError):
    pass


async def until_answered(bed, path, body, key):
    """Like a good client: repeats the request under its key until it is answered."""
    until, pause_s = time.monotonic() + PATIENCE_S, 0.05
    while True:
        answer = await ask(bed.door, "POST", path, body, key=key)
        if answer and answer.status < 500:
            return answer
        if time.monotonic() > until:
            raise Wrong(f"POST {path} was not answered within {PATIENCE_S} s, but with {answer}")
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.5)


async def keyed(bed, name, path, body, status, what):
    answer = await until_answered(bed, path, body, name)
    if answer.status != status:
        raise Wrong(f"POST {path} was answered with {answer}")

    async def again():
        """Gets the same answer, and nothing is done."""
        repeated = await until_answered(bed, path, body, name)
        if (repeated.status, repeated.body) != (answer.status, answer.body):
            raise Wrong(f"POST {path} was answered with {answer}, and under the same key with {repeated}")
    return {what: (1, 1)}, again


async def make_keyed(bed, name):
    return await keyed(bed, name, "/api/items", {"name": name}, 201, "made")


async def make_several(bed, name):
    return await keyed(bed, name, "/api/batches", {"name": name, "count": BATCH}, 201, "made several")


async def note(bed, name):
    return await keyed(bed, name, "/api/notes", {"name": name}, 201, "noted")


async def deal(bed, name):
    return await keyed(bed, name, "/api/deals", {"name": name, "refuse": 0}, 202, "begun")


async def refused_deal(bed, name):
    return await keyed(bed, name, "/api/deals", {"name": name, "refuse": 1}, 202, "begun")


def bounds(answers):
    """Of units of work without a key, each requested once: an answer that it is done is right, and so is one that it is
    not; only after no answer, or one that nobody knows, may either be found."""
    done = sum(bool(one) and one.status == 201 for one in answers)
    unknown = sum(one is None or one.status == 503 and "unknown" in json.dumps(one.body) for one in answers)
    refused = [one for one in answers if one and one.status not in (201, 503)]
    if refused:
        raise Wrong(f"POST /api/items was answered with {refused}")
    return {"made": (done, done + unknown)}


async def make(bed, name):
    return bounds([await ask(bed.door, "POST", "/api/items", {"name": name})]), None


async def make_together(bed, name):
    """Units of work of one statement, which may share a transaction."""
    return bounds(await asyncio.gather(*(ask(bed.door, "POST", "/api/items", {"name": name})
                                         for _ in range(AT_ONCE)))), None


async def begin_anew(bed, name):
    """The shelf's next request to the feed is answered 409: it takes over what the desk has."""
    text = b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
    bed.sabotage("shelf>desk", ("GET /_freehold/feed",), "answer", text)
    found = await make_keyed(bed, name)
    await bed.until("the shelf was told 409", bed.sabotaged)
    return found


async def back_up(bed, name):
    """Done, or reported as failed; the next one is done."""
    until = time.monotonic() + PATIENCE_S
    path = bed.folder / "desk" / "backup.json"
    while True:
        path.unlink(missing_ok=True)
        answer = await ask(bed.ports["desk"], "POST", "/_freehold/backup", {"id": name}, headers=["Freehold-From: operator"])
        if answer and answer.status >= 300 and answer.status not in (409, 503):
            raise Wrong(f"a backup was answered with {answer}")
        told, told_until = {}, time.monotonic() + 15
        while told.get("state") not in ("done", "failed") and time.monotonic() < told_until and answer:
            await asyncio.sleep(0.02)
            told = json.loads(path.read_text()) if path.exists() else {}
        if told.get("state") == "done":
            return {}, None
        if time.monotonic() > until:
            raise Wrong(f"no backup was made within {PATIENCE_S} s: {told}")
        await asyncio.sleep(0.2)


async def begin_again(bed, name):
    """The desk ends in order and begins, with one more migration; then it does its first unit of work."""
    await bed.desk.stop()
    bed.one_more_migration("desk")
    await bed.desk.start()
    return await make_keyed(bed, name)


async def begin_hearing(bed, name):
    """So does the shelf, and gets the events published meanwhile."""
    await bed.shelf.stop()
    bed.one_more_migration("shelf")
    found = await make_keyed(bed, name)
    await bed.shelf.start()
    return found


async def move(bed, name):
    """The desk ends, and begins in another store, to which it moves what it has: what was answered before is there."""
    found = await make_keyed(bed, name)
    await bed.desk.stop()
    await bed.begin_move("desk")
    await bed.desk.start()
    del bed.stores["desk"]["from"]
    return found


async def share(bed, name):
    """A second instance of the shelf comes, takes its part of the leases, and goes."""
    bed.second = Service(bed, "shelf", 1)
    await bed.second.start()
    found = await make_keyed(bed, name)
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    await bed.second.stop()
    bed.second.own.close()
    bed.second = None
    return found


KINDS = {
    "work without a key": make, "work with a key": make_keyed, "works in a group": make_together,
    "batch of events": make_several, "cursor alone": note, "saga": deal, "saga undone": refused_deal,
    "snapshot": begin_anew, "backup": back_up, "start and migration of a publisher": begin_again,
    "start and migration of a subscriber": begin_hearing, "leases": share, "move": move,
}
ON_SERVERS_ALONE = ("leases", "move")


async def wrong(bed, name, expected, began_anew=False):
    """What is not as it must be under this name, or ""."""
    desk, shelf, events = await asyncio.gather(bed.tally("desk", name), bed.tally("shelf", name), bed.events(name))
    if desk is None or shelf is None or events is None:
        return "the stores can't be read"
    for what, (low, high) in expected.items():
        if not low <= desk.get(what, 0) <= high:
            return f"{what} {desk.get(what, 0)} times, and not {low} to {high}: {desk}"
    made = [position for position, kind in events if kind == "Made"]
    if len(made) != desk.get("made", 0) + BATCH * desk.get("made several", 0):
        return f"{desk} with events {events}"
    if sum(kind == "Noted" for _, kind in events) != desk.get("noted", 0):
        return f"{desk} with events {events}"
    heard = {int(what.removeprefix("heard@")): times for what, times in shelf.items() if what.startswith("heard@")}
    if "disorder" in shelf or "gone" in shelf or any(times != 1 for times in heard.values()):
        return f"the shelf heard {shelf} of {events}"
    missing = set(made) - set(heard)
    if set(heard) - set(made) or missing and not shelf.get("taken over"):
        return f"the shelf heard {shelf} of {events}"
    if desk.get("begun"):
        ended, undone = desk.get("ended", 0), desk.get("undone", 0)
        held, released, sent = (shelf.get(what, 0) for what in ("held", "released", "sent"))
        books = {(1, 0): (1, 0, 1), (0, 1): (1, 1, 0)}.get((ended, undone))
        if (held, released, sent) != books and not (undone == 1 and (held, released, sent) == (0, 0, 0)):
            return f"the books do not balance: {desk} {shelf}"
    return ""
