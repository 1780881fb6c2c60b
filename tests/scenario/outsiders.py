# SPDX-License-Identifier: Apache-2.0
"""Ordinary clients of brokers, with nothing of ours in them, that read a system's events as anybody outside would: pika
from RabbitMQ, nats-py from NATS JetStream, kcat from Kafka. And what CloudEvents 1.0 asks of what they get: the JSON
format, in structured mode, as the bindings for AMQP, NATS and Kafka have it.

nats-py comes from PyPI, once, into the cache that all builds share. What is missing is told as a loud skip."""

import collections
import datetime
import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, wait_for
from installed import cached

NATS_PY = "nats-py==2.16.0"
INSTALL_S_MAX = 100
PARTITIONS = 8
STRUCTURED = "application/cloudevents+json"

# What a client was given: `kind` is the content type as the broker carries it, if it does; `key` that of the message.
Message = collections.namedtuple("Message", "body partition kind key")


def with_channel(broker, act):
    """Whether `act` was done, with a channel of a connection for it alone: without heartbeats, since nobody would answer
    them meanwhile. What the server does to it is said, and the next try has another, as an ordinary client would."""
    pika = pytest.importorskip("pika", reason="NOT READ WITH pika: apt-get install python3-pika")
    try:
        with pika.BlockingConnection(pika.ConnectionParameters(
                broker["host"], broker["port"], heartbeat=0,
                credentials=pika.PlainCredentials(broker["user"], broker["password"]))) as connection:
            act(connection.channel())
            return True
    except pika.exceptions.AMQPConnectionError as error:
        print(f"RabbitMQ ended the connection of the client outside: {error!r}")
        return False


class Pika:
    """A queue of its own, bound to the topic's exchange: it gets what is published from then on."""

    def __init__(self, broker, topic, _folder):
        self.broker, self.topic, self.queue, self.seen = broker, topic, f"outsider-{topic}", []
        wait_for("a queue of a client outside", lambda: with_channel(broker, self.bind))

    def bind(self, channel):
        channel.queue_declare(self.queue, durable=True, arguments={"x-queue-type": "quorum", "x-expires": 600_000})
        for partition in range(PARTITIONS):
            channel.queue_bind(self.queue, f"freehold.{self.topic}", str(partition))

    def take(self, channel):
        while (got := channel.basic_get(self.queue))[0]:
            method, properties, body = got
            self.seen.append(Message(body, int(method.routing_key), properties.content_type, None))
            assert json.loads(body)["id"] == properties.message_id, properties
            channel.basic_ack(method.delivery_tag)

    def read(self):
        """All messages so far."""
        with_channel(self.broker, self.take)
        return self.seen

    def close(self):
        """It holds nothing."""


class PikaStream:
    """What the topic holds for readers outside, from its first message on, whoever was there when it was published."""

    def __init__(self, broker, topic, _folder):
        self.broker, self.stream, self.seen = broker, f"freehold.{topic}.outside", []

    def take(self, channel):
        channel.basic_qos(prefetch_count=100)
        last = channel.queue_declare(self.stream, passive=True).method.message_count
        for method, properties, body in channel.consume(self.stream, arguments={"x-stream-offset": "first"},
                                                        inactivity_timeout=1):
            if not method:
                break
            self.seen.append(Message(body, int(method.routing_key), properties.content_type, None))
            channel.basic_ack(method.delivery_tag)
            if last and properties.headers["x-stream-offset"] >= last - 1:
                break

    def read(self):
        """All messages so far."""
        self.seen = []
        with_channel(self.broker, self.take)
        return self.seen

    def close(self):
        """It holds nothing."""


class NatsPy:
    """An ephemeral consumer of the topic's stream, from its first message on; in a program of its own."""

    def __init__(self, broker, topic, _folder):
        with cached("nats-py", (NATS_PY + sys.version).encode()) as folder:
            if not folder.exists():
                done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                                       NATS_PY, "--target", folder], capture_output=True, text=True, timeout=INSTALL_S_MAX,
                                      check=False)
                if done.returncode:
                    shutil.rmtree(folder, ignore_errors=True)
                    pytest.skip(f"NOT READ WITH nats-py, WHICH CAN'T BE FETCHED: {done.stderr.strip()[-300:]}")
        self.folder, self.broker, self.topic = folder, broker, topic

    def read(self):
        url = f"nats://{self.broker['host']}:{self.broker['port']}"
        done = subprocess.run([sys.executable, ROOT / "tests" / "scenario" / "clients" / "read_nats.py", url,
                               self.broker["user"], f"freehold-{self.topic}"], input=self.broker["password"] + "\n",
                              capture_output=True, text=True, timeout=120, check=False,
                              env={**os.environ, "PYTHONPATH": str(self.folder)})
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert not [name for one in found for name in one["headers"] if name.lower().startswith("ce-")], found
        return [Message(one["body"].encode(), int(one["subject"].split(".")[-1]), None, None) for one in found]

    def close(self):
        """It has ended."""


class Kcat:
    """From the topic's first message to its last."""

    def __init__(self, broker, topic, folder):
        if not shutil.which("kcat"):
            pytest.skip("NOT READ WITH kcat: apt-get install kcat")
        self.topic, self.login = topic, folder / "kcat"
        self.login.touch(0o600)
        self.login.write_text(f"bootstrap.servers={broker['host']}:{broker['port']}\nsecurity.protocol=SASL_PLAINTEXT\n"
                              f"sasl.mechanism=SCRAM-SHA-256\nsasl.username={broker['user']}\n"
                              f"sasl.password={broker['password']}\n")

    def read(self):
        done = subprocess.run(["kcat", "-F", self.login, "-C", "-t", f"freehold-{self.topic}", "-o", "beginning", "-e", "-q",
                               "-f", "%p\t%k\t%h\t%s\n"], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        found = []
        for line in done.stdout.splitlines():
            partition, key, headers, body = line.split("\t", 3)
            kinds = [one.partition("=")[2] for one in headers.split(",") if one.startswith("content-type=")]
            found.append(Message(body.encode(), int(partition), kinds[0], key))
        return found

    def close(self):
        """It ends by itself."""


READERS = {"nats": NatsPy, "rabbitmq": Pika, "kafka": Kcat}
LATE_READERS = {**READERS, "rabbitmq": PikaStream}  # they get what was published before they came


def events_of(messages, source):
    """The events, after judging each by the binding and the format, and their order by key."""
    events, partitions, positions = [], {}, {}
    for message in messages:
        event = json.loads(message.body.decode("utf-8"))
        events.append(event)
        assert message.kind is None or message.kind.partition(";")[0] == STRUCTURED, message
        assert event["specversion"] == "1.0" and event["source"] == source, event
        for name in ("id", "source", "type", "subject"):
            assert isinstance(event[name], str) and event[name], (name, event)
        assert event["datacontenttype"] == "application/json" and isinstance(event["data"], dict), event
        assert datetime.datetime.fromisoformat(event["time"]).tzinfo, event["time"]
        for name, value in event.items():  # extensions, too
            assert name == "data" or name.isascii() and name.isalnum() and name.islower(), name
            assert name == "data" or isinstance(value, (str, bool)) or isinstance(value, int) and abs(value) < 1 << 31, event
        assert message.key in (None, event["subject"]), message
        assert partitions.setdefault(event["subject"], message.partition) == message.partition, "a key has one partition"
        assert int(event["position"]) >= positions.get(event["subject"], 0), "and its events are in order"
        positions[event["subject"]] = int(event["position"])
    assert len({(event["source"], event["id"]) for event in events}) == len({event["position"] for event in events})
    return events
