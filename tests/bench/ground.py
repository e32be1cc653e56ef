"""What the scenarios run on: PostgreSQL as a server has it, nginx as the receiver, and one stack at a time."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tests import servers
from tests.stack import Stack

NGINX = Path("/usr/sbin/nginx")
# Longer than anything takes; a machine that does other work meanwhile is slow, not broken.
COMMAND_SECONDS = 300
PORTAL_SECONDS = 1200
# A server that has run for a while uses old segments of its write-ahead log again. A fresh one fills each with zeros
# first, within somebody's commit: so many are there before anything is measured.
SEGMENTS = 128
# What is committed is on the disk, as where it counts; the rest is what a machine of this size is given.
POSTGRES_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "checkpoint_timeout": "15min",
    "max_wal_size": "4GB",
    # See SEGMENTS.
    "min_wal_size": "4GB",
    "shared_buffers": "1GB",
    "shared_preload_libraries": "pg_stat_statements",
    # Only the scenario that counts statements pays for counting them.
    "pg_stat_statements.track": "none",
}
NGINX_CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_timeout 75s;
    keepalive_requests 100000000;
    client_body_buffer_size 64k;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    log_format arrivals '$msec';
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type application/json;
        location / {{ return 200 '{{"received":true}}'; }}
        location /logged/ {{ access_log {folder}/arrivals.log arrivals; return 200 '{{"received":true}}'; }}
    }}
}}
"""


class Ground:
    """Starts each thing when it is first asked for, and ends all when it is left."""

    def __init__(self) -> None:
        self._ending = contextlib.ExitStack()
        # Sockets must have short paths, and PostgreSQL's own user must get to them.
        place = "/tmp" if os.geteuid() == 0 else None
        self._temporary = tempfile.TemporaryDirectory(prefix="winkhooks-bench-", dir=place)
        self.folder = Path(self._temporary.name)
        self._postgres = ""
        self._receiver = ""
        self._stack: Stack | None = None
        self._running_is: tuple[str | None, int] | None = None

    def __enter__(self) -> Self:
        self._ending.enter_context(self._temporary)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.end_stack()
        finally:
            self._ending.close()

    @property
    def postgres(self) -> str:
        """The URL of PostgreSQL."""
        if not self._postgres:
            folder = self.folder / "server"
            folder.mkdir()
            self.folder.chmod(0o711)
            process = servers.start_postgres(folder, durable=True, settings=POSTGRES_SETTINGS)
            self._ending.callback(servers.stop, process, signal.SIGINT, 60)
            url = servers.postgres_url(folder)
            servers.wait_until(
                lambda: servers.postgres_answers(url), "PostgreSQL", process, folder / "postgres.log", seconds=60
            )
            _let_segments_be_used_again(url)
            self._postgres = url
        return self._postgres

    @property
    def receiver(self) -> str:
        """The address of nginx, which answers 200 to everything; it logs the arrivals under `logged/`."""
        if not self._receiver:
            port = servers.free_port()
            configuration = self.folder / "nginx.conf"
            configuration.write_text(
                NGINX_CONFIGURATION.format(
                    folder=self.folder,
                    port=port,
                    user="user root;" if os.geteuid() == 0 else "",
                )
            )
            log = self.folder / "nginx.log"
            process = servers.start([NGINX, "-c", configuration, "-e", "stderr"], log=log)
            self._ending.callback(servers.stop, process, signal.SIGTERM)
            servers.wait_until(lambda: _listens(port), "nginx", process, log)
            self._receiver = f"http://127.0.0.1:{port}/"
        return self._receiver

    @property
    def arrivals(self) -> Path:
        """Where the receiver writes the moments, in Unix seconds, at which it answered what came under `logged/`."""
        return self.folder / "arrivals.log"

    def stack(self, concurrency: int = 2) -> Stack:
        """Return a stack on PostgreSQL with so many processes that deliver; another one ends before."""
        return self._running(self.postgres, concurrency)

    def portal(self) -> Stack:
        """Return the portal on PostgreSQL with no workers, for a `with`."""
        self.end_stack()
        return Stack(self._new_folder(), postgres=self.postgres, workers=0, command_seconds=PORTAL_SECONDS)

    def embedded_stack(self) -> Stack:
        """Return what `make run` starts without any set-up: SQLite, and one process that delivers."""
        return self._running(None, 1)

    def _running(self, postgres: str | None, concurrency: int) -> Stack:
        if self._stack is None or self._running_is != (postgres, concurrency):
            self.end_stack()
            stack = Stack(
                self._new_folder(),
                postgres=postgres,
                web=False,
                concurrency=concurrency,
                command_seconds=COMMAND_SECONDS,
            )
            self._stack = stack.__enter__()
            self._running_is = (postgres, concurrency)
        return self._stack

    def end_stack(self) -> None:
        if self._stack is not None:
            stack, self._stack = self._stack, None
            stack.__exit__(None, None, None)

    def limit(self, deliveries: int, processes: int) -> dict[str, Any]:
        """Measure the floor under what is being measured, on the same PostgreSQL and the same receiver."""
        dsn = _dsn(self.postgres)
        command = [
            *(sys.executable, "-m", "tests.bench.limit", "--dsn", dsn, "--url", self.receiver),
            *("--deliveries", str(deliveries), "--processes", str(processes)),
        ]
        done = subprocess.run(
            command, cwd=servers.PROJECT, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
        if done.returncode:
            raise RuntimeError(f"The limit ended with {done.returncode}: {done.stderr}")
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="stack-", dir=self.folder))


def _let_segments_be_used_again(url: str) -> None:
    with psycopg.connect(_dsn(url), autocommit=True) as connection:
        for _ in range(SEGMENTS):
            # A segment is left only once something was written to it.
            connection.execute("SELECT pg_logical_emit_message(false, 'bench', ''), pg_switch_wal()")
        connection.execute("CHECKPOINT")


def _dsn(url: str) -> str:
    """Return the URL in the form that libpq reads."""
    return url.replace("postgres://", "postgresql://", 1)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
