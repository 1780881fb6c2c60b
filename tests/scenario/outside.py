# SPDX-License-Identifier: Apache-2.0
"""Topics of brokers that are nobody's private server, and ordinary clients that publish to them: each kind has a
`publish`, what is in a partition (`read`), and what an operator of the broker may do to it."""

import contextlib
import json
import os
import signal

import pytest
from conftest import wait_for
from kafka_client import Kafka, Refused, kcat
from nats import Nats
from nats import Refused as RefusedByNats


class KafkaTopic:
    kind, partitions, first, has_keys, attributes = "kafka", 2, 0, True, "ce_"

    def __init__(self, broker, folder, name="orders"):
        self.broker, self.folder, self.name = broker, folder, name
        self.create()

    def client(self):
        def connected():
            with contextlib.suppress(OSError, Refused):
                return Kafka(self.broker)
        return wait_for("Kafka answers", connected)

    def create(self):
        def created():
            client = self.client()
            try:
                client.create_topic(self.name, self.partitions)
            except Refused as refused:  # one that was deleted is not gone at once
                return "36" in str(refused) and self.gone is False
            finally:
                client.close()
            return True
        self.gone = True
        wait_for("the topic can be made", created)
        wait_for("it is there", lambda: self.read(self.partitions - 1) == [])

    def delete(self):
        client = self.client()
        client.delete_topic(self.name)
        wait_for("the topic is gone", lambda: self.name not in client.topics())
        client.close()

    def publish(self, partition, messages, **headers):
        """Of (key, text) or (None, text); an empty text is none at all."""
        named = [word for name, value in headers.items() for word in ("-H", f"{name.replace('__', '-')}={value}")]
        for with_key in (True, False):
            lines = [f"{key}\t{text}" if with_key else text for key, text in messages if (key is not None) == with_key]
            if lines:
                kcat(self.folder, self.broker, "-P", "-t", self.name, "-p", str(partition), "-Z", *named,
                     *(("-K", "\t") if with_key else ()), given="\n".join(lines) + "\n")

    def read(self, partition):
        """The texts that it has, in order."""
        return kcat(self.folder, self.broker, "-C", "-t", self.name, "-p", str(partition), "-o", "beginning", "-e", "-q",
                    "-f", "%s\n").splitlines()

    def remove_before(self, partition, offset):
        client = self.client()
        client.empty(self.name, partition, offset)
        client.close()

    def recreate(self):
        self.delete()
        self.create()

    def kill(self):
        """It is started again, and comes back with what it has acknowledged."""
        with open(self.broker["pid_file"]) as file:
            os.kill(int(file.read()), signal.SIGKILL)

    def is_back(self):
        with contextlib.suppress(AssertionError):
            return self.read(0) is not None and self.read(self.partitions - 1) is not None
        return False


