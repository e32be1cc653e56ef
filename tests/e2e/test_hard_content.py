"""Every page with what is hard to show: long words, names from right to left, 200 webhooks, 256 KB, HTML."""

import pytest
from playwright.sync_api import ViewportSize

from tests import actions
from tests.e2e.conftest import OpenPage
from tests.stack import Stack

pytestmark = [pytest.mark.e2e]

WIDTHS: list[ViewportSize] = [{"width": 360, "height": 740}, {"width": 1280, "height": 900}]
# Where texts from right to left turn around what stands beside them: words of the portal in a part that runs from right
# to left as a whole, and a text that only a sign, such as an arrow, keeps from the next one or from a number.
TURNED = r"""() => {
  const isIsolated = (element) => /isolate|plaintext/.test(getComputedStyle(element).unicodeBidi);
  const runsAlong = (node) => node.nodeType === Node.ELEMENT_NODE && !isIsolated(node) && !node.matches("select");
  const textOf = (element) => [...element.childNodes].map((node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    return runsAlong(node) ? textOf(node) : "|";
  }).join("");
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    if (!isIsolated(element) || element.closest("pre, select, textarea, script")) continue;
    const text = textOf(element).trim().replace(/\s+/g, " ");
    if (!/[\u0590-\u07ff]/.test(text)) continue;
    const isTurned = getComputedStyle(element).direction === "rtl" && /[a-z]/i.test(text);
    if (isTurned || /[\u0590-\u07ff] *[^\p{L}\d |”!]+ *[\d\u0590-\u07ff]/u.test(text)) found.push(text);
  }
  return found;
}"""
# What can be reached by keyboard, and does not show it where it is.
UNSEEN = r"""() => {
  const found = [];
  const all = "a[href], button, input, select, textarea, summary, [tabindex='0']";
  for (const element of document.querySelectorAll(all)) {
    if (!element.checkVisibility({visibilityProperty: true}) || element.disabled || element.type === "hidden") continue;
    element.focus({focusVisible: true, preventScroll: true});
    const style = getComputedStyle(element);
    if (document.activeElement !== element || style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) {
      found.push(element.outerHTML.slice(0, 100));
    }
  }
  return found;
}"""


def test_hard_content_fits_every_page(stack: Stack, open_page: OpenPage) -> None:
    places = stack.call(actions.make_hard_estate, 200)
    problems: list[str] = []
    with open_page(locale="en", viewport=WIDTHS[0], allowed_statuses=(400, 403, 404)) as page:
        page.context.add_cookies([{"name": "winkhooks_session", "value": places.pop("session"), "url": stack.url}])
        for name, path in places.items():
            answer = page.goto(stack.url + path)
            if answer is None or answer.status != 200:
                problems.append(f"{name} answered {answer and answer.status}.")
            page.evaluate("document.querySelectorAll('main details').forEach((each) => { each.open = true; })")
            for size in WIDTHS:
                page.set_viewport_size(size)
                width = page.evaluate("document.documentElement.scrollWidth")
                if width > size["width"]:
                    problems.append(f"{name} is {width} px wide on a screen of {size['width']} px.")
            problems += [f"{name} turns {text}" for text in page.evaluate(TURNED)]
            problems += [f"{name} does not show the focus of {element}" for element in page.evaluate(UNSEEN)]
            assert "run" not in page.title()

    assert len(places) > 25
    assert not problems, "\n".join(problems)
