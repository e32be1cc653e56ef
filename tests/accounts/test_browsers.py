import pytest

from accounts.browsers import name_browser

MOZILLA = "Mozilla/5.0"


@pytest.mark.parametrize(
    "user_agent, name",
    [
        (
            f"{MOZILLA} (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36",
            "Chrome · Windows",
        ),
        (f"{MOZILLA} (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge · Windows"),
        (f"{MOZILLA} (Macintosh; Intel Mac OS X 15_0) AppleWebKit/605 Version/18.0 Safari/605", "Safari · macOS"),
        (f"{MOZILLA} (iPhone; CPU iPhone OS 18_0 like Mac OS X) CriOS/140.0 Mobile Safari/604", "Chrome · iPhone"),
        (
            f"{MOZILLA} (Linux; Android 15; SM-S921B) SamsungBrowser/27.0 Chrome/125 Safari/537",
            "Samsung Internet · Android",
        ),
        (f"{MOZILLA} (X11; CrOS x86_64) Chrome/140.0 Safari/537.36", "Chrome · ChromeOS"),
        ("curl/8.9.1", "curl/8.9.1"),
        ("", "Unknown browser"),
        (" ", "Unknown browser"),
    ],
)
def test_it_is_said_in_words_that_people_know(user_agent: str, name: str) -> None:
    assert name_browser(user_agent) == name


def test_the_rest_is_cut_off() -> None:
    assert name_browser("x" * 500) == "x" * 60
