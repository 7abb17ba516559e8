// What plain HTML cannot do: put the focus on an error summary or a result, copy a command, keep
// relative times true, take back an error once its field changes, say that the portal is out of
// reach.
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

// An error is about the value that was sent: it goes when its field changes, also from the summary.
// Not when the field is left: what is being clicked would move away from under the pointer.
document.addEventListener("input", (event) => {
  const field = event.target.closest(".field");
  const error = field?.querySelector("[id$=_error]");
  if (!error) return;
  for (const control of [field, ...field.querySelectorAll("[aria-invalid]")]) {
    control.removeAttribute("aria-invalid");
    const others = (control.getAttribute("aria-describedby") ?? "").replace(error.id, "").trim();
    if (others) control.setAttribute("aria-describedby", others);
    else control.removeAttribute("aria-describedby");
  }
  const summary = document.querySelector("[aria-labelledby=form-errors-title]");
  for (const link of summary?.querySelectorAll("li a") ?? []) {
    if (link.hash.slice(1) === error.id.replace(/_error$/, "")) link.closest("li").remove();
  }
  error.remove();
  const left = summary?.querySelectorAll("li").length;
  if (left === 0) summary.remove();
  else if (left) summary.querySelector("h2").textContent = `Fix ${left} problem${left > 1 ? "s" : ""}`;
});

// The words of portal_format: since, lasting, until.
function roughly(seconds) {
  for (const [unit, size] of [["day", 86400], ["h", 3600], ["min", 60]]) {
    const count = Math.floor(seconds / size);
    if (count) return `${count} ${unit}${unit === "day" && count > 1 ? "s" : ""}`;
  }
  return `${Math.floor(seconds)} s`;
}

function relativeWords(kind, seconds) {
  if (kind === "until") return seconds > 0 ? `in ${roughly(seconds)}` : "now";
  if (kind === "lasting") return `for ${roughly(Math.max(seconds, 1))}`;
  return seconds < 5 ? "just now" : `${roughly(seconds)} ago`;
}

// By the server's clock: this machine's may be wrong.
const clockAhead = Date.now() - Number(document.body.dataset.now) * 1000;
const AS_A_DATE = 14 * 86400;
setInterval(() => {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const kind = time.dataset.relative;
    const passed = (Date.now() - clockAhead - Date.parse(time.dateTime)) / 1000;
    if (kind === "since" && passed >= AS_A_DATE) continue;
    const words = relativeWords(kind, kind === "until" ? -passed : passed);
    if (time.textContent !== words) time.textContent = words;
  }
}, 5000);

for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = false;
document.addEventListener("htmx:load", (event) => {
  const buttons = event.target.querySelectorAll?.("button[data-copy]") ?? [];
  for (const button of buttons) button.hidden = false;
});
