// The workshop's script: shows how far a replay is, and the page anew when it is over. Without it, "Refresh" does.

const LOOK_MS = 1000;
const box = document.querySelector("[data-replay]");

async function look() {
  const bar = box.querySelector("progress");
  try {
    const answer = await fetch(box.dataset.replay, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const { state, done } = await answer.json();
    if (state !== "queued" && state !== "running") {
      location.hash = "rejeu";
      location.reload();
      return;
    }
    bar.value = done;
  } catch {
    // The link is lost for now: look again.
  }
  setTimeout(look, LOOK_MS);
}

if (box) setTimeout(look, LOOK_MS);
