"""Other guards, which do what ours does, beside it: all run in the network of the tests (`Internet.call`)."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from enum import StrEnum

import httpx
from drawbridge import Policy as DrawbridgePolicy
from drawbridge import SyncClient as DrawbridgeClient
from httpx_secure import httpx_ssrf_protection
from ssrfguard import Policy as SsrfguardPolicy
from ssrfguard.httpx import Client as SsrfguardClient

from tests.security import inside, ways_in

# As ours is set: that they choose others is no difference between guards.
PORTS = frozenset({80, 443, *range(1024, 65536)})
SECONDS = 2.0

Call = Callable[[str], object]


class Outcome(StrEnum):
    REFUSED = "refused"
    # A connection was opened, and nothing sent.
    KNOCKED = "knocked"
    CALLED = "called"


@contextmanager
def ours() -> Iterator[Call]:
    yield lambda url: ways_in.send([url])


@contextmanager
def ssrfguard() -> Iterator[Call]:
    with SsrfguardClient(policy=SsrfguardPolicy(allowed_ports=PORTS), timeout=SECONDS) as client:
        yield client.post


@contextmanager
def httpx_secure() -> Iterator[Call]:
    with asyncio.Runner() as runner:
        client = httpx_ssrf_protection(httpx.AsyncClient(timeout=SECONDS, trust_env=False))
        yield lambda url: runner.run(client.post(url))
        runner.run(client.aclose())


@contextmanager
def drawbridge() -> Iterator[Call]:
    with DrawbridgeClient(DrawbridgePolicy(allow_ports=PORTS, timeout=SECONDS)) as client:
        yield client.post


OURS = "ours"
GUARDS: dict[str, Callable[[], AbstractContextManager[Call]]] = {
    OURS: ours,
    "ssrfguard": ssrfguard,
    "httpx-secure": httpx_secure,
    "drawbridge": drawbridge,
}


def compare(urls: Sequence[str], answers: inside.Answers) -> dict[str, dict[str, Outcome]]:
    """Have each guard call each URL, while names stand for `answers`; return by URL and guard what came of it."""
    outcomes: dict[str, dict[str, Outcome]] = {url: {} for url in urls}
    for name, guard in GUARDS.items():
        inside.answer_with(answers)
        ways_in.forget()
        inside.visits()
        with guard() as call:
            for url in urls:
                # Each has errors of its own; what counts is who was reached.
                with suppress(Exception):
                    call(url)
                outcomes[url][name] = _outcome(url)
    return outcomes


def _outcome(url: str) -> Outcome:
    visits = inside.visits()
    if not visits:
        return Outcome.REFUSED
    # With TLS nobody there understands the request.
    is_called = url.startswith("https:") or any(visit.path for visit in visits)
    return Outcome.CALLED if is_called else Outcome.KNOCKED
