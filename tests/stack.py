"""The real product for the tests: web, worker with beat and broker as processes, on a database of their own.

    with Stack(folder) as stack:
        account_id = stack.call(make_account, "Cool Account")
        stack.broker.stop()

What a test wants done or counted in it, it says in a function, which `call` runs in a process of the stack.
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, ParamSpec, Self, TypeVar

import psutil
import psycopg
from cryptography.fernet import Fernet
from psycopg import sql

from tests import servers

P = ParamSpec("P")
T = TypeVar("T")

LOG_BYTES_SHOWN = 4000
PROGRAMS = Path(sys.executable).parent


class Program:
    """A process of the stack that can be stopped, killed and started again."""

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]], log: Path) -> None:
        self.log = log
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and return when it answers."""
        assert self._process is None, "It runs already."
        self._process = self._start()

    def stop(self, seconds: float = 20, by: signal.Signals = signal.SIGTERM) -> None:
        """End it in good order; it finishes what is under way."""
        if self._process is not None:
            servers.stop(self._process, by, seconds)
            self._process = None

    def kill(self) -> None:
        """Kill it, and all processes that it started, without a warning."""
        if self._process is not None:
            servers.kill(self._process)
            self._process = None

    def kill_alone(self) -> list[psutil.Process]:
        """Kill it without a warning, and nothing that it started; return that, which the caller has to see ending."""
        started: list[psutil.Process] = psutil.Process(self.pid).children(recursive=True)
        os.kill(self.pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait(5)
        self._process = None
        return started


class Caller:
    """A process of the stack with Django set up, which forks for each call: a new start would take most of the time."""

    def __init__(self, folder: Path, env: dict[str, str], seconds: float) -> None:
        self._address = str(folder / "caller.sock")
        self._log = folder / "caller.log"
        self._seconds = seconds
        command = [sys.executable, "-m", "tests.stack", self._address]
        self._process = servers.start(command, log=self._log, env=env)
        servers.wait_until(_sign_of_listening(self._address).exists, "The caller", self._process, self._log)

    def call(self, place: str, args: Any, kwargs: Any) -> Any:
        """Return what the function returns; raise AssertionError where it fails, and where it takes too long."""
        with Client(self._address) as connection:
            connection.send_bytes(json.dumps([place, args, kwargs]).encode())
            if not connection.poll(self._seconds):
                raise AssertionError(f"{place} took more than {self._seconds:g} s.")
            try:
                return json.loads(connection.recv_bytes())
            except EOFError:
                said = self._log.read_text(errors="replace")[-LOG_BYTES_SHOWN:]
                raise AssertionError(f"{place} failed:\n{said}") from None

    def end(self) -> None:
        servers.kill(self._process)


class Stack:
    """Starts what is asked for when entered; `settings` are variables of the environment over the usual ones.

    The database is one in the PostgreSQL of the tests, or a file of SQLite. The first worker has beat in it, unless
    beat is to be a program of its own. A command may take `command_seconds`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        postgres: str | None = None,
        web: bool = True,
        workers: int = 1,
        concurrency: int = 2,
        beat_apart: bool = False,
        command_seconds: float = 60,
        **settings: str,
    ) -> None:
        self.folder = folder
        self._concurrency = concurrency
        self._command_seconds = command_seconds
        self._beat_apart = beat_apart
        self._postgres = postgres
        self._caller: Caller | None = None
        self.database = f"stack_{uuid.uuid4().hex}"
        self._web_socket: socket.socket | None = None
        self.url = ""
        self.env = self._environment(settings)
        self.broker = Program(lambda: servers.start_valkey(folder), folder / "valkey.log")
        self.web = Program(self._start_web, folder / "web.log") if web else None
        self.workers = [self._worker(number) for number in range(1, workers + 1)]
        self.beat = Program(self._start_beat, folder / "beat.log") if beat_apart else None

    @property
    def worker(self) -> Program:
        [worker] = self.workers
        return worker

    @property
    def programs(self) -> list[Program]:
        return [*([self.beat] if self.beat else []), *self.workers, *([self.web] if self.web else []), self.broker]

    def __enter__(self) -> Self:
        try:
            self._create_database()
            self.manage("migrate", "--verbosity", "0")
            if self.web:
                self.manage("collectstatic", "--no-input", "--verbosity", "0")
            for program in reversed(self.programs):
                program.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py in it and return what it printed; fail when the command does."""
        return self._run([sys.executable, "manage.py", *arguments])

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function of a module in a new process of the stack. Arguments and result go through JSON."""
        if self._caller is None:
            self._caller = Caller(self.folder, self.env, self._command_seconds)
        result: T = self._caller.call(f"{function.__module__}:{function.__qualname__}", args, kwargs)
        return result

    def call_by_name(self, place: str, *args: Any, **kwargs: Any) -> Any:
        """Do the same with `module:function`, for callers that cannot import the models."""
        printed = self._run([sys.executable, "-m", "tests.stack", place, json.dumps(args), json.dumps(kwargs)])
        return json.loads(printed.rpartition("\n")[2])

    def logs(self) -> dict[str, str]:
        """Return the end of each program's log."""
        logs = {}
        for program in self.programs:
            if program.log.exists():
                logs[program.log.name] = program.log.read_text(errors="replace")[-LOG_BYTES_SHOWN:]
        return logs

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        of_the_system = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}
        database = (
            servers.sibling_database(self._postgres, self.database)
            if self._postgres
            else f"sqlite:///{self.folder / 'stack.sqlite3'}"
        )
        return {
            **of_the_system,
            "PYTHONUNBUFFERED": "1",
            # What killed processes leave behind goes with the folder.
            "TMPDIR": str(self.folder),
            "ENV_FILE": os.devnull,
            "DEBUG": "False",
            "SECRET_KEY": uuid.uuid4().hex * 2,
            "WEBHOOK_SECRET_KEYS": Fernet.generate_key().decode(),
            "DATABASE_URL": database,
            "REDIS_URL": f"unix://{self.folder / 'valkey.sock'}",
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "STATIC_ROOT": str(self.folder / "static"),
            "LOG_JSON": "False",
            "NO_COLOR": "1",
            # It speaks plain HTTP on loopback, with browsers and with receivers.
            "SESSION_COOKIE_SECURE": "False",
            "CSRF_COOKIE_SECURE": "False",
            # Its staff sign in with a password alone, but where a test is about the second factor.
            "STAFF_REQUIRES_MFA": "False",
            "WEBHOOK_REQUIRE_HTTPS": "False",
            "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
            **settings,
        }

    def _create_database(self) -> None:
        if self._postgres:
            with psycopg.connect(self._postgres, autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))

    def _drop_database(self) -> None:
        if self._postgres:
            with psycopg.connect(self._postgres, autocommit=True) as connection:
                connection.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.database))
                )

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=servers.PROJECT, env=self.env, capture_output=True, text=True, timeout=self._command_seconds
        )
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout.rstrip("\n")

    def _start_web(self) -> subprocess.Popen[bytes]:
        # Listening before the web does, so that no other process takes the port.
        if self._web_socket is None:
            self._web_socket = socket.create_server(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{self._web_socket.getsockname()[1]}"
        listening = self._web_socket.fileno()
        log = self.folder / "web.log"
        process = servers.start(
            [
                *(PROGRAMS / "gunicorn", "winkhooks.wsgi", "--bind", f"fd://{listening}", "--workers", "1"),
                *("--threads", "4", "--no-control-socket"),
            ],
            log=log,
            env=self.env,
            pass_fds=[listening],
            ends_by=signal.SIGTERM,
        )
        with _killed_unless_ready(process):
            servers.wait_until(self._answers, "The web", process, log)
        return process

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/sign-in/", timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code < 500
        except OSError:
            return False
        return True

    def _worker(self, number: int) -> Program:
        log = self.folder / f"worker-{number}.log"
        has_beat = number == 1 and not self._beat_apart
        beat = ("--beat", "--schedule", self.folder / "beat-schedule") if has_beat else ()
        command = [
            *(PROGRAMS / "celery", "--app", "winkhooks", "worker", "--loglevel", "INFO"),
            *("--concurrency", str(self._concurrency)),
            *("--hostname", f"worker-{number}@%h", "--without-gossip", "--without-mingle", *beat),
        ]

        def start() -> subprocess.Popen[bytes]:
            seen = log.stat().st_size if log.exists() else 0
            process = servers.start(command, log=log, env=self.env)
            with _killed_unless_ready(process):
                servers.wait_until(lambda: b" ready." in log.read_bytes()[seen:], "The worker", process, log)
            return process

        return Program(start, log)

    def _start_beat(self) -> subprocess.Popen[bytes]:
        log = self.folder / "beat.log"
        seen = log.stat().st_size if log.exists() else 0
        process = servers.start(
            [
                *(PROGRAMS / "celery", "--app", "winkhooks", "beat", "--loglevel", "INFO"),
                *("--schedule", self.folder / "beat-schedule", "--pidfile="),
            ],
            log=log,
            env=self.env,
        )
        with _killed_unless_ready(process):
            servers.wait_until(lambda: b"beat: Starting" in log.read_bytes()[seen:], "Beat", process, log)
        return process

    def _end(self) -> None:
        if self._caller is not None:
            self._caller.end()
        for program in self.programs:
            program.stop()
        if self._web_socket is not None:
            self._web_socket.close()
        self._drop_database()


@contextlib.contextmanager
def _killed_unless_ready(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        servers.kill(process)
        raise


def _call(place: str, args: Any, kwargs: Any) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)(*args, **kwargs)


def _sign_of_listening(address: str) -> Path:
    """Return the file that says that somebody listens; the socket is there a moment before, and refuses."""
    return Path(f"{address}.listening")


def _fork_for_calls(address: str) -> NoReturn:
    """Make each call that comes over a connection in a fork, which answers."""
    # The kernel takes away the forks that have ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with Listener(address) as listener:
        _sign_of_listening(address).touch()
        while True:
            with listener.accept() as connection:
                place, args, kwargs = json.loads(connection.recv_bytes())
                # The next fork finds the module read.
                importlib.import_module(place.partition(":")[0])
                if not os.fork():
                    _answer(connection, place, args, kwargs)


def _answer(connection: Connection, place: str, args: Any, kwargs: Any) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        answer = json.dumps(_call(place, args, kwargs)).encode()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    connection.send_bytes(answer)
    # Taking the interpreter apart would cost more than the call.
    os._exit(0)


def _main() -> None:
    """Make the calls that come to a socket, or one that the command line names, with its result as last line."""
    import django

    django.setup()
    if len(sys.argv) == 2:
        _fork_for_calls(sys.argv[1])
    place, args, kwargs = sys.argv[1:]
    result = _call(place, json.loads(args), json.loads(kwargs))
    sys.stdout.write(f"\n{json.dumps(result)}\n")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "winkhooks.settings")
    _main()
