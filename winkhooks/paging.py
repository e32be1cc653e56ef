"""Lists that are read a page at a time, newest first, by key: ids sort by time, and no page counts those before it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet
from django.http import QueryDict

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows, newest first, and the ids from which on there are newer and older ones; None where there are none."""

    rows: list[Row]
    newer_than: UUID | None
    older_than: UUID | None


def page_of(
    rows: QuerySet[Row],
    size: int,
    *,
    before: UUID | None = None,
    after: UUID | None = None,
    read: Callable[[QuerySet[Row]], list[Row]] = list,
) -> Page[Row]:
    """Return the newest of `rows`, those next before an id, or those next after one; `read` gets them and one more."""
    if after is not None and before is None:
        found = read(rows.filter(pk__gt=after).order_by("pk")[: size + 1])
        shown = found[:size][::-1]
        has_newer, has_older = len(found) > size, True
    else:
        found = read((rows.filter(pk__lt=before) if before else rows).order_by("-pk")[: size + 1])
        shown = found[:size]
        has_newer, has_older = before is not None, len(found) > size
    return Page(
        rows=shown,
        newer_than=shown[0].pk if shown and has_newer else None,
        older_than=shown[-1].pk if shown and has_older else None,
    )


def key_in(query: QueryDict, name: str) -> UUID | None:
    """Return the key at which a page begins; None where there is none, or it is not one."""
    try:
        return UUID(query.get(name, ""))
    except ValueError:
        return None
