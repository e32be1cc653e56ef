import pytest
from django.utils import translation

from accounts import invitations
from accounts.models import Account, Invitation, User

GUEST = "guest@example.com"


@pytest.fixture
def invitation(account: Account, owner: User) -> Invitation:
    """One to an address that has no user, to become a manager."""
    # A request of a test before may have left another language.
    with translation.override("en"):
        return invitations.invite(account=account, email=GUEST, role="manager", by=owner)
