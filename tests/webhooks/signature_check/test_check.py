import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webhooks import signing
from webhooks.signature_check.check import check
from webhooks.signature_check.findings import Finding, Problem, Report, Verdict
from webhooks.signature_check.headers import read_headers

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
PREVIOUS = "whsec_" + base64.b64encode(b"p" * 32).decode()
ID = "01a20bb4-4822-7548-b41c-8ec7cf8fdd7c"
OTHER_ID = "01a20bb4-0000-7000-8000-000000000000"
NOW = 1795503600
ENVELOPE = {"id": ID, "type": "booking.created", "object": {"name": "Järvi", "nights": 3, "total": {"amount": 412.5}}}
BODY = json.dumps(ENVELOPE, ensure_ascii=False, separators=(",", ":")).encode()


def signed(*secrets: str, body: bytes = BODY, event_id: str = ID, at: int = NOW) -> dict[str, str]:
    headers = {name.lower(): value for name, value in signing.sign(secrets or [SECRET], event_id, body, at)}
    return headers | {"wink-event-id": event_id}


def check_now(headers: dict[str, str], body: bytes = BODY, secret: str = SECRET, **others: Any) -> Report:
    return check(secret, headers, body, NOW, **others)


def problems(verdict: Verdict) -> list[Problem]:
    return [finding.problem for finding in verdict.findings]


def wink_header(key: bytes, body: bytes = BODY, time: str = str(NOW)) -> dict[str, str]:
    digest = hmac.new(key, time.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"wink-signature": f"t={time},v1={digest}"}


