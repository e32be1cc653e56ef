import pytest
from django.utils import translation

from webhooks.signature_check.findings import Finding, Problem
from webhooks.signature_check.sentences import SENTENCES, sentence


@pytest.mark.parametrize("problem", Problem)
def test_every_problem_has_a_sentence_in_both_languages(problem: Problem) -> None:
    finding = Finding(problem, 12345)
    with translation.override("en"):
        english = sentence(finding)
    with translation.override("fi"):
        finnish = sentence(finding)
    assert english != finnish
    for text in (english, finnish):
        assert text.endswith(".")
        assert "%(" not in text
    assert "%(detail)s" not in str(SENTENCES[problem]) or "12345" in english


@pytest.mark.parametrize(
    "language, text",
    [
        (
            "en",
            "The request was signed 2\xa0hours, 5\xa0minutes ago (7512 s). A receiver accepts 300 s. That is as it "
            "should be for an old request; if this one came just now, check the clock of your receiver.",
        ),
        (
            "fi",
            "Allekirjoittamisesta on kulunut 2\xa0tuntia, 5\xa0minuuttia (7512 s). Vastaanottaja hyväksyy 300 s. "
            "Vanhalle pyynnölle näin kuuluukin käydä; jos tämä saapui juuri nyt, tarkista vastaanottajasi kello.",
        ),
    ],
)
def test_a_time_is_told_in_words_and_in_seconds(language: str, text: str) -> None:
    with translation.override(language):
        assert sentence(Finding(Problem.TIME_PAST, 7512)) == text


def test_a_time_however_far_away_is_told() -> None:
    with translation.override("en"):
        assert "3168\xa0years" in sentence(Finding(Problem.TIME_AHEAD, 99_999_999_999))
