import json
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account
from webhooks.models import Event

pytestmark = pytest.mark.django_db

OBJECT = '{"bookingCode": "WNK4ZQ7P"}'


def emit(present: Account, *arguments: str, type: str = "booking.created", **options: Any) -> str:
    out = StringIO()
    options = {"account": str(present.pk), "object": OBJECT, "stdout": out} | options
    call_command("emit_event", type, *arguments, **options)
    return out.getvalue()


def test_it_announces_and_prints_the_id(account: Account) -> None:
    printed = emit(account)

    event = Event.objects.get()
    assert printed == f"{event.pk}\n"
    assert (event.account, event.type_id, event.recipient_role) == (account, "booking.created", "SELF")
    assert json.loads(bytes(event.body))["object"] == {"bookingCode": "WNK4ZQ7P"}


def test_it_accepts_an_alias(account: Account) -> None:
    emit(account, type="booking.create")

    assert Event.objects.get().type_id == "booking.created"


def test_it_reads_the_object_from_a_file(account: Account, tmp_path: Path) -> None:
    file = tmp_path / "object.json"
    file.write_text('{"name": "Hämeenlinna"}', encoding="utf-8")

    emit(account, object=f"@{file}")

    assert json.loads(bytes(Event.objects.get().body))["object"] == {"name": "Hämeenlinna"}


def test_it_announces_as_many_as_asked_for(account: Account) -> None:
    printed = emit(account, "--count", "3")

    assert sorted(printed.split()) == sorted(str(pk) for pk in Event.objects.values_list("pk", flat=True))
    assert Event.objects.count() == 3


def test_it_announces_once_for_an_idempotency_key(account: Account) -> None:
    first = emit(account, "--idempotency-key", "booking-1")

    assert emit(account, "--idempotency-key", "booking-1") == first
    assert Event.objects.get().idempotency_key == "booking-1"


def test_it_announces_in_the_role_asked_for(account: Account) -> None:
    emit(account, "--recipient-role", "SUPPLIER")

    assert Event.objects.get().recipient_role == "SUPPLIER"


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"type": "booking.creatd"}, "booking.created"),
        ({"account": "cool"}, "--account must be the id of an account, a UUID, not 'cool'."),
        ({"object": "{"}, "--object is not JSON"),
        ({"object": "[1]"}, "--object must be a JSON object"),
        ({"object": '{"price": NaN}'}, "JSON cannot hold the object"),
        ({"object": "@/no/such/file"}, "/no/such/file cannot be read: No such file or directory."),
        ({"object": '{"a": "' + "x" * 262144 + '"}'}, "262144 are allowed"),
        ({"idempotency_key": ""}, "An idempotency key is a text of 1 to 255 characters."),
        ({"count": 0}, "--count must be 1 or more."),
        ({"count": 2, "idempotency_key": "k"}, "--idempotency-key stands for one event"),
    ],
)
def test_it_says_what_is_wrong(account: Account, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CommandError) as error:
        emit(account, **options)

    assert sentence in str(error.value)
    assert not Event.objects.exists()


def test_it_says_that_there_is_no_such_account(account: Account) -> None:
    unknown = uuid4()

    with pytest.raises(CommandError, match=f"There is no account {unknown}."):
        emit(account, account=str(unknown))


def test_it_refuses_an_unknown_role(account: Account) -> None:
    with pytest.raises(CommandError, match="invalid choice: 'GUEST'"):
        emit(account, "--recipient-role", "GUEST")
