/* Asks the workers and the broker once the page of operations is there; a link leads to their answers, too. */

const link = document.querySelector("#workers [data-ask]");

async function showAnswers() {
  const response = await fetch(link.href);
  if (!response.ok || response.redirected) {
    return;
  }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  document.querySelector("#workers").replaceChildren(...page.querySelector("#workers").children);
}

if (link) {
  // Where it fails, the link stays.
  showAnswers().catch(() => {});
}
