// The plate keyboard: provinces first, then letters and digits; the eighth slot turns the plate green.
"use strict";
const field = document.getElementById("plate");
const keys = document.getElementById("keys");
if (field && keys) {
  const provinces = keys.dataset.provinces;
  const serial = "1234567890QWERTYUPASDFGHJKLZXCVBNM学警港澳挂";
  const draw = () => {
    const wanted = field.value.length === 0 ? provinces : field.value.length === 1 ? "ABCDEFGHJKLMNOPQRSTUVWXYZ" : serial;
    keys.replaceChildren();
    for (const letter of wanted) keys.append(key(letter, () => { if (field.value.length < 8) field.value += letter; }));
    const back = key("⌫", () => { field.value = field.value.slice(0, -1); });
    back.className = "wide";
    back.setAttribute("aria-label", keys.dataset.back);
    keys.append(back);
    field.classList.toggle("green", field.value.length === 8);
  };
  const key = (text, act) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => { act(); draw(); });
    return button;
  };
  field.addEventListener("input", draw);
  draw();
}
