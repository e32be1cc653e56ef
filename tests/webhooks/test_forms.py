from typing import Any

import pytest
from django.http import QueryDict
from django.utils import translation

from accounts.models import Account, Role, User
from tests.conftest import make_member
from webhooks.engine import guard
from webhooks.forms import WebhookForm, WebhookUpdateForm
from webhooks.models import EventType, Webhook

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "check_url", lambda url: None)


def posted(**changes: Any) -> QueryDict:
    values = {
        "name": "Wink Stalker",
        "enabled": "on",
        "event_types": ["booking.created"],
        "url": "https://my.system.com/webhook/wink",
    } | changes
    query = QueryDict(mutable=True)
    for name, value in values.items():
        query.setlist(name, value if isinstance(value, list) else [value])
    return query


def form_of(user: User, for_account: Account, /, **changes: Any) -> WebhookForm:
    return WebhookForm(posted(**{"account": str(for_account.pk)} | changes), user=user)


def keys(form: WebhookForm) -> list[str]:
    return sorted(event_type.key for event_type in form.cleaned_data["event_types"])


def test_its_fields_stand_in_the_order_of_the_flow(owner: User) -> None:
    labels = [str(field.label) for field in WebhookForm(user=owner)]
    assert labels == ["Name", "Enable", "Entity name", "Events", "Webhook URL"]


def test_its_labels_are_finnish_in_finnish(owner: User) -> None:
    with translation.override("fi"):
        labels = [str(field.label) for field in WebhookForm(user=owner)]
    assert labels == ["Nimi", "Ota käyttöön", "Entiteetin nimi", "Tapahtumat", "Webhook-URL"]


def test_enable_is_on_from_the_start(owner: User) -> None:
    assert "checked" in str(WebhookForm(user=owner)["enabled"])


def test_it_takes_valid_input(owner: User, account: Account) -> None:
    form = form_of(owner, account)
    assert form.is_valid()
    assert form.cleaned_data["account"] == account
    assert keys(form) == ["booking.created"]


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("name", "", "Give the webhook a name."),
        ("name", "   ", "Give the webhook a name."),
        ("name", "a" * 201, "Ensure this value has at most 200 characters (it has 201)."),
        ("url", "", "Enter the URL to which events are to be sent."),
        ("url", "  ", "Enter the URL to which events are to be sent."),
        ("url", "my.system.com", "Enter the whole URL, as in https://my.system.com/webhook/wink."),
        ("account", "", "Choose an account."),
        ("account", "nonsense", "“nonsense” is not a valid UUID."),
        ("event_types", ["booking.exploded"], "There is no event “booking.exploded” to choose."),
        ("event_types", ["booking.created", "<b>"], "There is no event “<b>” to choose."),
    ],
)
def test_bad_input_gets_a_sentence_at_its_field(
    owner: User, account: Account, field: str, value: Any, message: str
) -> None:
    form = form_of(owner, account, **{field: value})
    assert form.errors == {field: [message]}
    assert form[field].value() == value


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("name", "", "Anna webhookille nimi."),
        ("url", "", "Anna URL-osoite, johon tapahtumat lähetetään."),
        ("account", "", "Valitse tili."),
        ("event_types", ["booking.exploded"], "Tapahtumaa ”booking.exploded” ei ole valittavana."),
    ],
)
def test_bad_input_gets_a_finnish_sentence_in_finnish(
    owner: User, account: Account, field: str, value: Any, message: str
) -> None:
    with translation.override("fi"):
        assert form_of(owner, account, **{field: value}).errors == {field: [message]}


def test_white_space_around_what_is_typed_is_cut(owner: User, account: Account) -> None:
    form = form_of(owner, account, name=" Wink Stalker ", url=" https://my.system.com/ ")
    assert form.is_valid()
    assert (form.cleaned_data["name"], form.cleaned_data["url"]) == ("Wink Stalker", "https://my.system.com/")


def test_an_alias_counts_as_its_key(owner: User, account: Account) -> None:
    form = form_of(owner, account, event_types=["booking.create", "booking.created"])
    assert form.is_valid()
    assert keys(form) == ["booking.created"]


def test_an_alias_ticks_the_box_of_its_key(owner: User, account: Account) -> None:
    chooser = str(form_of(owner, account, name="", event_types=["booking.create"])["event_types"])
    assert chooser.count(" checked") == 1
    assert 'value="booking.created" id="id_event_types' in chooser


