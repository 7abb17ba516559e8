// Keeps what is entered into the request form, in this tab only, until it is submitted or discarded:
// a reload, the Back button or a session that ends loses nothing.
//
// 1. A draft belongs to a person, an address and a version of the request.
// 2. Passwords are not kept, nor what the portal marked as a possible credential
//    (data-draft="never"). A field in data-draft-judged is kept only as the portal last rendered it,
//    because only then has the portal judged it.
// 3. The portal renders the form from a draft: which fields there are depends on the answers.
// 4. An answer of the portal replaces parts of the form. What was entered after the portal was asked
//    stays.
// 5. A submitted draft comes back only with the Back button or a reload. Signing out deletes all
//    drafts (portal.js).
"use strict";

const theForm = () => document.getElementById("request-form");
const { draftOf, draftVersion } = theForm().dataset;
const draftKey = `draft:${draftOf}:${location.pathname}${location.search}:${draftVersion}`;
const note = document.getElementById("draft-note");

function entered(form) {
  const answers = {};
  let partial = false;
  for (const field of form.elements) {
    if (!field.name || field.name === "csrfmiddlewaretoken" || field.matches("button")) continue;
    if (["checkbox", "radio"].includes(field.type) && !field.checked) continue;
    if (field.type === "password" || field.dataset.draft === "never") {
      partial ||= field.value !== "";
    } else if (field.closest("[data-draft-judged]") && !field.matches("select")
      && field.value !== field.defaultValue) {
      const before = readDraft()?.answers[field.name];
      if (before) answers[field.name] = before;
    } else {
      (answers[field.name] ??= []).push(field.value);
    }
  }
  return { answers, partial };
}

function readDraft() {
  try {
    return JSON.parse(sessionStorage.getItem(draftKey));
  } catch {
    return null;
  }
}

function saveDraft(sent = false) {
  try {
    sessionStorage.setItem(draftKey, JSON.stringify({ ...entered(theForm()), sent }));
  } catch { /* storage is full or forbidden */ }
}

function restoreDraft(draft) {
  const form = theForm();
  form.inert = true;
  const values = { ...draft.answers, preview: "1" };
  values.csrfmiddlewaretoken = form.elements.csrfmiddlewaretoken.value;
  htmx.ajax("POST", location.pathname + location.search,
    { target: "#request-form", select: "#request-form", swap: "outerHTML", values })
    .finally(() => {
      theForm().inert = false;
      // If the portal did not answer, its warning shows, and the draft is kept.
      note.hidden = theForm() === form;
    });
  note.querySelector("[data-draft-unsent]").hidden = draft.sent;
  note.querySelector("[data-draft-sent]").hidden = !draft.sent;
  note.querySelector("[data-draft-partial]").hidden = !draft.partial;
}

// The fields a person fills in, by name, and by value where several share the name.
function fieldsOf(form) {
  const fields = new Map();
  for (const field of form.elements) {
    if (!field.name || field.matches("button") || field.type === "hidden") continue;
    const key = ["checkbox", "radio"].includes(field.type) ? `${field.name}=${field.value}` : field.name;
    fields.set(key, field);
  }
  return fields;
}

const saysOf = (field) => `${field.checked} ${field.value}`;
const askedWith = new WeakMap();  // a request of the page -> what each field said when it was sent
let enteredSince = [];

document.addEventListener("htmx:beforeSend", ({ detail }) => {
  const said = new Map();
  for (const [key, field] of fieldsOf(theForm())) said.set(key, saysOf(field));
  askedWith.set(detail.xhr, said);
});
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const said = askedWith.get(detail.xhr);
  enteredSince = [...fieldsOf(theForm())]
    .filter(([key, field]) => said?.has(key) && said.get(key) !== saysOf(field));
});
document.addEventListener("htmx:afterSettle", () => {
  const fields = fieldsOf(theForm());
  const replaced = enteredSince.filter(([key, before]) => fields.has(key) && fields.get(key) !== before);
  enteredSince = [];
  for (const [key, before] of replaced) {
    const field = fields.get(key);
    field.checked = before.checked;
    field.value = before.value;
    field.dispatchEvent(new Event("change", { bubbles: true }));  // the portal judges it too
  }
});

// htmx has listened for the same event longer, and is ready.
document.addEventListener("DOMContentLoaded", () => {
  const draft = readDraft();
  const arrival = performance.getEntriesByType("navigation")[0]?.type;
  const stale = draft?.sent && !["back_forward", "reload"].includes(arrival);
  if ("draftNewest" in theForm().dataset) saveDraft();
  else if (stale) sessionStorage.removeItem(draftKey);
  else if (draft && JSON.stringify(draft.answers) !== JSON.stringify(entered(theForm()).answers)) {
    restoreDraft(draft);
  }
});
for (const name of ["input", "change"]) {
  document.addEventListener(name, (event) => { if (theForm().contains(event.target)) saveDraft(); });
}
document.addEventListener("htmx:afterSettle", () => {
  const draft = readDraft();
  if (draft) saveDraft(draft.sent);
});
document.addEventListener("submit", (event) => {
  if (event.target === theForm() && event.submitter?.name === "send") saveDraft(true);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-draft-discard]");
  if (!button) return;
  sessionStorage.removeItem(draftKey);
  if (button.type === "button") location.replace(location.href);
});
// The draft is the one memory: what a browser puts back by itself could contradict the page.
theForm().setAttribute("autocomplete", "off");
