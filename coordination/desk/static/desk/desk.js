// The desk's one script. Everything here is a comfort: each page reads and acts without it.

const rows = () => [...document.querySelectorAll(".wl tbody tr[id]")];
const current = () => document.activeElement?.closest?.("tr[id]");

function move(step) {
  const all = rows();
  const at = all.indexOf(current());
  const next = all[Math.max(0, Math.min(all.length - 1, at + step))] ?? all[0];
  next?.focus();
}

// Single keys, for whoever left them on in their account (WCAG 2.1.4).
addEventListener("keydown", (event) => {
  if (!("shortcuts" in document.body.dataset)) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select, button, a") && event.key !== "j" && event.key !== "k") return;
  if (event.target.matches("input, textarea, select")) return;
  switch (event.key) {
    case "j":
      move(1);
      break;
    case "k":
      move(-1);
      break;
    case "Enter":
      current()?.querySelector("th a")?.click();
      break;
    case "o":
      current()?.querySelector("a.open")?.click();
      break;
    case "?": {
      const help = document.getElementById("help");
      if (help?.open) help.close();
      else help?.showModal();
      break;
    }
    case "p":
      current()?.querySelector("form[action$='/prendre']")?.requestSubmit();
      break;
    default:
      return;
  }
  event.preventDefault();
});
