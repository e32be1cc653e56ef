/* Has htmx fetch what is new, every few seconds while the page is seen. Without it the page has a link to refresh. */

const PERIOD_MS = 4000;

const list = () => document.getElementById("delivery-list");

function refresh() {
  if (!document.hidden && list()) htmx.trigger(list(), "refresh");
}

/** Say whether swapping the list would take away what somebody is at: a focused link that is in it no more, a selection. */
function disturbs(html) {
  const focused = document.activeElement;
  if (list().contains(focused) && !html.includes(`id="${focused.id}"`)) return true;
  const selection = getSelection();
  return !selection.isCollapsed && list().contains(selection.anchorNode);
}

let timer = setInterval(refresh, PERIOD_MS);
document.addEventListener("visibilitychange", refresh);

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  const asked = new URL(list().getAttribute("hx-get"), location.href);
  if (new URL(xhr.responseURL).pathname !== asked.pathname || xhr.status >= 400) {
    // Signed out meanwhile, or the webhook is not to be seen any more: leave the page as it is.
    clearInterval(timer);
    event.detail.shouldSwap = false;
  } else if (xhr.status === 200 && disturbs(xhr.responseText)) {
    event.detail.shouldSwap = false;
  }
});
