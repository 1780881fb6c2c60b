# SPDX-License-Identifier: Apache-2.0
"""A service that subscribes to what others publish on a broker of theirs: each message takes effect once and in order,
whatever is killed; what can't be read is parked; what the broker has removed, or made anew, is told and never passed
over. docs/guide/sources.md."""

import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess

import pytest
from conftest import FREEHOLD, ROOT, System, open_folder, wait_for
from outside import KafkaTopic, NatsStream, RabbitStreams
from test_bus import existing

PROGRAM = pathlib.Path(FREEHOLD).parent / "tests" / "sources" / "taker"
FILE = """system: sources
gateway: {{ listen: 127.0.0.1:0 }}
services:
  taker: {{ program: {program}, migrations: {migrations}{more} }}
sources:
  legacy: {{ {source} }}
servers:
  theirs: {{ {server} }}
"""
SERVER = "broker: {kind}, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tls: {{ mode: off }}"
SOURCE = "server: theirs, topic: {name}, partitions: {partitions}, type: Counted, empty: Forgotten, generation: {generation}"


class Sources:
    """A system that reads one topic."""

    def __init__(self, topic, folder, more=""):
        self.topic, self.folder, self.generation, self.more = topic, folder, 1, more
        self.file = folder / "freehold.yaml"
        self.write()
        self.system = System(self.file, folder / "state")

    def write(self, **changes):
        source = SOURCE.format(**{**vars(self.topic), "partitions": self.topic.partitions, "generation": self.generation,
                                  **changes})
        server = SERVER.format(kind=self.topic.kind, **self.topic.broker)
        self.file.write_text(FILE.format(program=PROGRAM, migrations=ROOT / "tests" / "sources" / "taker" / "migrations",
                                         source=source, server=server, more=self.more))

    def again(self, between=lambda: None):
        self.system.stop()
        between()
        self.system.up()

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(wait_for("it runs", lambda: self.system.pid("taker")), signal.SIGKILL)

    def taken(self, after=0):
        """All rows behind this one; None: the service is not there now."""
        rows = []
        while True:
            answer = self.system.call("taker", "GET", f"/taken?limit=10000&after={rows[-1]['id'] if rows else after}")
            if answer.status != 200:
                return None
            if not answer.body:
                return rows
            rows += answer.body

    def last(self):
        rows = self.wait("it can be asked", lambda rows: True)
        return rows[-1]["id"] if rows else 0

    def wait(self, what, good, after=0):
        def found():
            rows = self.taken(after)
            return None if rows is None or not good(rows) else (rows, )
        return wait_for(what, found)[0]

    def subscription(self, partition=0):
        found = [one for one in self.system.state_of("taker")["subscriptions"] if one["share"] == str(partition)]
        assert len(found) == 1, found
        return found[0]

    def told(self):
        (source, ) = self.system.state_of("taker")["sources"]
        return source

    def parked(self):
        done = self.system.command("parked", "list", "--json", "--state", self.system.state)
        return {one["key"]: one for one in json.loads(done.stdout)["parked"]}

    def drop(self, key):
        self.system.command("parked", "drop", "taker", "legacy", key, "--yes", "--state", self.system.state)


def counted(partition, numbers):
    return [(f"k{number % 7}", json.dumps({"partition": partition, "number": number})) for number in numbers]


def numbers_of(rows, partition):
    return [row["number"] for row in rows if row["partition"] == partition]


@pytest.fixture(scope="module", params=[KafkaTopic, NatsStream, RabbitStreams], ids=lambda topic: topic.kind)
def sources(request):
    with existing(request.param.kind) as broker:
        folder = open_folder()
        sources = Sources(request.param(broker, folder), folder)
        try:
            sources.system.up()
            yield sources
        finally:
            print(sources.system.logs())
            sources.system.stop(check=False)
            shutil.rmtree(folder, ignore_errors=True)


