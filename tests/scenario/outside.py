# SPDX-License-Identifier: Apache-2.0
"""Topics of brokers that are nobody's private server, and ordinary clients that publish to them: each kind has a
`publish`, what is in a partition (`read`), and what an operator of the broker may do to it."""

import contextlib
import os
import signal

from conftest import wait_for
from kafka_client import Kafka, Refused, kcat


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
