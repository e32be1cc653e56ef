"""What the broker and the workers say when they are asked."""

from dataclasses import dataclass

import redis
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

# So long a connection at most goes on waiting for messages when it is closed.
CLOSING_SECONDS = 0.1


class BrokerDown(Exception):
    """The broker does not answer; the text says why."""


@dataclass(frozen=True)
class Answers:
    workers: list[str]
    """Their names."""
    messages: int
    """How many messages wait until a worker takes them."""


def ask(seconds: float, worker: str | None = None) -> Answers:
    """Ask all workers, or one, and wait for so many seconds; raise BrokerDown.

    One is not waited for any longer once it has answered. The broker, too, may be silent for so many seconds.
    """
    try:
        messages = _messages_waiting(seconds)
        options = {"max_retries": 0, "socket_timeout": seconds, "socket_connect_timeout": seconds}
        # A new connection each time: in one that was used before, the first answer may get lost.
        with current_app.connection_for_write(
            transport_options={**options, "polling_interval": CLOSING_SECONDS}
        ) as broker:
            inspect = current_app.control.inspect([worker] if worker else None, timeout=seconds, connection=broker)
            answers = inspect.ping() or {}
    except (redis.RedisError, OperationalError, OSError) as error:
        raise BrokerDown(str(error)) from error
    return Answers(workers=sorted(answers), messages=messages)


def _messages_waiting(seconds: float) -> int:
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 0)
    ) as client:
        return int(client.llen(current_app.conf.task_default_queue))
