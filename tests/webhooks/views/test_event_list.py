import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import Account, User
from tests.conftest import client_of
from tests.webhooks.conftest import announce, make_webhook
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks import event_log, events
from webhooks.engine.dispatch import dispatch
from webhooks.models import Event, Webhook
from winkhooks.uuid7 import uuid7

NOBODYS_ID = "019ab2a0-0000-7000-8000-00000000ffff"


@pytest.fixture
def url(account: Account) -> str:
    return reverse("webhooks:event_list", args=[account.pk])


@pytest.fixture
def two_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "PAGE_SIZE", 2)


def show(user: User, url: str, language: str = "en", **filters: str) -> str:
    response = client_of(user).get(url, filters, headers={"accept-language": language})
    assert response.status_code == 200
    return text_of(response)


def ids_on(page: str) -> list[UUID]:
    return [UUID(found) for found in re.findall(r'<code class="log-id" id="event-\d+">([0-9a-f-]{36})</code>', page)]


def link_on(page: str, text: str) -> str | None:
    match = re.search(rf'<a class="btn btn-secondary" href="([^"]*)"[^>]*>{text}</a>', page)
    return match and match[1].replace("&amp;", "&")


def ids_of(found: list[Event]) -> list[UUID]:
    """Return their ids as the list has them, newest first."""
    return [event.pk for event in reversed(found)]


class TestAccess:
    def test_it_sends_the_anonymous_to_the_sign_in(self, url: str) -> None:
        assert Client().get(url).headers["Location"] == f"{reverse('accounts:sign_in')}?next={url}"

    def test_it_is_not_there_for_strangers(self, stranger: User, url: str) -> None:
        assert client_of(stranger).get(url).status_code == 404

    @pytest.mark.parametrize("role", ["owner", "manager", "viewer"])
    def test_members_see_the_events(
        self, role: str, request: pytest.FixtureRequest, account: Account, url: str
    ) -> None:
        [event] = announce(account)
        page = show(request.getfixturevalue(role), url)
        assert ids_on(page) == [event.pk]
        assert f'href="{reverse("webhooks:event_detail", args=[account.pk, event.pk])}"' in page

    def test_events_of_other_accounts_are_not_in_it(self, owner: User, stranger: User, url: str) -> None:
        other = Account.objects.get(name="Another Account")
        event = events.emit(type="booking.created", account=other, object={}, idempotency_key="theirs")
        assert ids_on(show(owner, url)) == []
        for text in (str(event.pk), "theirs"):
            assert "This account has no event with this id or idempotency key." in show(owner, url, id=text)

    def test_it_cannot_be_posted_to(self, owner: User, url: str) -> None:
        assert client_of(owner).post(url).status_code == 405


@pytest.mark.parametrize("language, labels", [("en", ["Webhooks", "Events"]), ("fi", ["Webhookit", "Tapahtumat"])])
def test_it_is_a_tab_of_the_account(owner: User, url: str, language: str, labels: list[str]) -> None:
    page = show(owner, url, language)
    tabs = re.findall(r'<a class="tab"\s+href="([^"]*)"\s+(aria-current="page")?>(.*?)</a>', page)
    assert [(current, label) for _, current, label in tabs][-3:-1] == [
        ("", labels[0]),
        ('aria-current="page"', labels[1]),
    ]
    assert tabs[-2][0] == url


