/* Lets the times of the form be those of the reader's zone; without it they are those of the server's, as it says. */

const form = document.querySelector("[data-recovery-form]");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Return the moment as such a field has it, in the zone of the browser. */
function localText(moment) {
  const shifted = new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

// Only what nobody has typed yet says its moment.
const fields = form.querySelectorAll("[data-moment]");
if (zone && fields.length) {
  for (const field of fields) field.value = localText(new Date(field.dataset.moment));
  form.elements.time_zone.value = zone;
  form.querySelector("[data-zone-name]").textContent = zone;
}
