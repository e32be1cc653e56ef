/* What a script makes nicer. No page depends on it. */

const COPIED_MS = 2000;

document.documentElement.classList.toggle("has-script", Boolean(navigator.clipboard));

// Pages show times in this zone, from the next one on.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `winkhooks_time_zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
}

/** Say `text` to screen readers, again too where it is the same as before. */
function announce(text) {
  const region = document.getElementById("announcements");
  region.textContent = "";
  setTimeout(() => { region.textContent = text; }, 50);
}

/** Return what the button copies: its own text, or the text or value of the element that it names. */
function textToCopy(button) {
  if (!button.dataset.copyTarget) return button.dataset.copy;
  const target = document.querySelector(button.dataset.copyTarget);
  return target.value ?? target.textContent.trim();
}

async function copy(button) {
  await navigator.clipboard.writeText(textToCopy(button));
  announce(button.dataset.copied);
  button.classList.add("copy-done");
  setTimeout(() => button.classList.remove("copy-done"), COPIED_MS);
}

/** Close open menus, except the one that `target` is in. */
function closeMenus(target) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(target)) menu.open = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-copy-target]");
  if (button) copy(button);
  closeMenus(event.target);
});

document.addEventListener("focusin", (event) => closeMenus(event.target));

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
