/* Shows the example of another event as soon as that is chosen, and what was typed for one when it is chosen again. */

const type = document.querySelector("[data-test-event] select");
const object = document.querySelector("[data-test-event] textarea");
const typed = new Map();
let shown = type.value;

async function exampleOf(key) {
  const response = await fetch(`?${new URLSearchParams({ type: key })}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.querySelector("[data-test-event] textarea")?.value;
}

type.addEventListener("change", async () => {
  typed.set(shown, object.value);
  shown = type.value;
  const key = shown;
  const text = typed.get(key) ?? (await exampleOf(key));
  // Meanwhile another one may have been chosen.
  if (text !== undefined && key === shown) object.value = text;
});
