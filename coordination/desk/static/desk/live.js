// An open worklist hears of what is new, and says so; it never changes under the hand. Without this the page is as it
// was when it was asked for, and says when that was.

const AGAIN_MS = 10_000;
const live = document.getElementById("live");
const news = document.getElementById("news");
const said = live.querySelector(".said");
const before = said.textContent;
const title = document.title;
let source;

function show(state) {
  const { new: fresh, changed } = state;
  live.classList.remove("off");
  said.textContent = before;
  news.hidden = !(fresh || changed);
  const words = fresh === 1 ? news.dataset.one : fresh ? news.dataset.many.replace("#", fresh) : news.dataset.none;
  const link = news.querySelector("a");
  if (link.textContent !== words) link.textContent = words;
  document.title = fresh ? `(${fresh}) ${title}` : title;
}

function listen() {
  source = new EventSource(`/evenements?depuis=${live.dataset.since}&marque=${live.dataset.mark}`);
  source.addEventListener("change", (event) => show(JSON.parse(event.data)));
  source.onerror = () => {
    live.classList.add("off");
    said.textContent = live.dataset.lost;
    // A browser tries again by itself, unless it was refused: then whoever reads may have to sign in again.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  };
}

listen();
news.querySelector("a").addEventListener("click", (event) => {
  event.preventDefault();
  location.reload();
});
addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => {
  if (event.persisted) listen();
});