class TestRow:
    @pytest.mark.parametrize(
        "language, words",
        [
            ("en", ["New", "Dispatched", "No subscribers", "1 webhook", "2 webhooks", "No webhook"]),
            ("fi", ["Uusi", "Jaettu", "Ei tilaajia", "1 webhook", "2 webhookia", "Ei yhtään webhookia"]),
        ],
    )
    def test_it_says_what_became_of_the_event(
        self, account: Account, owner: User, url: str, language: str, words: list[str]
    ) -> None:
        make_webhook(account, "https://a.example/", "booking.created")
        make_webhook(account, "https://b.example/", "booking.created", "booking.cancelled")
        for event_type in ("booking.created", "booking.cancelled", "property.created"):
            announce(account, event_type)
        dispatch()
        announce(account, "booking.failed")
        rows = re.findall(r'<tr role="row">\s*<th scope="row".*?</tr>', show(owner, url, language), re.DOTALL)
        told = [re.sub(r"<[^>]*>", " ", row).split() for row in rows]
        new, dispatched, nobody, one, two, none = words
        for row, event_type, end in [
            (told[0], "booking.failed", new),
            (told[1], "property.created", f"{nobody} {none}"),
            (told[2], "booking.cancelled", f"{dispatched} {one}"),
            (told[3], "booking.created", f"{dispatched} {two}"),
        ]:
            assert row[0] == event_type
            assert " ".join(row).endswith(end)

    def test_it_says_when_the_event_occurred(self, account: Account, owner: User, url: str) -> None:
        moment = datetime(2026, 11, 24, 9, 30, 15, tzinfo=UTC)
        events.emit(type="booking.created", account=account, object={}, occurred_at=moment)
        assert 'title="2026-11-24 09:30:15.000 UTC">24 Nov 2026, 09:30:15 UTC</time>' in show(owner, url)


class TestFind:
    @pytest.mark.parametrize("form", ["{}", " {} ", "{{{}}}", "urn:uuid:{}"])
    def test_an_id_leads_to_its_event(self, account: Account, owner: User, url: str, form: str) -> None:
        event = announce(account, count=3)[1]
        for text in (str(event.pk), str(event.pk).upper(), event.pk.hex):
            response = client_of(owner).get(url, {"id": form.format(text)})
            assert response.headers["Location"] == f"{url}{event.pk}/"

    def test_an_idempotency_key_leads_to_its_event(self, account: Account, owner: User, url: str) -> None:
        announce(account)
        event = events.emit(type="booking.created", account=account, object={}, idempotency_key="booking-7")
        response = client_of(owner).get(url, {"id": "booking-7"})
        assert response.headers["Location"] == f"{url}{event.pk}/"

    def test_an_id_that_is_the_key_of_another_event_shows_both(self, account: Account, owner: User, url: str) -> None:
        [first] = announce(account)
        second = events.emit(type="booking.created", account=account, object={}, idempotency_key=str(first.pk))
        assert ids_on(show(owner, url, id=str(first.pk))) == [second.pk, first.pk]

    @pytest.mark.parametrize("text", [NOBODYS_ID, "no-such-key", "%", "' OR 1=1 --", "<script>alert(1)</script>"])
    def test_what_fits_nothing_is_said_so_and_kept(self, account: Account, owner: User, url: str, text: str) -> None:
        announce(account)
        page = show(owner, url, id=text)
        assert "This account has no event with this id or idempotency key." in page
        assert "Events are kept for 30 days." in page
        assert "<script>alert" not in page
        assert ids_on(page) == []

    def test_one_that_fits_other_filters_alone_is_shown_in_the_list(
        self, account: Account, owner: User, url: str
    ) -> None:
        [event] = announce(account)
        assert ids_on(show(owner, url, type="booking.created")) == [event.pk]