def test_no_event_chosen_is_valid(owner: User, account: Account) -> None:
    form = form_of(owner, account, event_types=[])
    assert form.is_valid()
    assert keys(form) == []


def test_it_offers_all_events_that_are_delivered_and_no_others(owner: User) -> None:
    chooser = str(WebhookForm(user=owner)["event_types"])
    assert EventType.objects.filter(delivered=True).count() == chooser.count('name="event_types"') == 70


def test_an_event_that_is_not_delivered_is_refused(owner: User, account: Account) -> None:
    key = EventType.objects.filter(delivered=False).values_list("key", flat=True)[0]
    assert form_of(owner, account, event_types=[key]).errors == {
        "event_types": [f"There is no event “{key}” to choose."]
    }


def test_events_stand_in_groups_of_the_pages_language(owner: User) -> None:
    with translation.override("fi"):
        chooser = str(WebhookForm(user=owner)["event_types"])
    assert '<span class="event-group-name">Varaukset</span>' in chooser
    assert "Bookings" not in chooser


def test_it_offers_the_accounts_in_which_the_user_may_manage_webhooks(owner: User, stranger: User) -> None:
    managed = Account.objects.create(name="Managed")
    managed.memberships.create(user=owner, role=Role.MANAGER)
    looked_at = Account.objects.create(name="Looked at")
    looked_at.memberships.create(user=owner, role=Role.VIEWER)
    choices = [label for _, label in WebhookForm(user=owner).fields["account"].choices]  # type: ignore[attr-defined]
    assert choices == ["Cool Account", "Managed"]


def test_it_refuses_accounts_of_others_like_ones_that_do_not_exist(account: Account, stranger: User) -> None:
    assert form_of(stranger, account).errors == {"account": ["Choose one of the accounts in the list."]}


def test_it_refuses_accounts_in_which_the_user_only_looks(account: Account, viewer: User) -> None:
    assert form_of(viewer, account).errors == {"account": ["Choose one of the accounts in the list."]}


def update_form(user: User, webhook: Webhook, **changes: Any) -> WebhookUpdateForm:
    return WebhookUpdateForm(posted(**{"version": str(webhook.version)} | changes), user=user, instance=webhook)


def test_the_limit_stands_after_the_fields_of_the_flow(owner: User, webhook: Webhook) -> None:
    labels = [str(field.label) for field in update_form(owner, webhook).visible_fields()]
    assert labels == ["Name", "Enable", "Entity name", "Events", "Webhook URL", "Requests per second, at most"]


def test_a_new_webhook_gets_no_limit_whatever_is_posted(owner: User, account: Account) -> None:
    form = form_of(owner, account, rate_limit="20")
    assert form.is_valid()
    assert "rate_limit" not in form.cleaned_data


def test_the_account_of_a_webhook_stays(owner: User, webhook: Webhook) -> None:
    other = Account.objects.create(name="Other")
    other.memberships.create(user=owner, role=Role.OWNER)
    form = update_form(owner, webhook, account=str(other.pk))
    assert form.is_valid()
    assert form.cleaned_data["account"] == webhook.account
    assert "disabled" in str(form["account"])


def test_a_url_that_stays_is_not_checked_again(owner: User, webhook: Webhook) -> None:
    Webhook.objects.update(url="http://10.0.0.1/")
    webhook.refresh_from_db()
    assert update_form(owner, webhook, url="http://10.0.0.1/", name="Renamed").is_valid()
    assert not update_form(owner, webhook, url="http://10.0.0.2/", name="Renamed").is_valid()


def test_an_event_that_is_no_longer_delivered_stays_chosen(owner: User, webhook: Webhook) -> None:
    EventType.objects.filter(key="booking.created").update(delivered=False)
    webhook.event_types.set(EventType.objects.filter(key="booking.created"))
    form = update_form(owner, webhook)
    assert form.is_valid()
    assert keys(form) == ["booking.created"]


@pytest.mark.parametrize("version", ["", "x", "1.5"])
def test_a_page_without_its_version_is_out_of_date(owner: User, webhook: Webhook, version: str) -> None:
    form = update_form(owner, webhook, version=version)
    assert form.errors == {"version": ["This page is out of date. Load it again."]}


def test_a_manager_may_use_it_too(account: Account) -> None:
    assert form_of(make_member(account, Role.MANAGER, "m@example.com"), account).is_valid()
