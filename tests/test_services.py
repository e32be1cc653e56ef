"""The ground that the tests stand on."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time

import psutil
import pytest
import redis
from django.conf import settings
from django.db import connection
from pytest_socket import SocketConnectBlockedError

from tests.conftest import group_of
from tests.servers import PROJECT

# What starts processes that take their time.
SHARED = ("browser", "network", "stack")


def test_what_shares_processes_goes_to_one_worker(request: pytest.FixtureRequest) -> None:
    tests = [test for test in request.session.items if isinstance(test, pytest.Function)]
    groups = {shared: {group_of(test.nodeid) for test in tests if shared in test.fixturenames} for shared in SHARED}
    assert {shared: names for shared, names in groups.items() if None in names or len(names) > 1} == {}


@pytest.mark.storage
@pytest.mark.django_db
def test_the_database_is_the_one_that_was_asked_for() -> None:
    assert connection.vendor == ("sqlite" if os.environ["DATABASE_URL"].startswith("sqlite") else "postgresql")
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode")
            assert cursor.fetchone() == ("wal",)


def test_the_broker_answers() -> None:
    assert redis.from_url(settings.REDIS_URL).ping()


def test_no_name_is_looked_up() -> None:
    started = time.monotonic()

    with pytest.raises(socket.gaierror, match=r"No name is looked up in tests: name\.example"):
        socket.getaddrinfo("name.example", 443)

    assert time.monotonic() - started < 0.1
    assert socket.getaddrinfo("localhost", 443)
    assert socket.getaddrinfo("192.0.2.1", 443)


@pytest.mark.filterwarnings("ignore:A test tried to use socket.socket.connect")
def test_nothing_but_loopback_is_called() -> None:
    with pytest.raises(SocketConnectBlockedError), socket.socket() as client:
        client.connect(("192.0.2.1", 80))


def test_the_servers_end_with_a_killed_pytest(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("killed")
    (folder / "test_hang.py").write_text(
        "import json, pathlib, time\n"
        "from tests import services\n"
        "def test_hang():\n"
        "    services.wait_for_database()\n"
        "    pids = [process.pid for process in services.processes.values()]\n"
        f"    new = pathlib.Path({str(folder / 'new')!r})\n"
        "    new.write_text(json.dumps([str(services.folder), *pids]))\n"
        f"    new.rename({str(folder / 'servers')!r})\n"
        "    time.sleep(60)\n"
    )
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "no:cacheprovider", str(folder)]
    pytest_process = subprocess.Popen(command, cwd=PROJECT, env=env, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not (folder / "servers").exists():
            assert pytest_process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        left_over, *pids = json.loads((folder / "servers").read_text())
        servers = [psutil.Process(pid) for pid in pids]
        assert [server.name() for server in servers] == ["postgres", "valkey-server"]
    finally:
        pytest_process.kill()
        pytest_process.wait()

    _, alive = psutil.wait_procs(servers, timeout=5)

    shutil.rmtree(left_over)
    assert not alive
