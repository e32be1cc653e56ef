from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account, Membership, User
from webhooks.events import ledger
from webhooks.management.commands import seed_demo
from webhooks.models import Event, Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def demo_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PASSWORD", "a-demo-password")
    monkeypatch.setenv("DEMO_SECRET", SECRET)


def seed(port: int = 9471) -> str:
    out = StringIO()
    call_command("seed_demo", receiver_port=port, stdout=out)
    return out.getvalue()


def test_it_makes_users_who_can_sign_in(client: object) -> None:
    printed = seed()

    owner, staff = User.objects.get(email=seed_demo.OWNER_EMAIL), User.objects.get(is_staff=True)
    assert all(user.check_password("a-demo-password") for user in User.objects.all())
    assert staff.is_superuser
    assert printed.splitlines() == [
        f"Portal:         {owner.email}  a-demo-password",
        f"Administration: {staff.email}  a-demo-password",
    ]


def test_the_owner_owns_both_accounts() -> None:
    seed()

    memberships = Membership.objects.filter(user__email=seed_demo.OWNER_EMAIL)
    assert {(str(m.account), m.role) for m in memberships} == {("Cool Account", "owner"), ("Lakeside Hotels", "owner")}


def test_an_account_has_members_of_every_role() -> None:
    seed()

    roles = Membership.objects.filter(account__name="Cool Account").values_list("user__email", "role")
    assert dict(roles) == {
        seed_demo.OWNER_EMAIL: "owner",
        seed_demo.MANAGER_EMAIL: "manager",
        seed_demo.VIEWER_EMAIL: "viewer",
    }


def test_the_webhooks_call_the_sample_receiver() -> None:
    seed(port=9555)

    stalker = Webhook.objects.get(name="Wink Stalker")
    assert (stalker.account.name, stalker.url) == ("Cool Account", "http://127.0.0.1:9555/webhook/wink")
    assert [str(event_type) for event_type in stalker.event_types.all()] == ["booking.created"]
    assert [state.event_types for state in stalker.states.all()] == [["booking.created"]]
    assert {webhook.secret for webhook in Webhook.objects.all()} == {SECRET}
    assert set(Webhook.objects.values_list("url", flat=True)) >= {
        "http://127.0.0.1:9555/status/503",
        "http://127.0.0.1:9555/status/404",
    }


def test_it_announces_and_leaves_the_delivering_to_the_engine() -> None:
    seed()

    assert ledger().events == {"NEW": Event.objects.count()}
    assert Event.objects.count() > 2


def test_a_second_run_overwrites_nothing() -> None:
    seed()
    Account.objects.filter(name="Cool Account").update(name="Cooler Account")
    Webhook.objects.filter(name="Wink Stalker").update(url="https://my.system.com/webhook/wink", name="Mine")
    Webhook.objects.get(name="Everything").remove(by=None)
    owner = User.objects.get(email=seed_demo.OWNER_EMAIL)
    owner.set_password("another-password")
    owner.save()
    before = [list(model.objects.order_by("pk").values()) for model in (User, Account, Membership, Webhook, Event)]

    printed = seed(port=9999)

    after = [list(model.objects.order_by("pk").values()) for model in (User, Account, Membership, Webhook, Event)]
    assert after == before
    assert f"{owner.email}  (changed)" in printed


def test_it_leaves_a_user_who_has_the_address_as_he_is() -> None:
    User.objects.create_user("Owner@Demo.Example", "mine")

    seed()

    assert User.objects.get(email__iexact=seed_demo.OWNER_EMAIL).check_password("mine")


def test_the_receivers_port_can_be_found_again() -> None:
    assert seed_demo.receiver_port() is None
    seed(port=9555)
    assert seed_demo.receiver_port() == 9555
    Webhook.objects.filter(name="Wink Stalker").update(url="https://my.system.com:1234/webhook/wink")
    assert seed_demo.receiver_port() is None


@pytest.mark.parametrize("name", ["DEMO_PASSWORD", "DEMO_SECRET"])
def test_it_demands_the_demos_variables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)

    with pytest.raises(CommandError, match=f"Set {name} in the environment or in .env"):
        seed()
    assert not User.objects.exists()