class TestFilters:
    def test_by_type(self, account: Account, owner: User, url: str) -> None:
        announce(account)
        cancelled = announce(account, "booking.cancelled", 2)
        assert ids_on(show(owner, url, type="booking.cancelled")) == ids_of(cancelled)

    def test_types_have_their_names_beside_their_keys(self, owner: User, url: str) -> None:
        page = text_of(client_of(owner).get(url, headers={"accept-language": "fi"}))
        assert '<option value="booking.created">Varaus luotu · booking.created</option>' in page
        assert '<option value="booking.created">Booking created · booking.created</option>' in show(owner, url)

    @pytest.mark.parametrize("state, position", [("NEW", 2), ("DISPATCHED", 0), ("NO_SUBSCRIBERS", 1)])
    def test_by_state(self, account: Account, owner: User, url: str, state: str, position: int) -> None:
        make_webhook(account, "https://a.example/", "booking.created")
        announced = [*announce(account), *announce(account, "booking.cancelled")]
        dispatch()
        announced += announce(account)
        assert ids_on(show(owner, url, state=state)) == [announced[position].pk]

    def test_by_time_to_the_end_of_the_minute(self, account: Account, owner: User, url: str) -> None:
        moments = ("09:29:59.999", "09:30:00.000", "09:31:59.999", "09:32:00.000")
        made = [self.event_at(account, moment) for moment in moments]
        day = "2026-11-24T"
        assert ids_on(show(owner, url, since=f"{day}09:30", until=f"{day}09:31")) == [made[2], made[1]]
        assert ids_on(show(owner, url, since=f"{day}09:32")) == [made[3]]
        assert ids_on(show(owner, url, until=f"{day}09:29")) == [made[0]]

    def test_times_are_in_the_zone_of_the_pages(
        self, account: Account, owner: User, url: str, settings: Settings
    ) -> None:
        settings.TIME_ZONE = "Europe/Helsinki"
        made = self.event_at(account, "09:30:00.000")
        assert ids_on(show(owner, url, since="2026-11-24T11:30", until="2026-11-24T11:30")) == [made]
        page = show(owner, url, since="2026-11-24T11:31")
        assert ids_on(page) == []
        assert "Times are in the time zone Europe/Helsinki." in page

    def test_together_they_keep_what_fits_all(self, account: Account, owner: User, url: str) -> None:
        announce(account, "booking.cancelled")
        dispatch()
        announce(account)
        [event] = announce(account, "booking.cancelled")
        filters = {"type": "booking.cancelled", "state": "NEW", "since": "2026-01-01T00:00", "until": ""}
        page = show(owner, url, **filters)
        assert ids_on(page) == [event.pk]
        assert '<option value="booking.cancelled" selected>' in page
        assert '<option value="NEW" selected>New</option>' in page
        assert 'value="2026-01-01T00:00"' in page

    @pytest.mark.parametrize(
        "filters, message",
        [
            ({"type": "booking.dreamt"}, "There is no event “booking.dreamt” to choose."),
            ({"type": "<script>"}, "There is no event “&lt;script&gt;” to choose."),
            ({"state": "LOST"}, "There is no state “LOST”."),
            ({"since": "yesterday"}, "Enter a date and a time, as in 2026-11-24T09:30."),
            ({"until": "2026-13-01T00:00"}, "Enter a date and a time, as in 2026-11-24T09:30."),
            ({"since": "0001-01-01T00:00"}, "Enter a date and a time, as in 2026-11-24T09:30."),
            ({"until": "9999-12-31T23:59"}, "Enter a date and a time, as in 2026-11-24T09:30."),
            ({"id": "k" * 256}, "Neither event ids nor idempotency keys are so long."),
            ({"id": "a\0b"}, "Null characters are not allowed."),
        ],
    )
    def test_nonsense_is_said_to_be_so(
        self, account: Account, owner: User, url: str, filters: dict[str, str], message: str
    ) -> None:
        announce(account)
        page = show(owner, url, **filters)
        assert message in page
        assert "These filters cannot be read" in page
        assert ids_on(page) == []

    def event_at(self, account: Account, time: str) -> UUID:
        """Make an event as it is made at that time of 2026-11-24; the clock of the library of ids cannot be moved."""
        moment = datetime.fromisoformat(f"2026-11-24T{time}+00:00")
        milliseconds = int(moment.timestamp() * 1000)
        [event] = announce(account)
        made = UUID(int=milliseconds << 80 | uuid7().int & (1 << 80) - 1)
        Event.objects.filter(pk=event.pk).update(id=made)
        return made


