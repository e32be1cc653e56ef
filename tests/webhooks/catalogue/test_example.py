from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webhooks.catalogue.schemas import KEYWORDS, keywords_in, violations
from webhooks.catalogue import read_file
from webhooks.catalogue.example import example_of
from webhooks.models import EventType

SCHEMAS: dict[str, dict[str, Any]] = read_file("payload_schemas.json")
TREE = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/Node"}},
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "child": {"$ref": "#/$defs/Node"},
                "leaf": {"$ref": "#/$defs/Leaf"},
            },
        },
        "Leaf": {"type": "object", "properties": {"node": {"$ref": "#/$defs/Node"}, "ripe": {"type": "boolean"}}},
    },
}


def find_violations(value: Any, schema: dict[str, Any]) -> list[str]:
    return list(violations(value, schema, schema.get("$defs", {})))


every_schema = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)


@every_schema
def test_it_fits_its_schema(schema: dict[str, Any]) -> None:
    assert find_violations(example_of(schema), schema) == []


@every_schema
def test_it_has_every_property(schema: dict[str, Any]) -> None:
    assert list(example_of(schema)) == list(schema["properties"])


@every_schema
def test_it_is_the_same_each_time(schema: dict[str, Any]) -> None:
    assert example_of(schema) == example_of(schema)


@every_schema
def test_the_catalogue_uses_no_keyword_that_it_does_not_know(schema: dict[str, Any]) -> None:
    assert keywords_in(schema) <= KEYWORDS, "Teach webhooks/catalogue/example.py and fields.py the new keyword."


@pytest.mark.parametrize(
    "path, value",
    [
        (["bookingCode"], 1),
        (["bookingIdentifier"], "WNK4ZQ7P"),
        (["createdAt"], "2026-11-24T09:30:00"),
        (["refundState"], "SOME"),
        (["stay", "checkIn"], "18.12.2026"),
        (["stay", "adults"], 2.5),
        (["guest", "email"], "aino"),
        (["links", "self"], "booking"),
        (["total", "amount"], "412.50"),
        (["total"], {"amount": 1}),
    ],
)
def test_what_does_not_fit_would_be_noticed(path: list[str], value: Any) -> None:
    schema = SCHEMAS["BookingWebhookPayload"]
    made = example_of(schema)
    *inside, name = path
    target = made
    for step in inside:
        target = target[step]
    target[name] = value
    assert len(find_violations(made, schema)) == 1


def test_recursion_ends() -> None:
    assert example_of(TREE) == {"root": {"name": "Aurora", "leaf": {"ripe": True}}}


def test_it_takes_the_first_value_of_an_enum_or_the_one_of_the_words() -> None:
    schema = {"type": "object", "properties": {"kind": {"type": "string", "enum": ["ROOM_TYPE", "SPA"]}}}
    assert example_of(schema) == {"kind": "ROOM_TYPE"}
    assert example_of(schema, ["SPA", "UPDATED"]) == {"kind": "SPA"}


def test_a_text_that_is_not_foreseen_says_what_it_is() -> None:
    assert example_of({"type": "object", "properties": {"mood": {"type": "string"}}}) == {"mood": "mood"}


@pytest.mark.django_db
def test_each_event_that_is_delivered_has_an_example_that_fits() -> None:
    for event_type in EventType.objects.filter(delivered=True):
        assert event_type.schema is not None
        assert find_violations(event_type.example_object(), event_type.schema) == [], event_type.key


@pytest.mark.django_db
@pytest.mark.parametrize(
    "key, name, value",
    [
        ("spa.updated", "itemType", "SPA"),
        ("special_rate.created", "itemType", "SPECIAL_RATE"),
        ("booking.cancelled", "status", "CANCELLED"),
        ("booking.refund.partial", "refundState", "PARTIAL"),
    ],
)
def test_an_example_is_of_its_type(key: str, name: str, value: str) -> None:
    example = EventType.objects.get(pk=key).example_object()
    assert example is not None
    assert example[name] == value


@pytest.mark.django_db
def test_an_example_of_its_own_comes_first_and_nothing_of_nothing() -> None:
    created = EventType.objects.get(pk="booking.created")
    assert created.example_object() == created.example
    assert EventType.objects.get(pk="booking.sync.run").example_object() is None


formats: dict[str, list[str | None]] = {
    "boolean": [None],
    "integer": [None, "int32", "int64"],
    "number": [None, "double"],
    "string": [None, "date", "date-time", "email", "uri", "uuid"],
}


def with_format(kind: str, name: str | None) -> dict[str, Any]:
    return {"type": kind} if name is None else {"type": kind, "format": name}


plain = st.sampled_from([with_format(kind, name) for kind, names in formats.items() for name in names])
enums = st.lists(st.text(), min_size=1).map(lambda values: {"type": "string", "enum": values})
references = st.sampled_from(["A", "B"]).map(lambda name: {"$ref": f"#/$defs/{name}"})
property_names = st.one_of(st.text(), st.sampled_from(["name", "amount", "checkIn", "adults", "latitude"]))


def objects(members: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(property_names, members, max_size=4).map(lambda them: {"type": "object", "properties": them})


@given(
    schema=objects(st.recursive(plain | enums | references, objects, max_leaves=8)),
    definitions=st.fixed_dictionaries({name: objects(plain | references) for name in "AB"}),
)
def test_it_fits_schemas_that_nobody_has_written_yet(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    schema = schema | {"$defs": definitions}
    assert find_violations(example_of(schema), schema) == []
