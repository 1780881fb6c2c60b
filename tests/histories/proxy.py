#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A link that fails: bytes between the services and their server, or whatever speaks TCP.

    proxy.py LISTEN_PORT HOST PORT

It knows no protocol. Each line on standard input is a fault, armed until its time comes; it is carried out on the next
piece of bytes that passes, whoever's it is, and reported on standard output by its name when it was:

    cut SKIP            the SKIP-th piece from now on is thrown away, and its connection with it, at both ends
    cut_behind SKIP     the piece is let through, then its connection is cut
    swallow SKIP MS     a piece from the client passes; what the server answers is thrown away, and the client's
                        end is cut MS later
    late SKIP MS        the client's end is cut at a piece of its own, which reaches the server MS later, and
                        nothing after it
    delay SKIP MS       everything of that connection stands still for MS, in both directions
    cut_all             every connection, now
    refuse MS           every connection, now, and new ones are closed for as long
    heal                nothing is armed any more

It ends with its standard input.
"""

import asyncio
import sys
import time

PIECE = 65536


class Link:
    """One connection: two ways, each passing pieces on."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.deaf = self.mute = False  # what the server sends, or the client, is thrown away
        self.still_until = 0.0

    def cut(self):
        for _, writer in (self.client, self.server):
            if writer.transport:
                writer.transport.abort()

    def cut_client(self):
        self.client[1].transport.abort()

    async def let_through_late(self, piece, seconds):
        await asyncio.sleep(seconds)
        try:
            self.server[1].write(piece)
            await self.server[1].drain()
            await asyncio.sleep(1)  # it is carried out; then the server learns that nobody is there
        except OSError:
            pass
        self.cut()

    async def cut_client_in(self, seconds):
        await asyncio.sleep(seconds)
        self.cut_client()
        await asyncio.sleep(0.5)
        self.cut()

    async def way(self, reader, writer, from_client):
        try:
            while piece := await reader.read(PIECE):
                if (self.mute and from_client) or (self.deaf and not from_client):
                    continue
                fault = self.proxy.due(from_client)
                if fault and not await self.meet(fault, piece, from_client):
                    return
                while (wait := self.still_until - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                writer.write(piece)
                await writer.drain()
                if fault and fault[0] == "cut_behind":
                    await asyncio.sleep(0)
                    break
        except OSError:
            pass
        if not (self.mute or self.deaf):
            self.cut()

    async def meet(self, fault, piece, from_client):
        """False: this way is over."""
        kind, milliseconds = fault
        self.proxy.tell(kind)
        if kind == "cut":
            self.cut()
            return False
        if kind == "swallow":
            self.deaf = True
            asyncio.create_task(self.cut_client_in(milliseconds / 1000))
        if kind == "late":
            self.mute = self.deaf = True
            asyncio.create_task(self.let_through_late(piece, milliseconds / 1000))
            self.cut_client()
            return False
        if kind == "delay":
            self.still_until = time.monotonic() + milliseconds / 1000
        return True


class Proxy:
    def __init__(self, host, port):
        self.host, self.port, self.links = host, port, set()
        self.armed, self.refused_until = [], 0.0  # [kind, pieces to pass over, ms]

    @staticmethod
    def tell(kind):
        print(kind, flush=True)

    def due(self, from_client):
        for fault in self.armed:
            if fault[0] in ("swallow", "late") and not from_client:
                continue
            fault[1] -= 1
            if fault[1] < 0:
                self.armed.remove(fault)
                return fault[0], fault[2]
        return None

    def order(self, words):
        kind, numbers = words[0], [int(word) for word in words[1:]]
        if kind == "heal":
            self.armed.clear()
            self.refused_until = 0.0
        elif kind in ("cut_all", "refuse"):
            self.tell(kind)
            self.refused_until = time.monotonic() + numbers[0] / 1000 if numbers else 0.0
            for link in list(self.links):
                link.cut()
        else:
            self.armed.append([kind, numbers[0], numbers[1] if len(numbers) > 1 else 0])

    async def accept(self, reader, writer):
        if time.monotonic() < self.refused_until:
            writer.transport.abort()
            return
        try:
            server = await asyncio.open_connection(self.host, self.port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(self, (reader, writer), server)
        self.links.add(link)
        await asyncio.gather(link.way(reader, server[1], True), link.way(server[0], writer, False))
        self.links.discard(link)


async def main():
    listen, host, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    proxy = Proxy(host, port)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", listen, backlog=512)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    while line := await lines.readline():
        proxy.order(line.decode().split())
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