@pytest.mark.usefixtures("two_a_page")
class TestPages:
    def walk(self, user: User, url: str, word: str, query: str = "") -> list[list[UUID]]:
        """Follow the links of that name to the last page; return the ids on each."""
        client, pages = client_of(user), []
        link: str | None = query
        while link is not None:
            page = text_of(client.get(url + link))
            pages.append(ids_on(page))
            link = link_on(page, word)
        return pages

    def test_older_and_newer_lead_through_all_and_back(self, account: Account, owner: User, url: str) -> None:
        ids = ids_of(announce(account, count=5))
        assert self.walk(owner, url, "Older") == [ids[:2], ids[2:4], ids[4:]]
        assert self.walk(owner, url, "Newer", f"?before={ids[3]}") == [ids[4:], ids[2:4], ids[:2]]

    def test_what_arrives_meanwhile_moves_nothing(self, account: Account, owner: User, url: str) -> None:
        ids = ids_of(announce(account, count=4))
        first = show(owner, url)
        late = ids_of(announce(account, count=3))
        older = text_of(client_of(owner).get(url + (link_on(first, "Older") or "")))
        assert (ids_on(first), ids_on(older)) == (ids[:2], ids[2:])
        newer = self.walk(owner, url, "Newer", link_on(older, "Newer") or "")
        assert newer == [ids[:2], late[1:], late[:1]]

    def test_the_filters_stay(self, account: Account, owner: User, url: str) -> None:
        ids = []
        for _ in range(3):
            ids += announce(account, "booking.cancelled")
            announce(account)
        cancelled = ids_of(ids)
        assert self.walk(owner, url, "Older", "?type=booking.cancelled") == [cancelled[:2], cancelled[2:]]

    def test_the_newest_are_a_link_away_with_the_filters(self, account: Account, owner: User, url: str) -> None:
        ids = ids_of(announce(account, count=5))
        page = show(owner, url, before=str(ids[1]), type="booking.created")
        assert link_on(page, "Newest") == "?type=booking.created"
        assert link_on(show(owner, url), "Newest") is None

    def test_one_page_has_no_links(self, account: Account, owner: User, url: str) -> None:
        announce(account, count=2)
        assert 'class="pager"' not in show(owner, url)

    @pytest.mark.parametrize("cursor", ["nonsense", "0", "' OR 1=1 --"])
    def test_a_cursor_that_is_no_id_leads_to_the_newest(
        self, account: Account, owner: User, url: str, cursor: str
    ) -> None:
        ids = ids_of(announce(account, count=3))
        for name in ("before", "after"):
            assert ids_on(show(owner, url, **{name: cursor})) == ids[:2]

    def test_a_cursor_beyond_all_leads_back(self, account: Account, owner: User, url: str) -> None:
        ids = ids_of(announce(account, count=3))
        page = show(owner, url, after=str(ids[0]))
        assert ids_on(page) == []
        assert f'href="{url}">Show all events</a>' in page


def test_there_may_be_none_yet(owner: User, url: str) -> None:
    page = show(owner, url)
    assert "No events yet" in page
    assert "<table" not in page


def test_its_queries_do_not_grow_with_the_events(
    account: Account, owner: User, webhook: Webhook, url: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = client_of(owner)
    client.get(url)
    for count in (1, 30):
        announce(account, count=count)
        # The session, the user, the membership, the event types, the events, and the accounts in the sidebar.
        with django_assert_num_queries(6):
            client.get(url, {"type": "booking.created"})


def test_it_reads_no_bodies(account: Account, owner: User, url: str) -> None:
    announce(account)
    [event] = event_log.page_of(Event.objects.filter(account=account)).rows
    assert "body" in event.get_deferred_fields()


def test_it_has_no_inline_code(account: Account, owner: User, url: str) -> None:
    announce(account)
    assert_no_inline_code(client_of(owner).get(url))
