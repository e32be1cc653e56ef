"""Receivers that mean harm: `python -m tests.security.hostile FD` serves them on the listening socket FD until it ends.

Which of them answers, the path says: /endless-body is for `endless_body`. Each has the answers that an attempt may end
with: HTTP statuses, or errors. It imports nothing of Django, so that it starts at once.
"""

import asyncio
import contextlib
import gzip
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Write = Callable[[bytes], Awaitable[None]]
Outcome = int | str

MINUTE = 60
GIGABYTE = 2**30
BLOCK = b"x" * 65536
# What would act on a terminal, on a page, or on the text around it.
EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\x85\u202e</pre>\"'><x-planted onclick=x><script>x</script>{{7*7}}\x08\x7f"
EVIL_BYTES = EVIL.replace("\u202e", "").encode("latin-1") + "\u202e\u2066".encode()


class Request:
    """The connection on which a request is coming in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def path(self) -> str:
        """Read no more than the first line."""
        return (await self._reader.readuntil(b"\r\n")).split(b" ")[1].decode()

    async def rest(self) -> None:
        """Read the request to its end."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        [length] = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        await self._reader.readexactly(length)

    async def send(self, content: bytes) -> None:
        """Send it as fast as it is taken."""
        self._writer.write(content)
        await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


Answer = Callable[[Request], Awaitable[None]]


@dataclass(frozen=True)
class Receiver:
    answer: Answer
    outcomes: set[Outcome]


RECEIVERS: dict[str, Receiver] = {}


def receiver(*outcomes: Outcome) -> Callable[[Answer], Answer]:
    def add(answer: Answer) -> Answer:
        name = answer.__name__
        RECEIVERS[name.replace("_", "-")] = Receiver(answer, set(outcomes))
        return answer

    return add


# Without end


@receiver("PROTOCOL")
async def endless_headers(request: Request) -> None:
    await request.rest()
    await request.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await request.send(b"X-Filler: " + BLOCK[:1000] + b"\r\n")


@receiver("PROTOCOL")
async def endless_short_headers(request: Request) -> None:
    await request.rest()
    await request.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await request.send(b"a:b\r\n" * 100)


@receiver("PROTOCOL")
async def one_endless_header(request: Request) -> None:
    await request.rest()
    await request.send(b"HTTP/1.1 200 OK\r\nX-Filler: ")
    while True:
        await request.send(BLOCK)


@receiver("PROTOCOL")
async def endless_interim_answers(request: Request) -> None:
    await request.rest()
    while True:
        await request.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)


@receiver(200)
async def endless_body(request: Request) -> None:
    await request.rest()
    await request.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await request.send(b"10000\r\n" + BLOCK + b"\r\n")


