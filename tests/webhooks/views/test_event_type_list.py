import re

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.conftest import client_of
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks.models import EventType


@pytest.fixture
def url(db: None) -> str:
    return reverse("webhooks:event_type_list")


def keys_on(page: str) -> list[str]:
    return re.findall(r"<code>([a-z._-]+)</code>", page)


def find(user: User, url: str, text: str, language: str = "en") -> str:
    return text_of(client_of(user).get(url, {"q": text}, headers={"accept-language": language}))


def test_it_sends_the_anonymous_to_the_sign_in(url: str) -> None:
    assert Client().get(url).headers["Location"] == f"{reverse('accounts:sign_in')}?next={url}"


@pytest.mark.parametrize("name", ["owner", "manager", "viewer", "stranger"])
def test_whoever_signed_in_may_read_it(name: str, request: pytest.FixtureRequest, url: str) -> None:
    page = text_of(client_of(request.getfixturevalue(name)).get(url))
    assert "<h1>Event catalogue</h1>" in page
    assert len(keys_on(page)) == 110


def test_each_event_leads_to_its_page(owner: User, url: str) -> None:
    page = text_of(client_of(owner).get(url))
    for key in EventType.objects.values_list("key", flat=True):
        assert f'href="{reverse("webhooks:event_type_detail", args=[key])}"' in page


@pytest.mark.parametrize(
    "language, groups", [("en", ["Account", "Bookings", "Perks"]), ("fi", ["Aktiviteetit", "Edut", "Varaukset"])]
)
def test_groups_and_titles_are_in_the_language_of_the_page(
    owner: User, url: str, language: str, groups: list[str]
) -> None:
    page = text_of(client_of(owner).get(url, headers={"accept-language": language}))
    shown = re.findall(r'<h2 class="card-title" id="group-\d+">(.*?)</h2>', page)
    assert shown == sorted(shown)
    assert [group for group in shown if group in groups] == groups
    assert ("Varaus luotu" in page) == (language == "fi")


@pytest.mark.parametrize("language, words", [("en", "Not delivered yet"), ("fi", "Ei vielä toimiteta")])
def test_it_marks_what_is_not_delivered(owner: User, url: str, language: str, words: str) -> None:
    page = text_of(client_of(owner).get(url, headers={"accept-language": language}))
    assert page.count(f'<span class="badge">{words}</span>') == 39


@pytest.mark.parametrize("language, words", [("en", "Only by hand"), ("fi", "Vain käsin")])
def test_it_marks_the_type_of_test_events(owner: User, url: str, language: str, words: str) -> None:
    page = text_of(client_of(owner).get(url, headers={"accept-language": language}))
    assert page.count(f'<span class="badge">{words}</span>') == 1


@pytest.mark.parametrize("language, word", [("en", "Deprecated"), ("fi", "Vanhentunut")])
def test_it_marks_what_is_deprecated(owner: User, url: str, language: str, word: str) -> None:
    badge = f'<span class="badge badge-warning">{word}</span>'
    assert badge not in text_of(client_of(owner).get(url, headers={"accept-language": language}))
    EventType.objects.filter(pk="spa.deleted").update(deprecated=True)
    assert text_of(client_of(owner).get(url, headers={"accept-language": language})).count(badge) == 1


class TestSearch:
    @pytest.mark.parametrize(
        "text, keys",
        [
            ("  Booking   CREATED ", ["booking.created", "booking.payout.create", "booking.review.created"]),
            ("review received", ["booking.review.created"]),
            ("perks", ["perk.deleted", "perk.updated"]),
            ("booking.create", ["booking.created"]),
        ],
    )
    def test_it_finds_words_of_title_key_group_and_aliases(
        self, owner: User, url: str, text: str, keys: list[str]
    ) -> None:
        assert sorted(keys_on(find(owner, url, text))) == keys

    def test_it_finds_finnish_titles_and_groups_on_finnish_pages(self, owner: User, url: str) -> None:
        assert keys_on(find(owner, url, "VARAUS LUOTU", "fi")) == ["booking.created"]
        assert keys_on(find(owner, url, "kylpylät luotu", "fi")) == ["spa.created"]
        assert keys_on(find(owner, url, "kylpylät luotu")) == []

    @pytest.mark.parametrize(
        "language, text, words",
        [
            ("en", "spas deleted", "1 event fits the search."),
            ("en", "spas", "3 events fit the search."),
            ("en", "nothing like it", "No event fits the search."),
            ("fi", "spa.deleted", "1 tapahtuma vastaa hakua."),
            ("fi", "spa.", "3 tapahtumaa vastaa hakua."),
            ("fi", "nothing like it", "Mikään tapahtuma ei vastaa hakua."),
        ],
    )
    def test_it_says_how_many_there_are(self, owner: User, url: str, language: str, text: str, words: str) -> None:
        page = find(owner, url, text, language)
        assert words in page
        assert f'value="{text}"' in page
        assert f'<a href="{url}">' in page

    def test_without_words_it_says_nothing_and_shows_all(self, owner: User, url: str) -> None:
        page = find(owner, url, "  ")
        assert "the search." not in page
        assert len(keys_on(page)) == 110

    def test_what_was_typed_is_escaped(self, owner: User, url: str) -> None:
        page = find(owner, url, '"><script>alert(1)</script>')
        assert "<script>alert" not in page
        assert "No event fits the search." in page


def test_its_queries_do_not_grow(owner: User, url: str, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    client = client_of(owner)
    # The session, the user, the event types, and the accounts in the sidebar.
    with django_assert_num_queries(4):
        client.get(url)
    with django_assert_num_queries(4):
        client.get(url, {"q": "spa.deleted"})


def test_it_cannot_be_posted_to(owner: User, url: str) -> None:
    assert client_of(owner).post(url).status_code == 405


def test_it_has_no_inline_code(owner: User, url: str) -> None:
    assert_no_inline_code(client_of(owner).get(url, {"q": "spa"}))
