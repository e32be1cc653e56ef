"""Run the whole portal on this machine: web, worker with beat, broker, and a sample receiver with demo data.

It takes up where it stopped; Ctrl-C ends all of it.
"""

import contextlib
import functools
import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent
DEFAULT_PORT = 8000
DEFAULT_RECEIVER_PORT = 9100
START_SECONDS = 60
# As long as the slowest request may take, and a little for what is written after it.
STOP_SECONDS = 15


def main() -> None:
    os.chdir(BASE_DIR)
    sys.path.insert(0, str(BASE_DIR))
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    os.environ["DJANGO_SETTINGS_MODULE"] = "winkhooks.settings"
    os.environ["PYTHONUNBUFFERED"] = "1"
    # As root, as in a container, Celery says it with eight lines.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:You're running the worker with superuser privileges")

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)

    import django
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management.base import CommandError

    try:
        django.setup()
        run()
    except (ImproperlyConfigured, CommandError) as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def end(number: int, frame: object) -> None:
    """Leave by an exception, so that what has been started is ended on the way out."""
    raise SystemExit(128 + number)


def run() -> None:
    port = port_from("PORT") or DEFAULT_PORT
    demand_free(port, "PORT")
    say("Preparing the database and the static files ...")
    broker = start_broker()
    try:
        prepare_database()
        collect_static()
        receiver_port = prepare_demo()
        os.environ["PORT"] = str(port)
        os.environ.setdefault("PORTAL_URL", f"http://localhost:{port}")
        names = ["web", "worker"]
        if receiver_port:
            os.environ["RECEIVER_PORT"] = str(receiver_port)
            names.append("receiver")
        supervise(names, port, broker)
    finally:
        if broker:
            broker.terminate()
            broker.wait()


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def port_from(name: str) -> int | None:
    text = os.environ.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise SystemExit(f"{name} must be a port from 1 to 65535, not {text!r}.")
    return int(text)


def demand_free(port: int, variable: str) -> None:
    with socket.socket() as probe:
        # As the servers do it, so that connections of an earlier run that wait for their end do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SystemExit(
                f"Port {port} cannot be used ({error.strerror}). Choose another one: make run {variable}={port + 1}"
            ) from error


def prepare_database() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)


def collect_static() -> None:
    """Run collectstatic where a file has changed since the last time; it takes seconds."""
    from django.conf import settings
    from django.contrib.staticfiles.finders import get_finders
    from django.core.management import call_command

    fingerprint = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            status = os.stat(storage.path(path))
            fingerprint.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    stamp = Path(settings.STATIC_ROOT) / ".fingerprint"
    if not stamp.is_file() or stamp.read_text() != fingerprint.hexdigest():
        call_command("collectstatic", verbosity=0, interactive=False, clear=True)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(fingerprint.hexdigest())


def prepare_demo() -> int | None:
    """Seed the demo; return the port of its receiver, or None where .env is not the demo's."""
    from webhooks.management.commands import seed_demo

    if "DEMO_PASSWORD" not in os.environ:
        say("Without DEMO_PASSWORD in .env there is no demo data and no sample receiver.")
        return None
    seeded_port = seed_demo.receiver_port()
    port = port_from("RECEIVER_PORT") or seeded_port or DEFAULT_RECEIVER_PORT
    demand_free(port, "RECEIVER_PORT")
    if seeded_port and seeded_port != port:
        say(
            f"The demo's webhooks call port {seeded_port}, but its receiver will listen on {port}: "
            "change their URLs, or leave RECEIVER_PORT out."
        )
    seed_demo.seed_once(seed_demo.required_variable("DEMO_PASSWORD"), seed_demo.required_variable("DEMO_SECRET"), port)
    return port


def start_broker() -> subprocess.Popen[bytes] | None:
    """Start the embedded broker, unless REDIS_URL names a server that is there."""
    from django.conf import settings

    from webhooks.management.commands import run_broker

    if not settings.REDIS_URL.startswith("unix:"):
        return None
    path = run_broker.socket_path(settings.REDIS_URL)
    if run_broker.is_answered(path):
        return None
    log = settings.VAR_DIR / "broker.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        # In a session of its own, so that Ctrl-C does not reach it: the worker needs it until it has ended.
        broker = subprocess.Popen(
            run_broker.server_command(path),
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
    deadline = time.monotonic() + START_SECONDS
    while not run_broker.is_answered(path):
        if broker.poll() is not None or time.monotonic() > deadline:
            broker.kill()
            raise SystemExit(f"The embedded broker did not start: {log} says why.")
        time.sleep(0.02)
    return broker


def end_with_parent() -> None:
    """Let this process be killed when the one that started it is gone, however that ended. Only Linux does it."""
    from celery.platforms import set_pdeathsig  # type: ignore[attr-defined]  # missing in the stubs

    set_pdeathsig("SIGKILL")


def supervise(names: list[str], port: int, broker: subprocess.Popen[bytes] | None) -> None:
    """Run processes of the Procfile until one of them ends or a signal comes; then end them all."""
    import honcho.manager
    from django.db import connections
    from honcho.compat import ProcessManager
    from honcho.environ import parse_procfile
    from honcho.printer import Printer
    from honcho.process import Popen, Process

    class MainProcesses(ProcessManager):
        """Tells only the first process of each group to end: that of the worker lets its pool finish what it sends."""

        def terminate(self, pid: int) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    class ChildProcess(Process):
        """Ends with this script, and so does what it starts, where the script has no time to end them."""

        def run(self, *args: Any, **kwargs: Any) -> None:
            end_with_parent()
            self._child_ctor = functools.partial(Popen, preexec_fn=end_with_parent)
            super().run(*args, **kwargs)

    # The processes are forked from this one.
    connections.close_all()
    honcho.manager.KILL_WAIT = STOP_SECONDS
    procfile = parse_procfile((BASE_DIR / "Procfile").read_text())
    manager = honcho.manager.Manager(Printer(sys.stdout))
    manager._procmgr = MainProcesses()
    manager._process_ctor = ChildProcess
    for name in names:
        manager.add_process(name, f"exec {procfile.processes[name]}")

    # A closed terminal ends it as Ctrl-C does.
    signal.signal(signal.SIGHUP, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))
    watch = threading.Thread(target=watch_over, args=(port, broker, os.getppid()), daemon=True)
    watch.start()
    manager.loop()
    ended_by_signal = manager.returncode in {130, 143}
    raise SystemExit(0 if ended_by_signal else 1)


def watch_over(port: int, broker: subprocess.Popen[bytes] | None, parent: int) -> None:
    """Greet when the web answers; end all where the broker has ended, or `make` without a word."""
    greeted = False
    while True:
        if not greeted and answers(port):
            greet(port)
            greeted = True
        if os.getppid() != parent or (broker and broker.poll() is not None):
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(0.2)


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/sign-in/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def greet(port: int) -> None:
    from django.db import connections

    from webhooks.management.commands import seed_demo

    lines = ["", f"Winkhooks is ready: http://localhost:{port}/"]
    if "DEMO_PASSWORD" in os.environ:
        lines += seed_demo.sign_ins(os.environ["DEMO_PASSWORD"])
    connections.close_all()
    say("\n".join([*lines, "Ctrl-C ends it.", ""]))


if __name__ == "__main__":
    main()