@receiver(200)
async def a_gigabyte(request: Request) -> None:
    await request.rest()
    await request.send(f"HTTP/1.1 200 OK\r\nContent-Length: {GIGABYTE}\r\n\r\n".encode())
    for _ in range(GIGABYTE // len(BLOCK)):
        await request.send(BLOCK)


@receiver("TIMEOUT")
async def a_byte_a_minute(request: Request) -> None:
    await request.rest()
    await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        await request.send(b"x")
        await asyncio.sleep(MINUTE)


@receiver("TIMEOUT")
async def a_byte_of_a_header_a_minute(request: Request) -> None:
    await request.rest()
    await request.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        await request.send(b"x")
        await asyncio.sleep(MINUTE)


@receiver("TIMEOUT")
async def never(request: Request) -> None:
    """Keep the connection open and say nothing."""
    await request.rest()
    await asyncio.sleep(60 * MINUTE)


@receiver("TIMEOUT")
async def unread(request: Request) -> None:
    """Keep the connection open, and do not even read the request."""
    await asyncio.sleep(60 * MINUTE)


@receiver(204)
async def kept_open(request: Request) -> None:
    """Answer as it should be, and never close the connection."""
    await request.rest()
    await request.send(b"HTTP/1.1 204 No Content\r\n\r\n")


# What grows


def _bomb() -> bytes:
    return gzip.compress(bytes(100 * 2**20), 9)


@receiver(200)
async def a_gzip_bomb(request: Request) -> None:
    await request.rest()
    bomb = _BOMB
    await request.send(f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode())
    await request.send(bomb)


@receiver("PROTOCOL")
async def a_gzip_bomb_in_transfer(request: Request) -> None:
    await request.rest()
    await request.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")
    await request.send(f"{len(_BOMB):x}\r\n".encode() + _BOMB + b"\r\n0\r\n\r\n")


# Too early


@receiver(200, "RESET")
async def early(request: Request) -> None:
    """Answer when the first line is there, and go away: what the sender sends then is answered with a reset."""
    await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await request.close()


@receiver(500)
async def early_and_open(request: Request) -> None:
    """Answer when the first line is there, and read no more."""
    await request.send(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno")
    await asyncio.sleep(60 * MINUTE)


# Not HTTP


def malformed(name: str, content: bytes, *outcomes: Outcome) -> None:
    async def answer(request: Request) -> None:
        await request.rest()
        await request.send(content)
        await request.close()

    RECEIVERS[name] = Receiver(answer, set(outcomes))


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
malformed("banner", b"SSH-2.0-OpenSSH_9.2\r\n", "PROTOCOL")
malformed("garbage", bytes(range(256)) * 100, "PROTOCOL")
malformed("no-answer", b"", "RESET")
malformed("unknown-version", b"HTTP/9.9 200 OK\r\n\r\n", "PROTOCOL")
malformed("no-status", b"HTTP/1.1 \x1b[31m\r\n\r\n", "PROTOCOL")
malformed("status-0", b"HTTP/1.1 000 Nothing\r\n\r\n", "PROTOCOL")
malformed("status-99999", b"HTTP/1.1 99999 Much\r\n\r\n", 999)
malformed("upgrade", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x00\x01", "RESET", "PROTOCOL", 101)
malformed("nul-in-header", OK + b"X-A: a\0b\r\n\r\n", "PROTOCOL")
malformed("no-colon", OK + b"no colon\r\n\r\n", "PROTOCOL")
malformed("negative-length", OK + b"Content-Length: -1\r\n\r\nx", "PROTOCOL")
malformed("two-lengths", OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", "PROTOCOL")
malformed("huge-length", OK + b"Content-Length: 99999999999999999999999\r\n\r\nx", 200, "PROTOCOL", "RESET")
malformed("short-body", OK + b"Content-Length: 100\r\n\r\nx", "RESET")
malformed("no-chunk-size", CHUNKED + b"zz\r\nx", "RESET")
malformed("huge-chunk-size", CHUNKED + b"FFFFFFFFFFFFFFFFFFFF\r\nx", "RESET")
malformed("short-chunk", CHUNKED + b"7FFFFFFFFFFFFFFF\r\nx", "RESET")
malformed("unknown-encoding", OK + b"Transfer-Encoding: \x1b[31m\xe2\x80\xae, chunked\r\n\r\n0\r\n\r\n", "PROTOCOL")


# In every field


def written(name: str, status: int) -> None:
    evil = EVIL_BYTES
    lines = [
        b"HTTP/1.1 %d %s" % (status, evil),
        b"X-%s: %s" % (evil, evil),
        b"Content-Type: text/html; charset=" + evil,
        b"Location: javascript:" + evil,
        b"Retry-After: " + evil,
        b"Content-Length: %d" % len(evil),
    ]
    content = b"\r\n".join(lines) + b"\r\n\r\n" + evil

    async def answer(request: Request) -> None:
        await request.rest()
        await request.send(content)

    RECEIVERS[name] = Receiver(answer, {status})


written("evil-200", 200)
written("evil-302", 302)
written("evil-503", 503)
written("evil-777", 777)


async def _serve(listening: socket.socket) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = Request(reader, writer)
        with contextlib.suppress(OSError, EOFError):
            while True:
                await RECEIVERS[(await request.path()).split("/")[1]].answer(request)
        writer.close()

    server = await asyncio.start_server(serve, sock=listening, backlog=1000)
    await server.serve_forever()


_BOMB = b""

if __name__ == "__main__":
    _BOMB = _bomb()
    asyncio.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
