"""A network of the tests' own, in which every address there is leads back to this machine, and a process in it.

    with Internet(folder) as internet:
        answers = internet.call(ways_in.send, ["http://10.0.0.1/"])
        assert internet.call(inside.visits) == []

It is a network namespace of Linux: nothing in it reaches, or is reached from, anything outside.
"""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

import pytest

from tests import servers

P = ParamSpec("P")
T = TypeVar("T")

# As root, and as anybody where the system lets anybody make namespaces.
WAYS = (("unshare", "--net", "--mount"), ("unshare", "--user", "--map-root-user", "--net", "--mount"))
START_SECONDS = 60
CALL_SECONDS = 120


class Internet:
    """Runs `tests.security.inside` in a namespace, with a database of SQLite in `folder`; `call` has it do something.

    The guard is set as in production; plain http is allowed besides, and the deadline is one that suits tests.
    """

    def __init__(self, folder: Path) -> None:
        self._log = folder / "inside.log"
        self._env = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ},
            "TMPDIR": str(folder),
            "ENV_FILE": os.devnull,
            "DEBUG": "True",
            "DATABASE_URL": f"sqlite:///{folder / 'inside.sqlite3'}",
            # Nobody listens there: what is due is delivered by the process itself.
            "REDIS_URL": f"unix://{folder / 'nobody.sock'}",
            "WEBHOOK_REQUIRE_HTTPS": "False",
            "WEBHOOK_TIMEOUT_SECONDS": "2",
        }

    def __enter__(self) -> Self:
        way = next(filter(_works, WAYS), None)
        if way is None:
            pytest.fail(
                "No network namespace can be made here, so that nothing is proven of what webhooks reach. Run the "
                "tests on Linux with iproute2, as root or where users may make namespaces of their own."
            )
        self._channel, theirs = Pipe()
        code = "from tests.security import inside; inside.main()"
        self._process = servers.start(
            [*way, sys.executable, "-c", code, str(theirs.fileno())],
            log=self._log,
            env=self._env,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        try:
            self._receive(START_SECONDS)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function of a module in the namespace; fail where it does."""
        self._channel.send_bytes(pickle.dumps((function, args, kwargs)))
        result: T = self._receive(CALL_SECONDS)
        return result

    def _receive(self, seconds: float) -> T:  # type: ignore[type-var]
        assert self._channel.poll(seconds), f"There is no answer after {seconds:g} s:\n{self._said()}"
        try:
            succeeded, result = pickle.loads(self._channel.recv_bytes())
        except EOFError:
            pytest.fail(f"The process in the namespace has ended:\n{self._said()}")
        if not succeeded:
            pytest.fail(f"In the namespace:\n{result}")
        return result  # type: ignore[no-any-return]

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]

    def _end(self) -> None:
        # It ends when nobody is left to call it.
        self._channel.close()
        servers.kill(self._process)


def _works(way: tuple[str, ...]) -> bool:
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run([*way, "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0