class NatsStream:
    kind, partitions, first, has_keys, attributes = "nats", 1, 1, False, "ce-"

    def __init__(self, broker, folder, name="orders"):
        self.broker, self.folder, self.name, self.texts = broker, folder, name, []
        self.create()

    def client(self):
        def connected():
            with contextlib.suppress(OSError, RefusedByNats):
                return Nats(self.broker)
        return wait_for("NATS answers", connected)

    def ask(self, what, body=None):
        client = self.client()
        answer = client.request(f"$JS.API.{what}.{self.name}", body)
        client.close()
        assert "error" not in answer, answer
        return answer

    def create(self):
        self.ask("STREAM.CREATE", {"name": self.name, "subjects": [f"{self.name}.>"], "storage": "file",
                                   "retention": "limits", "max_msgs": -1, "max_bytes": -1, "max_age": 0})

    def publish(self, partition, messages, **headers):
        """In this order; all are acknowledged when it returns."""
        assert partition == 0
        client = self.client()
        named = "".join(f"{name.replace('__', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"NATS/1.0\r\n{named}\r\n".encode()
        client.subscribe(client.inbox)
        for _, text in messages:
            data = text.encode()
            client.send(f"HPUB {self.name}.placed {client.inbox} {len(head)} {len(head) + len(data)}", head + data)
        for _, text in messages:
            answer = json.loads(client.until(True))
            assert "error" not in answer, answer
            self.texts.append(text)
        client.close()

    def read(self, partition):
        """The texts that it has had. What was acknowledged is there, unless it was removed."""
        state = self.ask("STREAM.INFO")["state"]
        assert state["last_seq"] == len(self.texts), state
        return self.texts

    def remove_before(self, partition, offset):
        self.ask("STREAM.PURGE", {"seq": offset})

    def recreate(self):
        self.ask("STREAM.DELETE")
        self.texts = []
        self.create()

    def kill(self):
        with open(self.broker["pid_file"]) as file:
            os.kill(int(file.read()), signal.SIGKILL)

    def is_back(self):
        with contextlib.suppress(AssertionError, ValueError):
            return self.ask("STREAM.INFO") is not None
        return False


class RabbitStreams:
    """A super stream as its plugin makes them, by their names: streams, each a partition."""
    kind, partitions, first, has_keys, attributes = "rabbitmq", 2, 0, False, "cloudEvents_"

    def __init__(self, broker, folder, name="orders", **arguments):
        self.pika = pytest.importorskip("pika", reason="NOT PUBLISHED WITH pika: apt-get install python3-pika")
        self.broker, self.folder, self.name, self.arguments = broker, folder, name, arguments
        self.create()

    @contextlib.contextmanager
    def channel(self):
        login = self.pika.PlainCredentials(self.broker["user"], self.broker["password"])

        def connected():
            with contextlib.suppress(self.pika.exceptions.AMQPError, OSError):
                return self.pika.BlockingConnection(self.pika.ConnectionParameters(
                    self.broker["host"], self.broker["port"], credentials=login, socket_timeout=60,
                    blocked_connection_timeout=60))
        connection = wait_for("RabbitMQ answers", connected)
        try:
            yield connection.channel()
        finally:
            with contextlib.suppress(self.pika.exceptions.AMQPError):
                connection.close()

    def stream(self, partition):
        return f"{self.name}-{partition}" if self.partitions > 1 else self.name

    def create(self):
        self.texts = [[] for _ in range(self.partitions)]
        self.more(self.partitions)

    def more(self, partitions):
        with self.channel() as channel:
            for partition in range(partitions):
                channel.queue_declare(self.stream(partition), durable=True,
                                      arguments={"x-queue-type": "stream", **self.arguments})
        self.texts += [[] for _ in range(partitions - len(self.texts))]

    def publish(self, partition, messages, **headers):
        """In this order; all are acknowledged when it returns."""
        named = {name.replace("__", "-"): value for name, value in headers.items()}
        properties = self.pika.BasicProperties(content_type=named.pop("content-type", None), headers=named, delivery_mode=2)
        with self.channel() as channel:
            channel.confirm_delivery()
            for _, text in messages:
                channel.basic_publish("", self.stream(partition), text.encode(), properties, mandatory=True)
                self.texts[partition].append(text)

    def find(self, partition, offset, good):
        """The (offset, text) of the first message from that offset on that is good. The server gives offsets to what it writes
        itself, too, where a segment begins."""
        with self.channel() as channel:
            channel.basic_qos(prefetch_count=100)
            for method, properties, body in channel.consume(self.stream(partition), arguments={"x-stream-offset": offset},
                                                            inactivity_timeout=5):
                assert method, "it is there"
                channel.basic_ack(method.delivery_tag)
                if good(body.decode()):
                    return properties.headers["x-stream-offset"], body.decode()

    def oldest(self, partition):
        return self.find(partition, "first", lambda text: True)

    def read(self, partition):
        """The texts that it has had. What was acknowledged is there, unless it was removed."""
        texts = self.texts[partition]
        assert not texts or self.find(partition, "last", lambda text: text == texts[-1])
        return texts

    def recreate(self):
        with self.channel() as channel:
            for partition in range(self.partitions):
                channel.queue_delete(self.stream(partition))
        self.create()

    def kill(self):
        """In order: killed at once, 3.10.8 may lose a stream for ever that it has made a moment before."""
        with open(self.broker["pid_file"]) as file:
            os.kill(int(file.read()), signal.SIGTERM)

    def is_back(self):
        with contextlib.suppress(AssertionError, self.pika.exceptions.AMQPError, OSError):
            return all(self.read(partition) is not None for partition in range(self.partitions))
        return False