def test_each_message_takes_effect_once_and_in_order_whatever_is_killed(sources):
    topic, chance = sources.topic, random.Random(1)
    numbers = {partition: iter(range(1_000_000)) for partition in range(topic.partitions)}
    for round in range(6):
        for partition in range(topic.partitions):
            topic.publish(partition, counted(partition, [next(numbers[partition]) for _ in range(chance.randint(20, 200))]))
        if round == 3:
            topic.kill()
        if round < 5:
            sources.kill()
        wait_for("the broker is there", topic.is_back)
        if chance.random() < .5:
            sources.wait("it goes on", lambda rows: True)
    there = {partition: [json.loads(text)["number"] for text in topic.read(partition)] for partition in range(topic.partitions)}
    rows = sources.wait("all are taken", lambda rows: len(rows) >= sum(map(len, there.values())))
    for partition, published in there.items():
        assert published and numbers_of(rows, partition) == published
    assert wait_for("nothing is left", lambda: sources.subscription()["depth"] == 0)
    assert sources.subscription()["position"] == topic.first + len(there[0]) and sources.told()["connected"]
    assert 'freehold_source_lost_total{source="legacy"} 0' in sources.system.call("taker", "GET", "/metrics").body


def test_what_cant_be_read_or_taken_is_parked_and_the_rest_goes_on(sources):
    topic, before = sources.topic, sources.last()
    topic.publish(0, [("a", "{not json"), ("b", '["a list"]'), ("c", json.dumps({"fails": True})), ("d", '{"number": 1}'),
                      ("a", '{"number": 2}'), ("c", '{"number": 3}')])
    if not topic.has_keys:  # then nothing waits for what is parked
        rows = sources.wait("all others are taken", lambda rows: len(rows) == 3, before)
        assert [row["number"] for row in rows] == [1, 2, 3]
        for key in wait_for("three are parked", lambda: (now := sources.parked()) and len(now) == 3 and now):
            assert key.startswith("@0:"), key
            sources.drop(key)
        return
    rows = sources.wait("the good one is taken", lambda rows: any(row["key"] == "d" for row in rows), before)
    parked = wait_for("the others are parked", lambda: (now := sources.parked()).keys() == {"a", "b", "c"} and
                      now["a"]["events"] == now["c"]["events"] == 2 and now)
    assert "JSON" in parked["a"]["error"] and "not a JSON object" in parked["b"]["error"], parked
    assert "can't be taken" in parked["c"]["error"] and [row["key"] for row in rows] == ["d"]
    words = ("taker", "legacy", "a", "--state", sources.system.state)
    shown = json.loads(sources.system.command("parked", "show", *words, "--json").stdout)
    assert shown["events"][0]["event"]["data"]["text"] == "{not json", shown
    assert "JSON" in sources.system.command("parked", "retry", *words, check=False).stdout
    mended = sources.folder / "mended.json"
    mended.write_text('{"number": 20}')
    sources.system.command("parked", "edit", *words, "--data", f"@{mended}")
    for key in ("b", "c"):
        sources.drop(key)
    sources.system.command("parked", "retry", "taker", "legacy", "c", "--state", sources.system.state)
    rows = sources.wait("what waited is taken", lambda rows: len(rows) == 4, before)
    assert [(row["key"], row["number"]) for row in rows] == [("d", 1), ("a", 20), ("a", 2), ("c", 3)]
    assert sources.parked() == {}


def test_what_says_that_it_is_a_cloudevent_maps_itself(sources):
    topic, before = sources.topic, sources.last()
    event = {"specversion": "1.0", "id": "1", "source": "/there", "type": "Counted", "subject": "of-subject"}
    topic.publish(0, [(None, json.dumps({**event, "data": {"number": 1}})),
                      (None, json.dumps({**event, "partitionkey": "of-key", "data": {"number": 2}})),
                      (None, json.dumps({**event, "type": "Unheard", "data": {}})),
                      ("bad", json.dumps({**event, "type": 7, "data": {}}))], content__type="application/cloudevents+json")
    topic.publish(0, [("of-message", '{"number": 3}')], **{topic.attributes + "type": "Counted"})
    rows = sources.wait("all are taken", lambda rows: len(rows) == 3, before)
    own = rows[2]["key"] if not topic.has_keys else "of-message"
    assert [(row["key"], row["number"]) for row in rows] == [("of-subject", 1), ("of-key", 2), (own, 3)]
    (key, parked), = wait_for("the bad one is parked", sources.parked).items()
    assert "has no type" in parked["error"] and (key == "bad") == topic.has_keys, parked
    sources.drop(key)


def test_an_empty_message_is_what_the_file_says(sources):
    if not sources.topic.has_keys:
        pytest.skip("ITS MESSAGES HAVE NO KEYS")
    before = sources.last()
    sources.topic.publish(0, [("gone", "")])
    rows = sources.wait("it is taken", lambda rows: len(rows) == 1, before)
    assert [(row["type"], row["key"]) for row in rows] == [("Forgotten", "gone")]


