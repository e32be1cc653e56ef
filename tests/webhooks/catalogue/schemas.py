"""What the tests know of JSON schemas: the keywords of the catalogue, and what fits them."""

import datetime
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

Schema = dict[str, Any]

KEYWORDS = {"$defs", "$ref", "description", "enum", "example", "format", "properties", "required", "type"}
TYPES: dict[str, tuple[Any, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}
FORMATS: dict[str, Callable[[Any], bool]] = {
    "date": lambda text: bool(datetime.date.fromisoformat(text)),
    "date-time": lambda text: datetime.datetime.fromisoformat(text).tzinfo is not None,
    "double": lambda number: isinstance(number, (int, float)),
    "email": lambda text: bool(re.fullmatch(r"[^@\s]+@[^@\s]+", text)),
    "int32": lambda number: -(2**31) <= number < 2**31,
    "int64": lambda number: -(2**63) <= number < 2**63,
    "uri": lambda text: bool(urlsplit(text).scheme),
    "uuid": lambda text: bool(uuid.UUID(text)),
}


def violations(value: Any, schema: Schema, definitions: dict[str, Schema], path: str = "") -> Iterator[str]:
    """Say where `value` does not fit `schema`."""
    if "$ref" in schema:
        yield from violations(value, definitions[schema["$ref"].removeprefix("#/$defs/")], definitions, path)
        return
    types = TYPES[schema["type"]]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        yield f"{path}: {value!r} is no {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of its values"
    if "format" in schema and not has_format(value, schema["format"]):
        yield f"{path}: {value!r} is no {schema['format']}"
    yield from (f"{path}.{name} is missing" for name in schema.get("required", []) if name not in value)
    for name, member in schema.get("properties", {}).items():
        if name in value:
            yield from violations(value[name], member, definitions, f"{path}.{name}")


def has_format(value: Any, name: str) -> bool:
    try:
        return FORMATS[name](value)
    except ValueError:
        return False


def keywords_in(schema: Schema) -> set[str]:
    """Return the keywords that a schema uses, in its definitions too."""
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    return set(schema).union(*map(keywords_in, inner))
