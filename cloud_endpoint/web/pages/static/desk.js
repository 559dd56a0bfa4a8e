// The desk renews what is live, and leaves alone what somebody is writing.
"use strict";
const live = document.getElementById("live");
const EVERY_MS = 5000;

async function renew() {
  try {
    const answer = await fetch(live.dataset.from, { cache: "no-store" });
    if (answer.status === 401) { location.reload(); return; }
    if (answer.ok && !live.contains(document.activeElement)) {
      live.innerHTML = await answer.text();
      const now = live.firstElementChild.dataset.reviews;
      document.getElementById("news").hidden = now === live.dataset.reviews;
    }
  } catch { /* no network for a while: the next one may come through */ }
  setTimeout(renew, EVERY_MS);
}
setTimeout(renew, EVERY_MS);