def test_what_the_broker_removed_before_it_was_read_is_told_and_stays_told(sources):
    topic, before = sources.topic, sources.last()
    if topic.kind == "rabbitmq":
        pytest.skip("ITS MESSAGES GO BY SEGMENTS: test_what_a_stream_removed_before_it_was_read_is_told")
    there = topic.first + len(topic.read(0))
    wait_for("all is read", lambda: sources.subscription()["position"] == there)

    def remove():
        topic.publish(0, counted(0, range(10)))
        topic.remove_before(0, there + 4)
    sources.again(remove)
    rows = sources.wait("what is left is taken", lambda rows: len(rows) == 6, before)
    assert numbers_of(rows, 0) == list(range(4, 10))
    (key, parked), = wait_for("it is parked", sources.parked).items()
    assert key == "@0:lost" and f"messages {there} to {there + 3} of partition 0 are lost" in parked["error"], parked
    assert sources.told()["lost"] == 4
    words = ("taker", "legacy", key, "--state", sources.system.state)
    assert "are lost" in sources.system.command("parked", "retry", *words, check=False).stdout
    sources.again()
    assert sources.parked().keys() == {key}
    sources.drop(key)


def refused(sources):
    return wait_for("it is refused", lambda: (now := sources.subscription())["state"] == "refused" and now)["reason"]


def test_a_topic_that_was_made_anew_is_neither_passed_over_nor_applied_again(sources):
    topic, before = sources.topic, sources.last()
    count = len(topic.read(0)) + (topic.first + 1)
    sources.again(topic.recreate)
    assert "made anew" in refused(sources) or "another one" in refused(sources)
    # As many messages as before, and more.
    sources.again(lambda: topic.publish(0, counted(0, range(count + 30))))
    why = refused(sources)
    assert "made anew" in why or "another one" in why
    assert "sources.legacy.generation to 2" in why and sources.taken(before) == []
    sources.generation = 2
    sources.again(sources.write)
    rows = sources.wait("it has begun anew", lambda rows: len(rows) == count + 30, before)
    assert numbers_of(rows, 0) == list(range(count + 30)) and sources.told()["connected"]


def test_instances_share_its_partitions(sources):
    """On a store that is a server: each partition is one instance's, and another one's when that is killed."""
    topic = sources.topic
    if topic.kind != "kafka" or not shutil.which("psql"):
        pytest.skip("ONE BROKER SAYS IT FOR ALL, OR POSTGRESQL IS NOT INSTALLED")
    folder = open_folder()
    shared = Sources(topic, folder, ", engine: postgresql, instances: 2")
    try:
        shared.system.up()
        before = sum(len(topic.read(partition)) for partition in range(2))
        shared.wait("all that is there is taken", lambda rows: len(rows) >= before)
        for round in range(3):
            for partition in range(2):
                topic.publish(partition, counted(partition, range(100 * round, 100 * round + 100)))
            shared.kill()
        rows = shared.wait("all is taken", lambda rows: len(rows) >= before + 600)
        assert len(rows) == before + 600
        for partition in range(2):
            assert numbers_of(rows, partition)[-300:] == list(range(300))
    finally:
        shared.system.stop(check=False)
        shutil.rmtree(folder, ignore_errors=True)


def test_partitions_that_the_file_does_not_know_are_not_passed_over(sources):
    topic = sources.topic
    if topic.partitions < 2:
        pytest.skip("IT HAS ONE PARTITION")
    for partition in range(topic.partitions):  # also what others were to share
        end = topic.first + len(topic.read(partition))
        assert wait_for("it has read all", lambda: sources.subscription(partition)["position"] >= end)
    before = sources.last()

    def more():
        if topic.kind == "rabbitmq":
            topic.more(16)
        else:
            client = topic.client()
            client.more_partitions(topic.name)
            client.close()
        topic.partitions = 16
        wait_for("they are there", topic.is_back)
        topic.publish(0, counted(0, [1]))
        topic.publish(15, counted(15, [1, 2]))
    sources.again(more)
    said = wait_for("it says so", lambda: (why := sources.told().get("reason", "")) and "partitions" in why and why)
    assert "has 16 partitions" in said and "sources.legacy.partitions is 16" in said
    assert sources.taken(before) == []
    sources.again(sources.write)
    rows = sources.wait("all are read", lambda rows: len(rows) == 3, before)
    assert numbers_of(rows, 0) == [1] and numbers_of(rows, 15) == [1, 2]


