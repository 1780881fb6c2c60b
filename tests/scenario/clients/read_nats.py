# SPDX-License-Identifier: Apache-2.0
"""An ordinary reader, of nats-py and Python alone: read_nats.py URL USER STREAM. The password is read from its input. It
prints all messages of a JetStream stream, from the first on, a line of JSON each."""

import asyncio
import json
import sys

import nats

SECONDS = 20


async def main(url, user, name):
    connection = await nats.connect(url, user=user, password=sys.stdin.readline().strip(), connect_timeout=SECONDS)
    stream = connection.jetstream()
    left = (await stream.stream_info(name)).state.messages
    if left:
        reader = await stream.pull_subscribe("", stream=name)
        while left:
            for message in await reader.fetch(left, timeout=SECONDS):
                print(json.dumps({"subject": message.subject, "headers": message.headers or {}, "body": message.data.decode()}))
                await message.ack()
                left -= 1
    await connection.close()


asyncio.run(main(*sys.argv[1:]))
