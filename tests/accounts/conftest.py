import pytest

from accounts import invitations
from accounts.models import Account, Invitation, User

GUEST = "guest@example.com"


@pytest.fixture
def invitation(account: Account, owner: User) -> Invitation:
    """One to an address that has no user, to become a manager."""
    return invitations.invite(account=account, email=GUEST, role="manager", by=owner)
