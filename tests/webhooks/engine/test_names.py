import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from webhooks.engine.names import LookUpFailedError, Resolver


class NameServer:
    """Answers names at once but those that begin with "hanging", which wait until `answered` is set."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.asked: list[str] = []

    def getaddrinfo(self, host: str, *args: Any, **kwargs: Any) -> list[Any]:
        self.asked.append(host)
        if host.startswith("nowhere"):
            raise socket.gaierror
        if host.startswith("hanging"):
            self.answered.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0))]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.answered.set()


def test_what_was_found_is_kept(server: NameServer) -> None:
    resolver = Resolver()
    assert resolver.known("a.example") is None
    assert resolver.look_up("a.example").result(5) == ("10.0.0.1",)
    assert resolver.known("a.example") == ("10.0.0.1",)


def test_what_is_nowhere_is_looked_up_again(server: NameServer) -> None:
    resolver = Resolver()
    for _ in range(2):
        with pytest.raises(LookUpFailedError):
            resolver.look_up("nowhere.example").result(5)
    assert len(server.asked) == 2


def test_a_name_is_looked_up_once_at_a_time(server: NameServer) -> None:
    resolver = Resolver()
    futures = [resolver.look_up("hanging.example") for _ in range(5)]
    server.answered.set()
    assert [future.result(5) for future in futures] == [("10.0.0.1",)] * 5
    assert server.asked == ["hanging.example"]


def test_names_that_hang_hold_only_so_many_threads_and_not_those_of_known_names(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Resolver(most_threads=4, reserved=1)
    monkeypatch.setattr("webhooks.engine.names.KEEP_SECONDS", -1)
    resolver.look_up("a.example").result(5)
    assert resolver.known("a.example") is None
    before = threading.active_count()
    hanging: list[Future[tuple[str, ...]]] = [resolver.look_up(f"hanging{number}.example") for number in range(100)]
    assert threading.active_count() == before + 3
    assert resolver.look_up("a.example").result(5) == ("10.0.0.1",)
    server.answered.set()
    assert [future.result(5) for future in hanging] == [("10.0.0.1",)] * 100
