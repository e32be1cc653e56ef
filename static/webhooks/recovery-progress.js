/* Brings what the page shows up to date while the recovery goes on; without it the whole page is loaded again. */

const SECONDS = 2;

const card = document.querySelector("[data-refresh]");

async function refresh() {
  let page;
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!response.ok || response.redirected) throw new Error(response.statusText);
    page = new DOMParser().parseFromString(await response.text(), "text/html");
  } catch {
    setTimeout(refresh, 5 * SECONDS * 1000);
    return;
  }
  if (!page.querySelector("[data-refresh]")) {
    // What can be done has changed too.
    location.reload();
    return;
  }
  card.querySelector("[data-fresh]").replaceWith(document.adoptNode(page.querySelector("[data-fresh]")));
  setTimeout(refresh, SECONDS * 1000);
}

setTimeout(refresh, SECONDS * 1000);
