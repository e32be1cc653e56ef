import json

import pytest
from django.test import Client

from accounts.models import Account
from tests.webhooks.admin.pages import make_event, page, row_url
from webhooks.models import EventType


def test_the_body_is_pretty(client: Client, account: Account) -> None:
    content = page(client, row_url("event", make_event(account).pk))
    assert "    &quot;guest&quot;: &quot;Matti Äyräpää&quot;" in content


def test_a_body_of_256_kb_is_shown_whole(client: Client, account: Account) -> None:
    body = json.dumps({"object": {"text": "<b>" + "x" * (256 * 1024 - 100) + "</b>end"}}).encode()
    content = page(client, row_url("event", make_event(account, body=body).pk))
    assert "xxx&lt;/b&gt;end" in content
    assert f"{len(body)}" in content.replace(",", "")


@pytest.mark.parametrize(
    "body, shown",
    [
        (b"<b>not JSON \xff", "&lt;b&gt;not JSON \\xff"),
        (b'{"a": "\\ud800"}', "\\ud800"),
        (b'{"a": "\xe2\x80\xae"}', "\\u202e"),
        (b"[" * 100_000, "[[["),
    ],
)
def test_a_body_that_cannot_be_shown_is_spelled_out(client: Client, account: Account, body: bytes, shown: str) -> None:
    assert shown in page(client, row_url("event", make_event(account, body=body).pk))


def test_event_types_show_schema_and_example(client: Client) -> None:
    event_type = EventType.objects.exclude(schema=None).first()
    assert event_type is not None
    assert '<pre class="raw">{' in page(client, row_url("eventtype", event_type.pk))
