"""Operations of migrations that build and drop indexes while large tables go on being written, where the database can.

A migration with one of them has `atomic = False`: PostgreSQL does this outside of transactions only.
"""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.migrations import AddIndex, RemoveIndex


class AddIndexBesideWriters(AddIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        add = AddIndexConcurrently if schema_editor.connection.vendor == "postgresql" else AddIndex
        add.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        add = AddIndexConcurrently if schema_editor.connection.vendor == "postgresql" else AddIndex
        add.database_backwards(self, app_label, schema_editor, from_state, to_state)


class RemoveIndexBesideWriters(RemoveIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        remove = RemoveIndexConcurrently if schema_editor.connection.vendor == "postgresql" else RemoveIndex
        remove.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        remove = RemoveIndexConcurrently if schema_editor.connection.vendor == "postgresql" else RemoveIndex
        remove.database_backwards(self, app_label, schema_editor, from_state, to_state)
