// What plain HTML cannot do: put the focus on an error summary or a result, copy a command, say that
// the portal is out of reach.
// Every page works without it.
"use strict";

const summary = document.querySelector("[data-focus]");
if (summary) summary.focus();

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy).textContent.trim();
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    const range = document.createRange();
    range.selectNodeContents(document.getElementById(button.dataset.copy));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2500);
});

// A fragment that is replaced while it holds the focus takes it back: the button that was pressed is
// gone.
let focusHeldBy = "";
document.addEventListener("htmx:beforeSwap", (event) => {
  const target = event.detail.target;
  if (target.id && target.contains(document.activeElement)) focusHeldBy = target.id;
});
document.addEventListener("htmx:afterSettle", () => {
  if (!focusHeldBy) return;
  const fragment = document.getElementById(focusHeldBy);
  if (document.activeElement === document.body) fragment?.focus({ preventScroll: true });
  focusHeldBy = "";
});

// Nobody who signs in on this machine afterwards finds the drafts of who was here (draft.js).
document.querySelector(".account-menu form")?.addEventListener("submit", () => {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith("draft:")) sessionStorage.removeItem(key);
  }
});

const unreachable = document.getElementById("unreachable");
if (unreachable) {
  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.addEventListener(name, () => { unreachable.hidden = false; });
  }
  document.addEventListener("htmx:afterOnLoad", () => { unreachable.hidden = true; });
}

for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = false;
document.addEventListener("htmx:load", (event) => {
  const buttons = event.target.querySelectorAll?.("button[data-copy]") ?? [];
  for (const button of buttons) button.hidden = false;
});
