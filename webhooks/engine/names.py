"""What host names stand for: looked up in threads, since getaddrinfo knows no deadline, and kept for a minute.

A name that is looked up already is not looked up twice at a time. A name server that never answers holds a thread for
as long as the system's resolver is patient, so their number is bounded, and names that have answered before have some
to themselves: names that hang keep nobody waiting but each other.
"""

import os
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future
from functools import cache
from threading import Lock, Thread

# For so long what a name stands for is taken as known, as browsers and libcurl do.
KEEP_SECONDS = 60.0
MOST_KEPT = 20_000
MOST_THREADS = 160
# So many of them are for names that have answered before.
RESERVED_THREADS = 32

Addresses = tuple[str, ...]


class LookUpFailedError(Exception):
    """The name stands for nothing, or the name servers failed."""


def known(host: str) -> Addresses | None:
    """Return the addresses of `host` where they are known from the last minute."""
    return _resolver(os.getpid()).known(host)


def look_up(host: str) -> "Future[Addresses]":
    """Begin to look up `host`; the future may come late or, where name servers hang, not for a long time.

    It raises LookUpFailedError where the name stands for nothing.
    """
    return _resolver(os.getpid()).look_up(host)


def wait_for(host: str, seconds: float) -> Sequence[str]:
    """Return the addresses of `host`; none where the look-up fails, or takes longer than `seconds`."""
    addresses = known(host)
    if addresses is not None:
        return addresses
    try:
        return look_up(host).result(seconds)
    except (LookUpFailedError, TimeoutError):
        return ()


@cache
def _resolver(pid: int) -> "Resolver":
    return Resolver()


def forget() -> None:
    """Forget all names, as a test may wish between two answers of a name server."""
    _resolver.cache_clear()


class Resolver:
    """The look-ups of one process."""

    def __init__(self, most_threads: int = MOST_THREADS, reserved: int = RESERVED_THREADS) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[float, Addresses]] = OrderedDict()
        self._under_way: dict[str, Future[Addresses]] = {}
        # Two queues: of names that have answered before, and of the others. For the latter fewer threads are started.
        self._queues: tuple[deque[str], deque[str]] = (deque(), deque())
        self._limits = (most_threads, most_threads - reserved)
        self._threads = 0

    def known(self, host: str) -> Addresses | None:
        kept = self._kept.get(host)
        return kept[1] if kept and time.monotonic() < kept[0] else None

    def look_up(self, host: str) -> Future[Addresses]:
        with self._lock:
            future = self._under_way.get(host)
            if future is None:
                future = self._under_way[host] = Future()
                self._queues[0 if host in self._kept else 1].append(host)
                self._start_threads()
            return future

    def _start_threads(self) -> None:
        for queue, limit in zip(self._queues, self._limits, strict=True):
            while queue and self._threads < limit:
                self._threads += 1
                # A daemon, so that a name server that hangs does not hold up the exit.
                Thread(target=self._work, args=(queue.popleft(),), name="look-up", daemon=True).start()

    def _work(self, host: str) -> None:
        addresses: Addresses = ()
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            addresses = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
        except (OSError, UnicodeError):
            pass
        finally:
            with self._lock:
                self._threads -= 1
                future = self._under_way.pop(host)
                if addresses:
                    self._keep(host, addresses)
                self._start_threads()
        if addresses:
            future.set_result(addresses)
        else:
            future.set_exception(LookUpFailedError())

    def _keep(self, host: str, addresses: Addresses) -> None:
        self._kept[host] = (time.monotonic() + KEEP_SECONDS, addresses)
        self._kept.move_to_end(host)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
