"""The catalogue of event types, as files.

`event_types.json` is Wink's list; `payload_schemas.json` are the JSON schemas of its payloads; `groups_fi.json` names
the groups in Finnish; `examples.json` are objects to show. After a change to these, add a migration that calls `load`
again. `field_meanings.json` says in both languages what the fields of the schemas mean; no table holds it.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def read_file(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def _rows() -> list[dict[str, Any]]:
    schemas = read_file("payload_schemas.json")
    groups_fi = read_file("groups_fi.json")
    examples = read_file("examples.json")
    return [
        {
            "key": entry["key"],
            "group": entry["group"],
            "group_fi": groups_fi[entry["group"]],
            "title": entry["title"],
            "title_fi": entry["title_fi"],
            "delivered": entry["delivered"],
            "deprecated": entry.get("deprecated", False),
            "aliases": entry.get("aliases", []),
            "roles": entry["roles"],
            "schema": schemas.get(entry["payload"]),
            "example": examples.get(entry["key"]),
        }
        for entry in read_file("event_types.json")["events"]
    ]


def load(event_type_model: Any) -> None:
    """Write the catalogue into the table of `event_type_model`; a key that is there already is updated.

    The model may be one of a migration, which lacks the fields that were added after it: they are left out.
    """
    rows = _rows()
    names = {field.name for field in event_type_model._meta.concrete_fields} & set(rows[0])
    event_type_model.objects.bulk_create(
        [event_type_model(**{name: row[name] for name in names}) for row in rows],
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=sorted(names - {"key"}),
    )
