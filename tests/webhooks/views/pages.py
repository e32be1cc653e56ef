"""What the tests of pages ask of each of them."""

import re

from django.http.response import HttpResponseBase

INLINE = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle\s*=|\son[a-z]+\s*=|javascript:", re.IGNORECASE)


def text_of(response: HttpResponseBase) -> str:
    return response.getvalue().decode()


def assert_no_inline_code(response: HttpResponseBase) -> None:
    """Check that a strict Content-Security-Policy breaks nothing of the page."""
    assert not INLINE.findall(text_of(response))
