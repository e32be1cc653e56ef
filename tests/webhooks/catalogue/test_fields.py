from typing import Any

import pytest

from tests.webhooks.catalogue.test_example import TREE
from webhooks.catalogue import read_file
from webhooks.catalogue.fields import Field, fields_of

SCHEMAS: dict[str, dict[str, Any]] = read_file("payload_schemas.json")
MEANINGS: dict[str, dict[str, str]] = read_file("field_meanings.json")


def fields(payload: str, language: str = "en") -> dict[str, Field]:
    return {field.path: field for field in fields_of(SCHEMAS[payload], language)}


def test_each_object_is_followed_by_its_own_fields() -> None:
    paths = list(fields("ReviewWebhookPayload"))
    assert paths == [
        "bookingIdentifier",
        "hotelIdentifier",
        "links",
        "links.self",
        "responded",
        "reviewDate",
        "reviewIdentifier",
        "roomRating",
        "text",
    ]


def test_a_field_has_what_the_schema_says_of_it() -> None:
    booking = fields("BookingWebhookPayload")
    assert booking["refundState"] == Field(
        path="refundState",
        type="string",
        format="",
        required=True,
        values=("NONE", "PARTIAL", "FULL"),
        meaning="Whether the booking was refunded, in part or in full.",
    )
    inner = booking["stay.checkIn"]
    assert (inner.parent, inner.name, inner.type, inner.format) == ("stay.", "checkIn", "string", "date")
    assert inner.required
    assert not booking["stay.nights"].required
    assert not booking["stay"].required


def test_a_meaning_may_depend_on_the_object() -> None:
    booking = fields("BookingWebhookPayload", "fi")
    assert booking["refund.status"].meaning == "Missä vaiheessa hyvitys on."
    assert booking["status"].meaning == "Nykyinen tila."


@pytest.mark.parametrize("payload", SCHEMAS)
@pytest.mark.parametrize("language", ["en", "fi"])
def test_every_field_has_a_meaning(payload: str, language: str) -> None:
    without = [path for path, field in fields(payload, language).items() if not field.meaning.endswith(".")]
    assert without == [], "Say in field_meanings.json what it means."


def test_no_meaning_is_left_over() -> None:
    paths = {path for payload in SCHEMAS for path in fields(payload)}
    names = {".".join(path.split(".")[-count:]) for path in paths for count in (1, 2)}
    assert set(MEANINGS) <= names


def test_what_the_schema_describes_itself_serves_where_no_meaning_is_written() -> None:
    schema = {"type": "object", "properties": {"mood": {"type": "string", "description": "Good or bad."}}}
    assert [field.meaning for field in fields_of(schema, "fi")] == ["Good or bad."]


def test_recursion_ends() -> None:
    assert [field.path for field in fields_of(TREE, "en")] == [
        "root",
        "root.name",
        "root.child",
        "root.leaf",
        "root.leaf.node",
        "root.leaf.ripe",
    ]
