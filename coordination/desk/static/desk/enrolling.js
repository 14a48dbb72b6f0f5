// The page of a box that is being enrolled follows it by itself. Without this it is reloaded every few seconds.

const live = document.getElementById("enrolling");

async function look() {
  try {
    const answer = await fetch(live.dataset.state, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const now = await answer.json();
    document.getElementById("lost")?.remove();
    if (now.stamp !== live.dataset.stamp) await renew();
    if (now.over) return;
  } catch {
    lost();
  }
  setTimeout(look, 1000);
}

// What is being typed is never taken away: the page changes when the box does something, and only then.
async function renew() {
  const answer = await fetch(location.href);
  if (!answer.ok) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const found = page.getElementById("enrolling");
  live.replaceChildren(...found.childNodes);
  live.dataset.stamp = found.dataset.stamp;
  live.querySelector("h2[tabindex]")?.focus();
}

function lost() {
  if (document.getElementById("lost")) return;
  const said = document.createElement("p");
  said.id = "lost";
  said.className = "flash warn";
  said.setAttribute("role", "alert");
  said.textContent = live.dataset.lost;
  live.before(said);
}

function count() {
  const left = live.querySelector("[data-left]");
  if (!left) return;
  const ms = Math.max(0, Number(left.dataset.left) - 1000);
  left.dataset.left = String(ms);
  const seconds = Math.ceil(ms / 1000);
  left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

look();
setInterval(count, 1000);
