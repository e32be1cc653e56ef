"""Operations of migrations that build and drop indexes while large tables go on being written, where the database can.

A migration with one of them has `atomic = False`: PostgreSQL does this outside of transactions only.
"""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.migrations import AddIndex, RemoveIndex


class _BesideWriters:
    """Does as `Concurrently` says on PostgreSQL, and as `Plain` says elsewhere."""

    Concurrently: Any
    Plain: Any

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._way(schema_editor).database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._way(schema_editor).database_backwards(self, app_label, schema_editor, from_state, to_state)

    def _way(self, schema_editor: Any) -> Any:
        return self.Concurrently if schema_editor.connection.vendor == "postgresql" else self.Plain


class AddIndexBesideWriters(_BesideWriters, AddIndexConcurrently):
    Concurrently, Plain = AddIndexConcurrently, AddIndex


class RemoveIndexBesideWriters(_BesideWriters, RemoveIndexConcurrently):
    Concurrently, Plain = RemoveIndexConcurrently, RemoveIndex
