"""Example objects for event types that have none of their own, made from their JSON schemas."""

import uuid
from collections.abc import Collection
from typing import Any

REFERENCE_PREFIX = "#/$defs/"
ID_NAMESPACE = uuid.UUID("6f1c2a34-5b7e-4a1d-9c55-0e8b7f2d9a10")

# By format, or by type where there is none, and then by the name of the property; the empty name is for all others.
VALUES: dict[str, dict[str, Any]] = {
    "boolean": {"": True},
    "date": {"": "2026-11-24", "checkIn": "2026-12-18", "checkOut": "2026-12-21"},
    "date-time": {"": "2026-11-24T09:30:00Z"},
    "double": {"": 1.5, "latitude": 60.1699, "longitude": 24.9384},
    "email": {"": "aino.virtanen@example.com"},
    "int32": {"": 1, "adults": 2, "children": 0, "roomRating": 9},
    "int64": {"": 1, "nights": 3},
    "integer": {"": 1},
    "number": {"": 1.5, "amount": 412.5},
    "string": {
        "addressLine1": "Rantakatu 1",
        "addressLine2": "2nd floor",
        "bookingCode": "WNK4ZQ7P",
        "city": "Helsinki",
        "countryCode": "FI",
        "currency": "EUR",
        "currencyCode": "EUR",
        "firstName": "Aino",
        "lastName": "Virtanen",
        "name": "Aurora",
        "postalCode": "00100",
        "ratePlanName": "Best available rate",
        "reason": "The guest cannot travel.",
        "responseFromHotel": "Thank you, and welcome back!",
        "roomTypeName": "Double room",
        "state": "Uusimaa",
        "telephone": "+358 9 123 4567",
        "text": "A quiet room with a view of the lake.",
        "urlName": "hotel-aurora",
    },
    "uri": {"": "https://api.wink.example/"},
}


def example_of(schema: dict[str, Any], words: Collection[str] = ()) -> Any:
    """Return what fits `schema`, the same each time, with every property but those that lead back into themselves.

    Of an enum it takes the first value, or the one that is among `words`. It knows the keywords that the schemas of the
    catalogue use, and no others.
    """
    return _Maker(schema.get("$defs", {}), words).value(schema)


class _Maker:
    def __init__(self, definitions: dict[str, dict[str, Any]], words: Collection[str]) -> None:
        self.definitions = definitions
        self.words = words

    def value(self, schema: dict[str, Any], name: str = "", inside: tuple[str, ...] = ()) -> Any:
        """Return what fits `schema`; `name` is that of the property, `inside` the references that lead here."""
        if "$ref" in schema:
            reference = schema["$ref"]
            definition = self.definitions[reference.removeprefix(REFERENCE_PREFIX)]
            return self.value(definition, name, (*inside, reference))
        if "example" in schema:
            return schema["example"]
        if "enum" in schema:
            return next((value for value in schema["enum"] if value in self.words), schema["enum"][0])
        if schema["type"] == "object":
            return {
                member_name: self.value(member, member_name, inside)
                for member_name, member in schema.get("properties", {}).items()
                if member.get("$ref") not in inside
            }
        kind = schema.get("format", schema["type"])
        if kind == "uuid":
            return str(uuid.uuid5(ID_NAMESPACE, name))
        # A text that is not foreseen says what it is.
        return VALUES[kind].get(name, VALUES[kind].get("", name))
