"""The fields of a JSON schema, one a row, for people to read."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from webhooks.catalogue import read_file
from webhooks.catalogue.example import REFERENCE_PREFIX


@dataclass(frozen=True)
class Field:
    """A property of the object; one of an object in it has the names of both in its path, a full stop between."""

    path: str
    type: str
    format: str
    required: bool
    values: tuple[str, ...]
    meaning: str

    @property
    def parent(self) -> str:
        """Return the part of the path before the name."""
        return self.path[: self.path.rfind(".") + 1]

    @property
    def name(self) -> str:
        return self.path[len(self.parent) :]


def fields_of(schema: dict[str, Any], language: str) -> list[Field]:
    """Return the fields in the order of the schema, each object followed by its own; recursion is not followed."""
    return list(_fields(schema, schema.get("$defs", {}), language, "", ()))


def _fields(
    schema: dict[str, Any], definitions: dict[str, Any], language: str, parent: str, inside: tuple[str, ...]
) -> Iterator[Field]:
    for name, member in schema.get("properties", {}).items():
        reference = member.get("$ref", "")
        definition = definitions[reference.removeprefix(REFERENCE_PREFIX)] if reference else member
        path = parent + name
        yield Field(
            path=path,
            type=definition["type"],
            format=definition.get("format", ""),
            required=name in schema.get("required", []),
            values=tuple(definition.get("enum", [])),
            meaning=meaning_of(path, language) or definition.get("description", ""),
        )
        if reference not in inside:
            yield from _fields(
                definition, definitions, language, f"{path}.", (*inside, reference) if reference else inside
            )


def meaning_of(path: str, language: str) -> str:
    """Return what a field means, found by its name with that of its object, or by its name alone."""
    names = path.split(".")
    meanings = _meanings()
    found = meanings.get(".".join(names[-2:])) or meanings.get(names[-1], {})
    return found.get(language, "")


@cache
def _meanings() -> dict[str, dict[str, str]]:
    meanings: dict[str, dict[str, str]] = read_file("field_meanings.json")
    return meanings
