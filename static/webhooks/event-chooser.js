/* Adds to the groups of checkboxes: a search, a checkbox for each whole group, and how many are chosen. */

function counted(texts, number) {
  return texts[Math.min(number, 2)].replace("%(count)s", number);
}

function enhance(chooser) {
  const groups = [...chooser.querySelectorAll("[data-group]")].map((element) => ({
    element,
    details: element.querySelector("details"),
    name: element.querySelector(".event-group-name").textContent.toLowerCase(),
    whole: element.querySelector("[data-whole-group]"),
    count: element.querySelector("[data-group-count]"),
    options: [...element.querySelectorAll("[data-option]")].map((option) => ({
      element: option,
      checkbox: option.querySelector("input"),
      text: option.textContent.toLowerCase(),
    })),
  }));
  const search = chooser.querySelector("[data-search]");
  const total = chooser.querySelector("[data-count]");
  const result = chooser.querySelector("p[data-found]");
  const chosenTexts = JSON.parse(chooser.dataset.chosen);
  const foundTexts = JSON.parse(chooser.dataset.found);
  let openBeforeSearch = null;

  function count() {
    let chosen = 0;
    for (const group of groups) {
      const inGroup = group.options.filter((option) => option.checkbox.checked).length;
      group.count.textContent = inGroup;
      group.whole.checked = inGroup === group.options.length;
      group.whole.indeterminate = inGroup > 0 && inGroup < group.options.length;
      chosen += inGroup;
    }
    total.textContent = counted(chosenTexts, chosen);
  }

  function find() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length && !openBeforeSearch) {
      openBeforeSearch = groups.filter((group) => group.details.open);
    }
    let found = 0;
    for (const group of groups) {
      let foundInGroup = 0;
      for (const option of group.options) {
        const fits = words.every((word) => option.text.includes(word) || group.name.includes(word));
        option.element.hidden = !fits;
        foundInGroup += fits;
      }
      group.element.hidden = !foundInGroup;
      // While some of a group are out of sight, ticking it whole would tick them unseen.
      group.whole.disabled = foundInGroup < group.options.length;
      if (words.length) {
        group.details.open = foundInGroup > 0;
      } else if (openBeforeSearch) {
        group.details.open = openBeforeSearch.includes(group) || group.options.some((option) => option.checkbox.checked);
      }
      found += foundInGroup;
    }
    if (!words.length) {
      openBeforeSearch = null;
    }
    result.textContent = words.length ? counted(foundTexts, found) : "";
  }

  for (const group of groups) {
    group.whole.hidden = false;
    group.whole.addEventListener("change", () => {
      for (const option of group.options) {
        option.checkbox.checked = group.whole.checked;
      }
      count();
    });
  }
  chooser.addEventListener("change", (event) => {
    if (event.target.closest("[data-option]")) {
      count();
    }
  });
  search.addEventListener("input", find);
  search.addEventListener("keydown", (event) => {
    // Enter in a search means "search", which has been done already; it would send the form.
    if (event.key === "Enter") {
      event.preventDefault();
    }
  });
  chooser.querySelector("[data-tools]").hidden = false;
  // A browser that comes back to the page restores the checkboxes and the search after this script ran.
  window.addEventListener("pageshow", () => {
    find();
    count();
  });
  count();
}

document.querySelectorAll("[data-event-chooser]").forEach(enhance);
