"""The catalogue of event types, as files.

`event_types.json` is Wink's list; `payload_schemas.json` are the JSON schemas of its payloads; `groups_fi.json` names
the groups in Finnish; `examples.json` are objects to show. After a change, add a migration that calls `load` again.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def _read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def load(event_type_model: Any) -> None:
    """Write the catalogue into the table of `event_type_model`; a key that is there already is updated."""
    schemas, groups_fi, examples = _read("payload_schemas.json"), _read("groups_fi.json"), _read("examples.json")
    rows = [
        event_type_model(
            key=entry["key"],
            group=entry["group"],
            group_fi=groups_fi[entry["group"]],
            title=entry["title"],
            title_fi=entry["title_fi"],
            delivered=entry["delivered"],
            deprecated=entry.get("deprecated", False),
            aliases=entry.get("aliases", []),
            roles=entry["roles"],
            schema=schemas.get(entry["payload"]),
            example=examples.get(entry["key"]),
        )
        for entry in _read("event_types.json")["events"]
    ]
    event_type_model.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=[field.name for field in event_type_model._meta.concrete_fields if not field.primary_key],
    )
