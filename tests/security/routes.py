"""All routes of the portal, with the ids that lead to something."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

# `<uuid:account_id>` in a path, `(?P<url>.*)` in a regular expression.
PLACE = re.compile(r"\(\?P<(?P<in_regex>\w+)>[^)]*\)|<(?:\w+:)?(?P<in_path>\w+)>")


@dataclass(frozen=True)
class Route:
    """A place in the URLconf: its name with its namespace, and its path with the names of what stands in it."""

    name: str
    path: str
    converters: tuple[str, ...]

    def url(self, values: dict[str, Any]) -> str:
        url = PLACE.sub(lambda place: str(values[place["in_regex"] or place["in_path"]]), self.path)
        return "/" + url.replace("^", "").replace("$", "")


def all_routes() -> list[Route]:
    return sorted(set(_routes(get_resolver(), "", "", ())), key=lambda route: (route.name, route.path))


def _routes(resolver: URLResolver, namespace: str, path: str, converters: tuple[str, ...]) -> Iterator[Route]:
    for entry in resolver.url_patterns:
        entry_path, entry_converters = path + str(entry.pattern), (*converters, *_converters(entry))
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from _routes(entry, inner, entry_path, entry_converters)
        else:
            # What has no name is named by its path.
            yield Route(f"{namespace}{entry.name or entry.pattern}", entry_path, entry_converters)


def _converters(entry: URLPattern | URLResolver) -> tuple[str, ...]:
    pattern = entry.pattern
    if isinstance(pattern, RoutePattern):
        return tuple(pattern.converters)
    return tuple(pattern.regex.groupindex)