def standard_headers(key: bytes, body: bytes = BODY, time: str = str(NOW), event_id: str = ID) -> dict[str, str]:
    digest = hmac.new(key, f"{event_id}.{time}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": time,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


BOTH = pytest.mark.parametrize("of", [lambda report: report.wink, lambda report: report.standard], ids=["wink", "std"])
Of = Callable[[Report], Verdict]


@BOTH
class TestWhatIsRight:
    def test_it_is_valid_now(self, of: Of) -> None:
        assert of(check_now(signed())) == Verdict((), fits=True, timestamp=NOW, is_fresh=True)

    @pytest.mark.parametrize("secret", [SECRET, PREVIOUS])
    def test_one_signature_of_several_is_enough(self, of: Of, secret: str) -> None:
        verdict = of(check_now(signed(PREVIOUS, SECRET), secret=secret))
        assert verdict == Verdict((), fits=True, timestamp=NOW, is_fresh=True)

    @pytest.mark.parametrize("seconds", [-300, 300])
    def test_the_tolerance_is_that_of_receivers(self, of: Of, seconds: int) -> None:
        assert of(check_now(signed(at=NOW + seconds))).is_fresh


@BOTH
class TestTime:
    @pytest.mark.parametrize("problem, seconds", [(Problem.TIME_PAST, -7512), (Problem.TIME_AHEAD, 301)])
    def test_one_far_away_is_told_and_the_rest_fits(self, of: Of, problem: Problem, seconds: int) -> None:
        verdict = of(check_now(signed(at=NOW + seconds)))
        assert verdict == Verdict((Finding(problem, abs(seconds)),), fits=True, timestamp=NOW + seconds, is_fresh=False)

    @pytest.mark.parametrize("factor", [10**3, 10**6, 10**9], ids=["ms", "us", "ns"])
    def test_one_in_smaller_units_is_told(self, of: Of, factor: int) -> None:
        verdict = of(check_now(signed(at=NOW * factor)))
        assert verdict.findings == (Finding(Problem.TIME_NOT_IN_SECONDS),)
        assert (verdict.fits, verdict.is_fresh, verdict.timestamp) == (True, False, NOW)

    def test_one_in_milliseconds_where_seconds_were_signed_is_told(self, of: Of) -> None:
        headers = {name: value.replace(str(NOW), f"{NOW}000") for name, value in signed().items()}
        verdict = of(check_now(headers))
        assert verdict.findings == (Finding(Problem.TIME_NOT_IN_SECONDS),)
        assert not verdict.fits

    @pytest.mark.parametrize("text", ["yesterday", "12.5", "-1", "٣", "9" * 5000])
    def test_one_that_is_no_number_is_told(self, of: Of, text: str) -> None:
        headers = {name: value.replace(str(NOW), text) for name, value in signed().items()}
        verdict = of(check_now(headers))
        assert verdict.findings == (Finding(Problem.TIME_UNREADABLE, text[:40]),)
        assert (verdict.fits, verdict.timestamp) == (False, None)


def test_a_missing_time_is_told() -> None:
    headers = signed() | {"wink-signature": signed()["wink-signature"].partition(",")[2], "webhook-timestamp": ""}
    report = check_now(headers)
    assert problems(report.wink) == problems(report.standard) == [Problem.TIME_MISSING]


class TestHeaders:
    @pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_one_that_is_missing_is_named(self, name: str) -> None:
        headers = signed()
        del headers[name]
        report = check_now(headers)
        assert report.standard.findings == (Finding(Problem.HEADER_MISSING, name),)
        assert report.standard.is_present == (name != "webhook-signature")
        assert report.wink.fits

    def test_without_any_nothing_is_there(self) -> None:
        report = check_now({})
        assert report.wink == Verdict((Finding(Problem.HEADER_MISSING, "Wink-Signature"),), is_present=False)
        assert [finding.detail for finding in report.standard.findings] == [
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        ]
        assert not report.standard.is_present

    def test_spaces_in_that_of_wink_are_told(self) -> None:
        headers = signed() | {"wink-signature": signed()["wink-signature"].replace(",", ", ")}
        verdict = check_now(headers).wink
        assert (problems(verdict), verdict.fits) == ([Problem.HEADER_SPACED], False)

    def test_one_cut_off_before_the_signature_is_told(self) -> None:
        report = check_now(signed() | {"wink-signature": f"t={NOW}", "webhook-signature": "v1a,ed25519"})
        assert problems(report.wink) == problems(report.standard) == [Problem.SIGNATURE_MISSING]

    def test_those_of_another_request_are_told(self) -> None:
        body = BODY.replace(ID.encode(), OTHER_ID.encode())
        report = check_now(signed(), body)
        expected = (Finding(Problem.REQUESTS_MIXED, ID), Finding(Problem.NOTHING_FITS))
        assert report.wink.findings == report.standard.findings == expected

    @pytest.mark.parametrize("header", ["wink-event-id", None], ids=["in a header", "in the body"])
    def test_an_id_that_was_changed_is_told(self, header: str | None) -> None:
        headers = signed() | {"webhook-id": OTHER_ID}
        body = BODY if header is None else b'{"no":"id"}'
        if header:
            headers |= standard_headers(b"s" * 32, body, event_id=ID) | {"webhook-id": OTHER_ID}
        else:
            del headers["wink-event-id"]
        verdict = check_now(headers, body).standard
        assert (problems(verdict), verdict.fits) == ([Problem.ID_CHANGED], False)


class TestEncoding:
    def wink(self, change: Callable[[str], str]) -> Verdict:
        time, _, signature = signed()["wink-signature"].partition(",v1=")
        return check_now(signed() | {"wink-signature": f"{time},v1={change(signature)}"}).wink

    def standard(self, change: Callable[[str], str], body: bytes = BODY) -> Verdict:
        headers = signed(body=body)
        signature = headers["webhook-signature"].removeprefix("v1,")
        return check_now(headers | {"webhook-signature": f"v1,{change(signature)}"}, body).standard

    @pytest.mark.parametrize(
        "change, problem",
        [
            (str.upper, Problem.SIGNATURE_UPPER_CASE),
            (lambda hexed: base64.b64encode(bytes.fromhex(hexed)).decode(), Problem.SIGNATURE_IN_BASE64),
        ],
        ids=["upper-case", "base64"],
    )
    def test_that_of_wink_ought_to_be_lower_case_hex(self, change: Callable[[str], str], problem: Problem) -> None:
        verdict = self.wink(change)
        assert (problems(verdict), verdict.fits) == ([problem], False)

    @pytest.mark.parametrize(
        "change, problem",
        [
            (lambda text: base64.b64decode(text).hex(), Problem.SIGNATURE_IN_HEX),
            (lambda text: base64.b64decode(text).hex().upper(), Problem.SIGNATURE_IN_HEX),
            (lambda text: text.rstrip("="), Problem.SIGNATURE_IN_URL_BASE64),
        ],
        ids=["hex", "upper-case hex", "no padding"],
    )
    def test_that_of_standard_webhooks_ought_to_be_base64(self, change: Callable[[str], str], problem: Problem) -> None:
        verdict = self.standard(change)
        assert (problems(verdict), verdict.fits) == ([problem], False)

    def test_base64_for_urls_is_told(self) -> None:
        bodies = (b"[%d]" % number for number in range(1000))
        body = next(body for body in bodies if "+" in signed(body=body)["webhook-signature"])
        verdict = self.standard(lambda text: text.translate(str.maketrans("+/", "-_")), body)
        assert (problems(verdict), verdict.fits) == ([Problem.SIGNATURE_IN_URL_BASE64], False)

    def test_a_length_that_is_wrong_is_told(self) -> None:
        assert self.wink(lambda text: text[:-4]).findings == (Finding(Problem.SIGNATURE_LENGTH, 60),)
        assert self.wink(lambda text: text + "00").findings == (Finding(Problem.SIGNATURE_LENGTH, 66),)
        assert self.standard(lambda text: text[:-5]).findings == (Finding(Problem.SIGNATURE_LENGTH, 39),)

    def test_what_is_no_encoding_is_told(self) -> None:
        assert problems(self.wink(lambda text: "sha256!")) == [Problem.SIGNATURE_UNREADABLE]
        assert problems(self.standard(lambda text: "<none>")) == [Problem.SIGNATURE_UNREADABLE]

    def test_a_broken_one_beside_a_right_one_does_no_harm(self) -> None:
        assert self.wink(lambda text: f"{text.upper()},v1=00,v1={text}").findings == ()
        assert self.standard(lambda text: f"AA== v1,{text}").findings == ()

    def test_the_beginning_of_a_right_one_is_as_good_as_any(self) -> None:
        """Whoever could tell how far one is right could find a whole one with a secret that is stored here."""
        right = self.wink(lambda text: text[:32])
        wrong = self.wink(lambda text: "0" * 32)
        assert right == wrong


class TestKeys:
    def test_the_previous_secret_is_told(self) -> None:
        report = check_now(signed(PREVIOUS), previous_secret=PREVIOUS)
        assert problems(report.wink) == problems(report.standard) == [Problem.SECRET_PREVIOUS]
        assert not report.wink.fits
        assert not report.standard.fits

    def test_the_present_one_counts_where_both_signed(self) -> None:
        report = check_now(signed(PREVIOUS, SECRET), previous_secret=PREVIOUS)
        assert report.wink.fits
        assert report.standard.fits

    @pytest.mark.parametrize(
        "key, problem",
        [
            (b"s" * 32, Problem.KEY_DECODED),
            (SECRET.removeprefix("whsec_").encode(), Problem.KEY_WITHOUT_PREFIX),
        ],
    )
    def test_another_form_of_the_key_is_told_for_wink(self, key: bytes, problem: Problem) -> None:
        verdict = check_now(wink_header(key)).wink
        assert (problems(verdict), verdict.fits) == ([problem], False)

    @pytest.mark.parametrize("key", [SECRET.encode(), SECRET.removeprefix("whsec_").encode()])
    def test_another_form_of_the_key_is_told_for_standard_webhooks(self, key: bytes) -> None:
        verdict = check_now(standard_headers(key)).standard
        assert (problems(verdict), verdict.fits) == ([Problem.KEY_NOT_DECODED], False)

    def test_a_secret_without_its_beginning_is_told_for_wink_alone(self) -> None:
        report = check_now(signed(), secret=SECRET.removeprefix("whsec_"))
        assert (problems(report.wink), report.wink.fits) == ([Problem.SECRET_WITHOUT_PREFIX], False)
        assert report.standard.fits

    @pytest.mark.parametrize("secret", ["whsec_not base64!", "äö", "whsec_a"])
    def test_a_secret_that_holds_no_key_is_told(self, secret: str) -> None:
        report = check_now(signed(), secret=secret)
        assert problems(report.wink) == [Problem.NOTHING_FITS]
        assert problems(report.standard) == [Problem.SECRET_UNREADABLE, Problem.NOTHING_FITS]
        with_text = check_now(standard_headers(secret.encode()), secret=secret).standard
        assert (problems(with_text), with_text.fits) == ([Problem.SECRET_UNREADABLE], False)

    def test_a_secret_of_something_else_explains_nothing(self) -> None:
        report = check_now(signed(), secret=PREVIOUS)
        assert problems(report.wink) == problems(report.standard) == [Problem.NOTHING_FITS]


@BOTH
class TestBody:
    @pytest.mark.parametrize(
        "arrived, expected",
        [
            (BODY + b"\n", [Problem.BODY_SURROUNDED]),
            (b" " + BODY + b"\r\n", [Problem.BODY_SURROUNDED]),
            (json.dumps(ENVELOPE, ensure_ascii=False).encode(), [Problem.BODY_SIGNED_COMPACT]),
            (json.dumps(ENVELOPE, ensure_ascii=False, indent=2).encode(), [Problem.BODY_SIGNED_COMPACT]),
            (json.dumps(ENVELOPE, ensure_ascii=False, indent=3).encode() + b"\n", [Problem.BODY_SIGNED_COMPACT]),
            (json.dumps(ENVELOPE, separators=(",", ":")).encode(), [Problem.BODY_SIGNED_UNESCAPED]),
            (json.dumps(ENVELOPE).encode(), [Problem.BODY_SIGNED_COMPACT, Problem.BODY_SIGNED_UNESCAPED]),
            (json.dumps(BODY.decode()).encode(), [Problem.BODY_IN_QUOTES]),
            (base64.b64encode(BODY), [Problem.BODY_IN_BASE64]),
            (base64.encodebytes(BODY), [Problem.BODY_IN_BASE64]),
        ],
    )
    def test_what_happened_to_that_of_wink_is_told(self, of: Of, arrived: bytes, expected: list[Problem]) -> None:
        verdict = of(check_now(signed(), arrived))
        assert (problems(verdict), verdict.fits) == (expected, False)

    @pytest.mark.parametrize(
        "was, expected",
        [
            (BODY + b"\n", [Problem.BODY_WITHOUT_LINE_BREAK]),
            (json.dumps(ENVELOPE, ensure_ascii=False).encode(), [Problem.BODY_SIGNED_SPACED]),
            (json.dumps(ENVELOPE, ensure_ascii=False, indent=2).encode(), [Problem.BODY_SIGNED_INDENTED]),
            (json.dumps(ENVELOPE, ensure_ascii=False, indent=4).encode(), [Problem.BODY_SIGNED_INDENTED]),
            (json.dumps(ENVELOPE, ensure_ascii=False, indent="\t").encode(), [Problem.BODY_SIGNED_INDENTED]),
            (json.dumps(ENVELOPE, separators=(",", ":")).encode(), [Problem.BODY_SIGNED_ESCAPED]),
            (json.dumps(ENVELOPE).encode(), [Problem.BODY_SIGNED_SPACED, Problem.BODY_SIGNED_ESCAPED]),
        ],
    )
    def test_what_other_senders_sign_is_told(self, of: Of, was: bytes, expected: list[Problem]) -> None:
        verdict = of(check_now(signed(body=was)))
        assert (problems(verdict), verdict.fits) == (expected, False)

    def test_other_indentation_is_told(self, of: Of) -> None:
        four, two = (json.dumps(ENVELOPE, ensure_ascii=False, indent=indent).encode() for indent in (4, 2))
        assert problems(of(check_now(signed(body=four), two))) == [Problem.BODY_SIGNED_INDENTED]

    @pytest.mark.parametrize("was, arrived", [(b"a\nb", b"a\r\nb"), (b"a\r\nb", b"a\nb")])
    def test_other_line_ends_are_told(self, of: Of, was: bytes, arrived: bytes) -> None:
        assert problems(of(check_now(signed(body=was), arrived))) == [Problem.BODY_LINE_ENDS]

    def test_one_that_is_cut_off_is_told(self, of: Of) -> None:
        assert problems(of(check_now(signed(), BODY[:-7]))) == [Problem.BODY_NOT_JSON, Problem.NOTHING_FITS]

    def test_one_that_was_changed_explains_nothing(self, of: Of) -> None:
        assert problems(of(check_now(signed(), BODY.replace(b"3", b"4", 1)))) == [Problem.NOTHING_FITS]


class TestSeveralMistakes:
    def test_two_at_once_are_told(self) -> None:
        report = check_now(signed(PREVIOUS), BODY + b"\n", previous_secret=PREVIOUS)
        expected = [Problem.SECRET_PREVIOUS, Problem.BODY_SURROUNDED]
        assert problems(report.wink) == problems(report.standard) == expected

    def test_time_and_encoding_come_on_top(self) -> None:
        headers = wink_header(b"s" * 32, time=str(NOW - 3600))
        headers["wink-signature"] = headers["wink-signature"].upper().replace("T=", "t=").replace("V1=", "v1=")
        verdict = check_now(headers, json.dumps(ENVELOPE, ensure_ascii=False).encode()).wink
        assert problems(verdict) == [
            Problem.TIME_PAST,
            Problem.SIGNATURE_UPPER_CASE,
            Problem.KEY_DECODED,
            Problem.BODY_SIGNED_COMPACT,
        ]


# Anything at all

texts = st.text(max_size=60)
header_values = st.one_of(
    texts,
    st.from_regex(r"t=\d{1,20},v1=[0-9a-fA-F]{0,70}", fullmatch=True),
    st.from_regex(r"v1,[A-Za-z0-9+/_=-]{0,50}( v1,[A-Za-z0-9+/=]{44})?", fullmatch=True),
    st.integers(min_value=0).map(str),
)
any_headers = st.dictionaries(
    st.sampled_from(["wink-signature", "wink-event-id", "webhook-id", "webhook-timestamp", "webhook-signature"]),
    header_values,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
json_bodies = st.builds(
    lambda value, indent, escaped: json.dumps(value, indent=indent, ensure_ascii=escaped).encode(errors="replace"),
    json_values,
    st.none() | st.integers(0, 5),
    st.booleans(),
)
any_bodies = st.one_of(st.binary(), json_bodies)
keys = st.binary(min_size=1, max_size=40)


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


@given(secret=texts, previous=texts, headers=any_headers, body=any_bodies, now=st.floats(0, 1e10))
def test_whatever_is_pasted_has_an_answer(
    secret: str, previous: str, headers: dict[str, str], body: bytes, now: float
) -> None:
    report = check(secret, headers, body, now, previous)
    for verdict in (report.wink, report.standard):
        assert verdict.findings or (verdict.fits and verdict.is_fresh)
        assert not (verdict.fits and not verdict.is_present)


@given(key=keys, body=any_bodies, at=st.integers(0, 10**10))
def test_whatever_the_portal_signs_fits(key: bytes, body: bytes, at: int) -> None:
    secret = secret_of(key)
    report = check(secret, signed(secret, body=body, at=at), body, at)
    assert report.wink == report.standard == Verdict((), fits=True, timestamp=at, is_fresh=True)


@given(
    key=keys,
    other_key=keys,
    body=any_bodies,
    other_body=any_bodies,
    at=st.integers(0, 10**10),
    away=st.integers(-400, 400),
    headers=any_headers,
    is_mixed=st.booleans(),
)
def test_it_says_what_a_receiver_would_say(
    key: bytes,
    other_key: bytes,
    body: bytes,
    other_body: bytes,
    at: int,
    away: int,
    headers: dict[str, str],
    is_mixed: bool,
) -> None:
    sent = signed(secret_of(key), body=body, at=at)
    arrived = sent | headers if is_mixed else sent
    for secret in {secret_of(key), secret_of(other_key)}:
        for arrived_body in (body, other_body):
            report = check(secret, arrived, arrived_body, at + away)
            for verdict, verify in [(report.wink, signing.verify_wink), (report.standard, signing.verify_standard)]:
                assert (verdict.fits and verdict.is_fresh) == accepts(verify, secret, arrived, arrived_body, at + away)


def accepts(verify: Callable[..., None], secret: str, headers: dict[str, str], body: bytes, now: float) -> bool:
    try:
        verify(secret, headers, body, now=now)
    except signing.InvalidSignature:
        return False
    return True


@given(key=keys, value=json_values, other_indent=st.integers(0, 5))
@example(key=b"k", value="\x7f", other_indent=0)
def test_a_body_that_was_written_again_never_fits_as_it_is(key: bytes, value: Any, other_indent: int) -> None:
    secret = secret_of(key)
    body = json.dumps({"id": ID, "object": value}, separators=(",", ":")).encode()
    arrived = json.dumps({"id": ID, "object": value}, indent=other_indent).encode()
    report = check(secret, signed(secret, body=body), arrived, NOW)
    for verdict in (report.wink, report.standard):
        assert not verdict.fits
        assert problems(verdict)[0] in {Problem.BODY_SIGNED_COMPACT, Problem.BODY_SIGNED_ESCAPED}


@given(name_case=st.randoms(use_true_random=False), extra=st.lists(st.sampled_from(["Host: a", "", "X-A: b"])))
def test_lines_of_a_log_in_any_order_and_case_are_read(name_case: Any, extra: list[str]) -> None:
    lines = [f"{name}: {value}" for name, value in signing.sign([SECRET], ID, BODY, NOW)]
    lines = [
        "".join(name_case.choice([c.upper(), c.lower()]) for c in line.split(":")[0]) + line[line.index(":") :]
        for line in lines
    ]
    lines += extra
    name_case.shuffle(lines)
    report = check_now(read_headers("\r\n".join(lines)))
    assert report.wink.fits
    assert report.standard.fits
