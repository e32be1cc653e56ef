import socket
import uuid

import pytest
import redis
from celery import current_app
from pytest_django import Settings

from webhooks import workers


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> str:
    """A queue that no other test uses."""
    name = f"tests-{uuid.uuid4().hex}"
    monkeypatch.setitem(current_app.conf, "task_default_queue", name)
    return name


def test_without_workers_nobody_answers(queue: str) -> None:
    assert workers.ask(0.2) == workers.Answers(workers=[], messages=0)


def test_messages_that_wait_are_counted(queue: str, settings: Settings) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.rpush(queue, "one", "two", "three")
        try:
            assert workers.ask(0.2).messages == 3
        finally:
            client.delete(queue)


def test_a_broker_that_is_down_is_told(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(workers.BrokerDown, match="Connection refused"):
        workers.ask(0.2)


def test_a_broker_that_hangs_is_told(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with pytest.raises(workers.BrokerDown, match="Timeout"):
            workers.ask(0.2)
