import pytest
from django.core.exceptions import ValidationError
from django.utils import translation
from pytest_django import Settings

from webhooks.engine import guard
from webhooks.webhook_url import clean_webhook_url


@pytest.fixture(autouse=True)
def checked_urls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the guard pass everything, and tell what it was asked."""
    asked: list[str] = []
    monkeypatch.setattr(guard, "check_url", asked.append)
    return asked


def problem_with(text: str) -> str:
    with pytest.raises(ValidationError) as raised:
        clean_webhook_url(text)
    [message] = raised.value.messages
    return message


@pytest.mark.parametrize(
    "text, stored",
    [
        ("https://my.system.com/webhook/wink", "https://my.system.com/webhook/wink"),
        ("https://my.system.com", "https://my.system.com"),
        ("https://my.system.com?token=1", "https://my.system.com?token=1"),
        ("HTTPS://My.System.COM/Hook", "https://my.system.com/Hook"),
        ("https://my.system.com:8443/a?b=c&d=%20", "https://my.system.com:8443/a?b=c&d=%20"),
        ("https://my_system.example/", "https://my_system.example/"),
        ("https://my.system.com./", "https://my.system.com./"),
        ("https://sauna-järvi.example/", "https://xn--sauna-jrvi-w5a.example/"),
        ("https://STRASSE.例え.example/", "https://strasse.xn--r8jz45g.example/"),
        ("https://my.system.com/määrä?ö=1", "https://my.system.com/m%C3%A4%C3%A4r%C3%A4?%C3%B6=1"),
        ("https://93.184.215.14/", "https://93.184.215.14/"),
        ("https://[2606:2800:21f:CB07:0:0:0:1]:8443/", "https://[2606:2800:21f:cb07::1]:8443/"),
        ("https://９３.184.215.14/", "https://93.184.215.14/"),
    ],
)
def test_it_stores_ascii_that_curl_can_call(text: str, stored: str) -> None:
    assert clean_webhook_url(text) == stored


@pytest.mark.parametrize(
    "text",
    ["my.system.com/webhook", "/webhook", "//my.system.com/", "https:/my.system.com", "mailto:a@my.system.com", "x"],
)
def test_it_refuses_what_is_not_absolute(text: str) -> None:
    assert problem_with(text) == "Enter the whole URL, as in https://my.system.com/webhook/wink."


@pytest.mark.parametrize("text", ["http://my.system.com/", "ftp://my.system.com/", "file:///etc/passwd"])
def test_it_demands_https(text: str) -> None:
    assert problem_with(text) == "The URL must begin with https://."


def test_it_takes_http_where_https_is_not_required(settings: Settings) -> None:
    settings.WEBHOOK_REQUIRE_HTTPS = False
    assert clean_webhook_url("http://my.system.com/") == "http://my.system.com/"


def test_it_takes_nothing_but_http_and_https_even_then(settings: Settings) -> None:
    settings.WEBHOOK_REQUIRE_HTTPS = False
    assert problem_with("gopher://my.system.com/") == "The URL must begin with https:// or http://."


@pytest.mark.parametrize(
    "text", ["https://user@my.system.com/", "https://user:word@my.system.com/", "https://@my.system.com/"]
)
def test_it_refuses_user_information(text: str) -> None:
    assert problem_with(text) == "The URL must not contain a user name or a password."


@pytest.mark.parametrize("text", ["https://", "https:///webhook", "https://:8443/webhook", "https://?a=b"])
def test_it_demands_a_host(text: str) -> None:
    assert problem_with(text) == "The URL has no host name, such as my.system.com."


@pytest.mark.parametrize("port", ["0", "65536", "99999999999999999999", "https", "-1", "+443", "８０", "443:443"])
def test_it_refuses_a_bad_port(port: str) -> None:
    assert problem_with(f"https://my.system.com:{port}/") == "The port in the URL must be a number from 1 to 65535."


@pytest.mark.parametrize("port", [22, 25, 1023])
def test_it_refuses_a_port_that_may_not_be_called(port: int) -> None:
    assert problem_with(f"https://my.system.com:{port}/") == f"Events cannot be sent to port {port}."


@pytest.mark.parametrize(
    "text", ["https://my.system.com/#part", "https://my.system.com/#", "https://my.system.com#@x/"]
)
def test_it_refuses_a_fragment(text: str) -> None:
    assert problem_with(text) == "The URL must not contain a fragment, which is the part that begins with #."


@pytest.mark.parametrize(
    "character", [" ", "\t", "\n", "\r", "\x00", "\x7f", "\\", "\u00a0", "\u2028", "\u200b", "\ud800"]
)
def test_it_refuses_spaces_backslashes_and_control_characters(character: str) -> None:
    expected = "The URL must not contain spaces, backslashes or control characters."
    assert problem_with(f"https://my.system.com/web{character}hook") == expected


@pytest.mark.parametrize(
    "host",
    [
        "my..system.com",
        ".my.system.com",
        "-my.system.com",
        "my-.system.com",
        "a" * 64 + ".com",
        ".".join(["a" * 49] * 6),
        "my%2esystem.com",
        "my,system.com",
        "127.1",
        "0x7f000001",
        "0177.0.0.1",
        "2130706433",
        "1.2.3.4.5",
        "256.1.1.1",
        "[::1",
        "[::1%25eth0]",
        "[1.2.3.4]",
        "[v1.a]",
        "ex℀mple.com",
        "\u0378.example",
        "xn--a.ä.-.example",
    ],
)
def test_it_refuses_what_is_no_host_name(host: str) -> None:
    problem = problem_with(f"https://{host}/")
    assert "is not a valid host name." in problem or "control characters" in problem


def test_it_takes_2048_characters_and_not_one_more() -> None:
    longest = "https://my.system.com/".ljust(2048, "a")
    assert clean_webhook_url(longest) == longest
    assert problem_with(longest + "a") == "The URL is 2049 characters long; at most 2048 are possible."


def test_it_counts_the_characters_that_are_stored() -> None:
    assert problem_with("https://my.system.com/".ljust(1500, "ä")) == (
        "The URL is 8890 characters long; at most 2048 are possible."
    )


def test_it_asks_the_guard_about_what_is_stored(checked_urls: list[str]) -> None:
    clean_webhook_url("https://Sauna-Järvi.example/a")
    assert checked_urls == ["https://xn--sauna-jrvi-w5a.example/a"]


def test_it_names_no_address_of_a_refused_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    problem = problem_with("https://127.0.0.1/")
    assert problem == "Events cannot be sent to this host: it is not on the public internet."


@pytest.mark.parametrize(
    "text, finnish",
    [
        ("my.system.com", "Anna koko URL-osoite, esimerkiksi https://my.system.com/webhook/wink."),
        ("http://my.system.com/", "URL-osoitteen alussa on oltava https://."),
        ("https://a@my.system.com/", "URL-osoitteessa ei saa olla käyttäjätunnusta eikä salasanaa."),
        ("https://my.system.com:0/", "URL-osoitteen portin on oltava luku väliltä 1–65535."),
    ],
)
def test_it_speaks_finnish(text: str, finnish: str) -> None:
    with translation.override("fi"):
        assert problem_with(text) == finnish
