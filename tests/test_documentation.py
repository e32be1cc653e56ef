"""What the documentation says is there: its links, its settings, and the examples that people copy."""

import re
import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from webhooks.models.webhook import generate_secret
from webhooks.signing import sign

PROJECT = Path(__file__).resolve().parent.parent
EXAMPLES = PROJECT / "templates" / "webhooks" / "verifying"
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings."""
    text = CODE.sub("", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def code_in(page: str, language: str) -> list[str]:
    return [code for name, code in CODE.findall((PROJECT / page).read_text()) if name == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_its_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if link.startswith("https://"):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}, which is not there."
        assert not anchor or anchor in anchors_of(target), f"{page.name} links to {link}, which has no such heading."


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in LINK.findall(page.read_text())
    }
    docs = PROJECT / "docs"
    unreachable = [page for page in docs.rglob("*.md") if page not in linked and page.parent not in linked]
    assert not unreachable


def test_every_setting_is_explained_to_operators() -> None:
    names = re.findall(r"^([A-Z_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE)
    operations = (PROJECT / "docs" / "operations.md").read_text()
    assert names
    assert [name for name in names if f"`{name}`" not in operations] == []


@pytest.mark.parametrize(
    "page, language, example",
    [("README.md", "python", "wink.py"), ("README.md", "js", "wink.mjs"), ("docs/receiving.md", "js", "standard.mjs")],
)
def test_it_has_the_examples_that_the_portal_shows(page: str, language: str, example: str) -> None:
    assert (EXAMPLES / example).read_text() in code_in(page, language)


def test_the_example_with_the_library_reads_what_the_portal_signs() -> None:
    [code] = code_in("docs/receiving.md", "python")
    names: dict[str, object] = {}
    exec(code, names)
    read = names["read"]
    assert callable(read)
    secret, body = generate_secret(), b'{"type":"booking.created"}'
    headers = {name.lower(): value for name, value in sign([secret], "01a20bb4", body, int(time.time()))}
    assert read(secret, headers, body) == {"type": "booking.created"}
    assert read(generate_secret(), headers, body) is None


def test_pictures_are_small_and_of_every_kind() -> None:
    pictures = list((PROJECT / "docs" / "screenshots").iterdir())
    assert [picture.name for picture in pictures if picture.stat().st_size > 200_000] == []
    assert sum(picture.stat().st_size for picture in pictures) < 12_000_000
    kinds = {"wide-light", "wide-dark", "narrow-light", "narrow-dark"}
    names = {re.sub(r"-(wide|narrow)-(light|dark)$", "", picture.stem) for picture in pictures}
    assert len(names) > 50
    assert {picture.name for picture in pictures} == {f"{name}-{kind}.webp" for name in names for kind in kinds}
