"""What `make run` starts, in a copy of the project with a .env of its own."""

import http.cookiejar
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import free_port

pytestmark = pytest.mark.stack

BASE_DIR = Path(__file__).resolve().parent.parent
PARTS = ["accounts", "locale", "manage.py", "Procfile", "scripts", "static", "templates", "webhooks", "winkhooks"]
START_SECONDS = 90
Run = subprocess.Popen[str]


@pytest.fixture
def project() -> Iterator[Path]:
    # Sockets must have short paths.
    with tempfile.TemporaryDirectory(prefix="winkhooks-run-", ignore_cleanup_errors=True) as folder:
        for part in PARTS:
            source = BASE_DIR / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, Path(folder) / part)
        shutil.copy(BASE_DIR / ".env.example", folder)
        made = subprocess.run(
            [sys.executable, "scripts/make_env.py"], cwd=folder, capture_output=True, text=True, check=True
        )
        (Path(folder) / ".env").write_text(made.stdout)
        yield Path(folder)


class Output:
    """Gathers what a run prints, so that its pipe never fills up."""

    def __init__(self, run: Run) -> None:
        self.lines: list[str] = []
        self._run = run
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._run.stdout is not None
        with self._run.stdout as lines:
            for line in lines:
                self.lines.append(line)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def end(self) -> str:
        self._thread.join(30)
        return self.text

    def wait_for(self, words: str) -> None:
        wait_until(lambda: words in self.text or self._run.poll() is not None, f"{words!r} did not come: {self.text}")
        assert words in self.text, self.text


def wait_until(ready: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.05)


def start(project: Path, **variables: str) -> Run:
    of_the_system = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "scripts/run.py"],
        cwd=project,
        env=of_the_system | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def processes_in(project: Path) -> dict[int, str]:
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The broker's is var.
            if (folder / "cwd").resolve().is_relative_to(project):
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


def kill_what_is_left(project: Path) -> None:
    for pid in processes_in(project):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def states(project: Path) -> Counter[str]:
    with sqlite3.connect(project / "var/winkhooks.sqlite3", timeout=20) as connection:
        counts = Counter(status for (status,) in connection.execute("SELECT status FROM webhooks_delivery"))
    connection.close()
    return counts


def sign_in(port: int, email: str, password: str) -> str:
    """Sign in as a browser does; return the page that follows."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    address = f"http://localhost:{port}/sign-in/"
    page = opener.open(address, timeout=20).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token is not None
    fields = {"csrfmiddlewaretoken": token[1], "username": email, "password": password}
    return str(opener.open(address, urllib.parse.urlencode(fields).encode(), timeout=20).read().decode())


def test_it_runs_all_and_ends_all_and_takes_up_where_it_stopped(project: Path) -> None:
    port, receiver_port = free_port(), free_port()
    try:
        run = start(project, PORT=str(port), RECEIVER_PORT=str(receiver_port))
        output = Output(run)
        output.wait_for("Ctrl-C ends it.")
        assert f"Winkhooks is ready: http://localhost:{port}/" in output.text

        found = re.search(r"Portal: +(\S+)  (\S+)\nAdministration: (\S+)  (\S+)\n", output.text)
        assert found is not None, output.text
        assert "Cool Account" in sign_in(port, found[1], found[2])

        wait_until(
            lambda: states(project) == {"SUCCEEDED": 3, "RETRYING": 3, "DEAD": 1}, f"{states(project)}\n{output.text}"
        )
        assert output.text.count("Wink-Signature valid  webhook-signature valid") == 7

        # To the whole group, as Ctrl-C in a terminal does.
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(30) == 0, output.text
        assert "Traceback" not in output.end(), output.text
        assert processes_in(project) == {}

        # Without its port, the receiver goes on where the webhooks of the demo call it.
        again = start(project, PORT=str(port))
        output = Output(again)
        output.wait_for("Ctrl-C ends it.")
        output.wait_for(f"Receiving webhooks on http://127.0.0.1:{receiver_port}/")
        assert found[0] in output.text
        assert states(project).total() == 7

        again.send_signal(signal.SIGTERM)
        assert again.wait(30) == 0, output.text
        assert "Traceback" not in output.end(), output.text
        assert processes_in(project) == {}

        # Killed, it cannot end anything itself.
        killed = start(project, PORT=str(port))
        Output(killed).wait_for("Ctrl-C ends it.")
        assert len(processes_in(project)) > 5
        killed.kill()
        killed.wait(10)
        wait_until(lambda: processes_in(project) == {}, f"{processes_in(project)} go on")
    finally:
        kill_what_is_left(project)


def test_it_says_that_a_port_is_taken(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = start(project, PORT=str(port))
        printed, _ = run.communicate(timeout=START_SECONDS)

    assert run.returncode == 1
    assert printed == (
        f"Port {port} cannot be used (Address already in use). Choose another one: make run PORT={port + 1}\n"
    )
    assert processes_in(project) == {}


def test_it_leaves_no_broker_where_the_receivers_port_is_taken(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = start(project, PORT=str(free_port()), RECEIVER_PORT=str(port))
        printed, _ = run.communicate(timeout=START_SECONDS)

    assert run.returncode == 1
    assert f"Port {port} cannot be used (Address already in use)." in printed
    assert f"make run RECEIVER_PORT={port + 1}" in printed
    assert processes_in(project) == {}


def test_it_says_which_setting_is_wrong(project: Path) -> None:
    run = start(project, LOG_LEVEL="LOUD")
    printed, _ = run.communicate(timeout=START_SECONDS)

    assert (run.returncode, printed) == (1, "LOG_LEVEL must be a known value such as INFO, not 'LOUD'.\n")


def test_it_says_which_port_is_none(project: Path) -> None:
    run = start(project, PORT="http")
    printed, _ = run.communicate(timeout=START_SECONDS)

    assert (run.returncode, printed) == (1, "PORT must be a port from 1 to 65535, not 'http'.\n")
