/* Asks in a dialog before a webhook is removed; without it the links lead to a page that asks the same. */

const dialog = document.getElementById("remove-dialog");
const form = dialog.querySelector("form");
const question = dialog.querySelector("h2");
let opener = null;

for (const link of document.querySelectorAll("[data-remove]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) {
      return;
    }
    event.preventDefault();
    const menu = link.closest("details");
    if (menu) {
      menu.open = false;
    }
    opener = menu ? menu.querySelector("summary") : link;
    form.action = link.href;
    question.textContent = link.dataset.remove;
    dialog.showModal();
  });
}

dialog.querySelector("[data-cancel]").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => opener?.focus());
