// Forms that use a passkey name what they do in data-passkey; allauth's scripts do it. Without passkeys the forms stay
// hidden, and what is marked data-passkey-none says why.
"use strict";

const form = document.querySelector("form[data-passkey]");

function showFailure(shown) {
  form.querySelector("[data-passkey-failed]").hidden = !shown;
}

if (form && window.PublicKeyCredential) {
  const kind = form.dataset.passkey;
  const button = kind === "loginForm" ? "login" : kind === "addForm" ? "add" : "authenticate";
  const ids = { [button]: "passkey-button", credential: "passkey-credential", passwordless: "id_passwordless" };
  if (document.getElementById("passkey-options")) {
    ids.data = "passkey-options";
  }
  form.hidden = false;
  for (const note of document.querySelectorAll("[data-passkey-none]")) {
    note.hidden = true;
  }
  // The person has said no, or the time was up: nothing that the console should be told of.
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    showFailure(true);
  });
  document.getElementById("passkey-button").addEventListener("click", () => showFailure(false));
  // The enter key in a field presses no button of this kind.
  form.addEventListener("submit", (event) => {
    if (!document.getElementById("passkey-credential").value) {
      event.preventDefault();
      document.getElementById("passkey-button").click();
    }
  });
  window.allauth.webauthn.forms[kind]({ ids });
}
