/* Asks in a dialog before something is done; without it the links lead to pages that ask the same. */

const dialog = document.getElementById("confirm-dialog");
const form = dialog.querySelector("form");
let opener = null;

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-confirm]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) {
    return;
  }
  event.preventDefault();
  const menu = link.closest("details");
  if (menu) {
    menu.open = false;
  }
  opener = menu ? menu.querySelector("summary") : link;
  form.action = link.href;
  document.getElementById("confirm-question").textContent = link.dataset.confirm;
  document.getElementById("confirm-consequence").textContent = link.dataset.consequence;
  dialog.showModal();
});

dialog.querySelector("[data-cancel]").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => opener?.focus());
