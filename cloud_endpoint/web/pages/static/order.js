// What the driver's page does with a script: a plate keyboard, and an answer that comes by itself.
"use strict";

const field = document.getElementById("plate");
const keys = document.getElementById("keys");
const SLOTS = 8;

function keyboard() {
  const letters = "ABCDEFGHJKLMNOPQRSTUVWXYZ";
  const serial = "1234567890QWERTYUPASDFGHJKLZXCVBNM";
  const endings = "学警挂领港澳";
  let special = false; // plates that begin with a letter, or with 使

  field.classList.add("covered");
  field.inputMode = "none"; // the phone's own keyboard stays away; a real one still types
  const slots = document.createElement("div");
  slots.className = "slots";
  slots.setAttribute("aria-hidden", "true");
  for (let i = 0; i < SLOTS; i += 1) slots.append(document.createElement("span"));
  const frame = document.createElement("div");
  frame.className = "plate-frame";
  field.before(frame);
  frame.append(slots, field);
  keys.setAttribute("role", "group");
  keys.setAttribute("aria-label", keys.dataset.label);

  const wanted = () => {
    const at = field.value.length;
    if (at === 0) return special ? "使" + letters : keys.dataset.provinces;
    if (at === 1) return letters + (special ? "1234567890" : "");
    return at < 6 ? serial : serial + endings;
  };
  const key = (text, label, act, wide) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    if (label) button.setAttribute("aria-label", label);
    if (wide) button.className = "wide";
    button.addEventListener("click", () => { act(); draw(); });
    return button;
  };
  const draw = () => {
    const text = field.value.toUpperCase().replace(/[\s·•.-]/g, "");
    if (text !== field.value) field.value = text;
    [...slots.children].forEach((slot, i) => {
      slot.textContent = text[i] || "";
      slot.className = i === text.length && i < SLOTS ? "next" : "";
      if (i === SLOTS - 1) {
        slot.classList.add("energy");
        if (!text[i]) slot.textContent = field.dataset.energy;
        slot.classList.toggle("empty", !text[i]);
      }
    });
    frame.classList.toggle("green", text.length === SLOTS);
    keys.replaceChildren(...[...wanted()].map((letter) => key(letter, "", () => {
      if (field.value.length < SLOTS) field.value += letter;
    })));
    if (text.length === 0) {
      keys.append(key(special ? keys.dataset.provinces[0] + "…" : keys.dataset.letters, "", () => { special = !special; }, true));
    }
    keys.append(key("⌫", keys.dataset.back, () => { field.value = field.value.slice(0, -1); }, true));
  };
  field.addEventListener("input", draw);
  draw();
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function watch(told) {
  for (;;) {
    try {
      const answer = await fetch(`${told.dataset.watch}?wait=20`, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const now = await answer.json();
      if (now.state !== told.dataset.state) { location.reload(); return; }
      if (now.retry_after_s) await pause(now.retry_after_s * 1000); // too many wait here
    } catch {
      await pause(3000); // no network for a while
    }
  }
}

if (field && keys) keyboard();
const told = document.getElementById("told");
if (told && told.dataset.state === "pending") watch(told);
// A page from the history may be old: the order may have gone on.
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
