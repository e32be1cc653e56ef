import io

import pytest

from accounts import invitation_email, invitations
from accounts.models import Account, User
from winkhooks.emails import ConsoleBackend, compose


@pytest.mark.parametrize("language", ["en", "fi"])
def test_the_output_shows_what_a_person_can_read(account: Account, owner: User, language: str) -> None:
    account.name = "Hotelli Päivänsäde"
    account.save()
    invitation = invitations.invite(account=account, email="guest@example.com", role="viewer", by=owner)
    invitation.language = language
    token = invitations.token_of(invitation)
    email = invitation_email.compose(invitation, token)
    output = io.StringIO()
    ConsoleBackend(stream=output).send_messages([email])
    lines = output.getvalue().splitlines()

    assert lines[1] == "To: guest@example.com"
    assert lines[2] == f"Subject: {email.subject}"
    assert "Hotelli Päivänsäde" in email.subject
    assert f"http://localhost:8000/invitations/{token}/" in lines
    assert "<" not in output.getvalue()


def test_nothing_in_it_acts_on_the_terminal() -> None:
    email = compose(
        "accounts/email/letter",
        {"letter": {"text": "\x1b[2J"}},
        subject="Cleared",
        to="guest@example.com",
        message_id="1",
    )
    output = io.StringIO()
    ConsoleBackend(stream=output).send_messages([email])

    assert "\x1b" not in output.getvalue()
