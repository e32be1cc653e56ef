"""The changes of members, and that an owner is left whatever happens at the same time."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from django.db import connection

from accounts.models import Account, LastOwner, Membership, Role, User
from tests.conftest import make_member

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


def of(user: User) -> Membership:
    return Membership.objects.select_related("account").get(user=user)


def demote(membership: Membership) -> bool:
    return membership.change_role(Role.VIEWER)


def end(membership: Membership) -> bool:
    return membership.end()


def test_a_role_can_be_changed(owner: User, viewer: User) -> None:
    assert of(viewer).change_role(Role.MANAGER)
    assert of(viewer).role == Role.MANAGER


def test_a_membership_can_be_ended(owner: User, viewer: User) -> None:
    assert of(viewer).end()
    assert not viewer.memberships.exists()


@pytest.mark.parametrize("change", [demote, end])
def test_the_last_owner_stays(owner: User, manager: User, stranger: User, change: Callable[[Membership], bool]) -> None:
    with pytest.raises(LastOwner):
        change(of(owner))
    assert of(owner).role == Role.OWNER


def test_the_last_owner_may_be_made_an_owner(owner: User) -> None:
    assert of(owner).change_role(Role.OWNER)


@pytest.mark.parametrize("change", [demote, end])
def test_one_of_two_owners_may_go(account: Account, owner: User, change: Callable[[Membership], bool]) -> None:
    another = make_member(account, Role.OWNER, "another@example.com")
    assert change(of(owner))
    assert of(another).is_last_owner()


@pytest.mark.parametrize("change", [demote, end])
def test_who_has_gone_is_not_changed(owner: User, viewer: User, change: Callable[[Membership], bool]) -> None:
    membership = of(viewer)
    of(viewer).end()
    assert not change(membership)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first, second", [(demote, demote), (end, end), (demote, end)])
def test_two_owners_who_put_each_other_out_at_once_leave_one(
    account: Account,
    owner: User,
    first: Callable[[Membership], bool],
    second: Callable[[Membership], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    another = make_member(account, Role.OWNER, "another@example.com")
    is_last_owner = Membership.is_last_owner
    # Who has looked waits for the other one to look as well, who must not be able to.
    both_have_looked = threading.Barrier(2, timeout=1)

    def look_and_wait(membership: Membership) -> bool:
        result = is_last_owner(membership)
        with suppress(threading.BrokenBarrierError):
            both_have_looked.wait()
        return result

    monkeypatch.setattr(Membership, "is_last_owner", look_and_wait)
    results: list[object] = []

    def work(change: Callable[[Membership], bool], user: User) -> None:
        try:
            results.append(change(of(user)))
        except LastOwner:
            results.append(LastOwner)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=args) for args in ((first, owner), (second, another))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(results, key=str) == [LastOwner, True]
    assert account.memberships.filter(role=Role.OWNER).count() == 1
