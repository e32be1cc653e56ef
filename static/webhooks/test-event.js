/* Shows the example of another event as soon as that is chosen, and what was typed for one when it is chosen again. */

const type = document.querySelector("[data-test-event] select");
const object = document.querySelector("[data-test-event] textarea");
const typed = new Map();
// That of the page, whatever was chosen before this script was there.
let shown = type.querySelector("option[selected]")?.value ?? type.value;

async function exampleOf(key) {
  const response = await fetch(`?${new URLSearchParams({ type: key })}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.querySelector("[data-test-event] textarea")?.value;
}

async function showChosen() {
  typed.set(shown, object.value);
  shown = type.value;
  const key = shown;
  const text = typed.get(key) ?? (await exampleOf(key));
  // Meanwhile another one may have been chosen.
  if (text !== undefined && key === shown) object.value = text;
}

type.addEventListener("change", showChosen);
if (type.value !== shown) showChosen();
