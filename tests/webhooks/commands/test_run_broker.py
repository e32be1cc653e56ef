import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.core.management import CommandError, call_command
from pytest_django import Settings

BASE_DIR = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def no_server_in_place_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    def execv(program: str, arguments: list[str]) -> None:
        pytest.fail(f"It became {arguments}.")

    monkeypatch.setattr(os, "execv", execv)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="broker-") as folder:
        yield Path(folder)


def start_broker(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "run_broker"],
        cwd=BASE_DIR,
        env=os.environ | {"REDIS_URL": f"unix://{path}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for_answer(client: redis.Redis) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def test_it_becomes_a_server_for_this_user_alone(short_folder: Path, settings: Settings) -> None:
    path = short_folder / "deeper" / "valkey.sock"
    process = start_broker(path)
    try:
        with redis.Redis(unix_socket_path=str(path)) as client:
            wait_for_answer(client)
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
            assert client.config_get("save")["save"] == ""
            assert client.config_get("appendonly")["appendonly"] == "no"
            assert client.config_get("port")["port"] == "0"
            assert client.info("server")["process_id"] == process.pid

            settings.REDIS_URL = f"unix://{path}"
            with pytest.raises(CommandError, match=f"A broker answers on {path} already."):
                call_command("run_broker")
    finally:
        process.terminate()
        assert process.wait(10) == 0
    assert list(short_folder.rglob("*.rdb")) == []


@pytest.mark.parametrize("url", ["redis://localhost:6379/0", "rediss://localhost/0", "unix://relative/valkey.sock"])
def test_it_listens_on_a_unix_socket_only(url: str, settings: Settings) -> None:
    settings.REDIS_URL = url

    with pytest.raises(CommandError, match="REDIS_URL must begin with unix:///"):
        call_command("run_broker")


def test_it_says_that_the_path_is_too_long(settings: Settings) -> None:
    settings.REDIS_URL = f"unix:///tmp/{'x' * 103}"

    with pytest.raises(CommandError, match="is longer than the 107 bytes that a socket may have: set REDIS_URL"):
        call_command("run_broker")