def test_what_a_stream_removed_before_it_was_read_is_told(sources):
    """It removes segments, when a new one begins. And a stream of its own is one partition; a queue is none."""
    if sources.topic.kind != "rabbitmq":
        pytest.skip("IT IS NO STREAM")
    folder = open_folder()
    topic = RabbitStreams(sources.topic.broker, folder, "small", **{"x-max-length-bytes": 1_000_000,
                                                                    "x-stream-max-segment-size-bytes": 200_000})
    topic.partitions = 1
    topic.create()
    other = Sources(topic, folder)
    try:
        topic.publish(0, counted(0, range(5)))
        other.system.up()
        other.wait("what is there is taken", lambda rows: numbers_of(rows, 0) == list(range(5)))

        def fill():
            number = 5
            while topic.oldest(0)[0] <= 5:
                topic.publish(0, [(None, json.dumps({"partition": 0, "number": number + i, "padding": "x" * 50_000}))
                                  for i in range(10)])
                number += 10
        other.again(fill)
        oldest, text = topic.oldest(0)
        rows = other.wait("what is left is taken", lambda rows: rows[-1]["number"] == len(topic.read(0)) - 1)
        assert numbers_of(rows, 0) == [*range(5), *range(json.loads(text)["number"], len(topic.texts[0]))]
        (key, parked), = wait_for("it is parked", other.parked).items()
        assert key == "@0:lost" and f"messages 5 to {oldest - 1} of partition 0 are lost" in parked["error"], parked
        with topic.channel() as channel:
            channel.queue_declare("plain", durable=True)
            channel.basic_publish("", "plain", b"{}")
        topic.name = "plain"
        other.generation = 2
        other.again(other.write)
        said = wait_for("it says so", lambda: (why := other.told().get("reason", "")) and "plain" in why and why)
        assert "is no stream" in said or "as a stream" in said
        with topic.channel() as channel:
            assert channel.queue_declare("plain", passive=True).method.message_count == 1, "it is still there"
    finally:
        other.system.stop(check=False)
        shutil.rmtree(folder, ignore_errors=True)


# ---- What is wrong with a file ---------------------------------------------------------------

THEIRS = "broker: kafka, host: 127.0.0.1, tls: { mode: off }"
LEGACY = "server: theirs, topic: orders, type: Counted, empty: Forgotten"


def check(folder, source=LEGACY, server=THEIRS, name="legacy"):
    file = folder / "freehold.yaml"
    text = FILE.format(program=PROGRAM, migrations=ROOT / "tests" / "sources" / "taker" / "migrations", source=source,
                       server=server, more="")
    file.write_text(text.replace("legacy:", f"{name}:"))
    done = subprocess.run([FREEHOLD, "check", file], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("source, server, said", [
    ("server: their, topic: a", THEIRS, "6:21: error: sources.legacy.server: the file has no server 'their'; did you mean "
                                        "'theirs'?"),
    ("server: theirs", THEIRS, "6:11: error: 'topic' is missing in sources.legacy"),
    ("server: theirs, topic: a, partitions: 0", THEIRS, "sources.legacy.partitions"),
    ("server: theirs, topic: a, key: order.id", THEIRS, "sources.legacy.key is not a JSON pointer: expected /MEMBER"),
    ("server: theirs, topic: a, from: now", THEIRS, "sources.legacy.from"),
    (LEGACY, "broker: kafka", "nobody outside may publish on 'theirs', which is a private broker"),
    (LEGACY, "engine: postgresql", "the server 'theirs' is a database server"),
    ("server: theirs, topic: orders, type: Other", THEIRS, "taker subscribes to Counted of the source legacy, whose messages "
                                                          "are Other"),
])
def test_the_check_says_what_is_wrong(tmp_path, source, server, said):
    code, found = check(tmp_path, source, server)
    assert code == 1 and said in found, found


@pytest.mark.parametrize("name, said", [("taker", "the source 'taker' has the name of a service"),
                                        ("legcy", "taker needs the service 'legacy', which the system has not; did you mean "
                                                  "'legcy'?")])
def test_the_check_knows_names(tmp_path, name, said):
    code, found = check(tmp_path, name=name)
    assert code == 1 and said in found, found


def test_the_check_prints_sources_and_that_they_have_no_snapshot(tmp_path):
    code, found = check(tmp_path, LEGACY + ", partitions: 4, from: end")
    assert code == 0 and "no snapshot" in found, found
    assert re.search(r"legacy +kafka theirs +orders +4 +end +taker", found), found
