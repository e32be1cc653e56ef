"""How times are written on pages."""

from datetime import UTC, datetime

import pytest
from django.template import Context, Template
from django.utils import timezone, translation

MOMENT = datetime(2026, 11, 24, 22, 30, 15, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "tag, language, shown",
    [
        ("short_time", "en", "25 Nov 2026, 00:30 EET"),
        ("exact_time", "en", "25 Nov 2026, 00:30:15 EET"),
        ("day", "en", "25 Nov 2026"),
        ("short_time", "fi", "25.11.2026 klo 0.30 EET"),
        ("exact_time", "fi", "25.11.2026 klo 0.30.15 EET"),
        ("day", "fi", "25.11.2026"),
    ],
)
def test_a_time_says_its_zone_and_has_the_exact_one(tag: str, language: str, shown: str) -> None:
    with timezone.override("Europe/Helsinki"), translation.override(language):
        page = Template(f"{{% load times %}}{{% {tag} moment %}}").render(Context({"moment": MOMENT}))
    start = '<time datetime="2026-11-25T00:30:15.250000+02:00" title="2026-11-24 22:30:15.250 UTC">'
    assert page == f"{start}{shown}</time>"
