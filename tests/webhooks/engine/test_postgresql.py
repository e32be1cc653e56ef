import pytest
from django.db import connection

from accounts.models import Account
from webhooks.engine.postgresql import any_of, array, text_array
from winkhooks.uuid7 import uuid7

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

TEXTS = ["", "plain", "a,b", '"quoted"', "back\\slash", '\\"', "{curly}", "NULL", " spaces ", "new\nline", "äö→🎉", "'"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no arrays.")
def test_what_is_written_is_what_is_read() -> None:
    ids = [uuid7(), uuid7()]
    texts = [text_array(TEXTS), text_array([""]), text_array([])]
    others = [array([1, None, 3]), array(str(pk) for pk in ids), array([])]
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[], %s::text[], %s::text[], %s::int[], %s::uuid[], %s::int[]", texts + others)
        assert cursor.fetchone() == (TEXTS, [""], [], [1, None, 3], ids, [])


def test_a_nul_is_refused_instead_of_making_two_texts_of_one() -> None:
    with pytest.raises(ValueError, match="NUL"):
        text_array(["a\0b", "c"])


def test_it_finds_the_rows_of_many_ids() -> None:
    accounts = [Account.objects.create(name=str(number)) for number in range(3)]
    assert Account.objects.filter(pk__in=any_of([accounts[0].pk, accounts[2].pk, uuid7()])).count() == 2
    assert not Account.objects.filter(pk__in=any_of([])).exists()
