"""Pytest plugin: the environment of the tests, set before Django reads its settings, and the servers in it.

PostgreSQL and Valkey come out of their wheels. The process that was started as `pytest` runs them; the workers of xdist
inherit the environment. With DATABASE_URL or REDIS_URL set, those are used and nothing is started in their place.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests import servers

os.environ["ENV_FILE"] = os.devnull
os.environ["DEBUG"] = "True"

_owner = os.getpid()
folder: Path | None = None
processes: dict[str, subprocess.Popen[bytes]] = {}
_missing = [name for name in ("DATABASE_URL", "REDIS_URL") if not os.environ.get(name)]

if _missing:
    # Sockets must have short paths, and `nobody` must get to them.
    folder = Path(tempfile.mkdtemp(prefix="winkhooks-tests-", dir="/tmp" if os.geteuid() == 0 else None))
    if "DATABASE_URL" in _missing:
        os.environ["DATABASE_URL"] = servers.postgres_url(folder)
    if "REDIS_URL" in _missing:
        os.environ["REDIS_URL"] = f"unix://{folder / 'valkey.sock'}"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    socket.getaddrinfo = _look_up_loopback_only
    if folder is None or session.config.option.collectonly:
        return
    # As with Ctrl-C, what was started is ended and removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if "DATABASE_URL" in _missing:
        processes["postgres"] = servers.start_postgres(folder)
    if "REDIS_URL" in _missing:
        processes["valkey"] = servers.start_valkey(folder)


@atexit.register
def _end() -> None:
    if os.getpid() != _owner:
        return
    for name, process in processes.items():
        servers.stop(process, signal.SIGINT if name == "postgres" else signal.SIGTERM)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_database() -> None:
    """Wait until the PostgreSQL of DATABASE_URL answers; with another database there is nothing to wait for."""
    url = os.environ["DATABASE_URL"]
    if url.startswith("postgres"):
        servers.wait_until(
            lambda: servers.postgres_answers(url),
            "PostgreSQL",
            processes.get("postgres"),
            (folder or Path(os.devnull)) / "postgres.log",
        )


_getaddrinfo = socket.getaddrinfo


def _look_up_loopback_only(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[Any]:
    """Answer for addresses and `localhost`; any other name is unknown at once, whatever network there is."""
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return _getaddrinfo(name, port, family, type, proto, flags)
    try:
        return _getaddrinfo(name, port, family, type, proto, flags | socket.AI_NUMERICHOST)
    except socket.gaierror:
        raise socket.gaierror(socket.EAI_NONAME, f"No name is looked up in tests: {name}") from None
