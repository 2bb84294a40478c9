// Without ?id= the page lists what can be watched, and goes on doing so.
const LISTS_EVERY = 5000;

async function choose() {
  let broadcasts = [];
  try {
    broadcasts = await (await request("broadcasts")).json();
    empty(broadcasts.length ? "" : "There is no broadcast at present. What begins is listed here.");
  } catch ({ status }) {
    empty([401, 404].includes(status)
      ? "Open this page with the complete link that you were given."
      : "The list cannot be read at present. Trying again …");
  }
  broadcasts.sort((one, other) => other.active - one.active || one.sessionId.localeCompare(other.sessionId));
  const lines = broadcasts.map(line), had = [...$("list").children];
  // Only what has changed: whoever is about to choose one keeps the focus.
  if (lines.length !== had.length || lines.some((now, at) => !now.isEqualNode(had[at]))) {
    const focused = document.activeElement?.getAttribute("href");
    $("list").replaceChildren(...lines);
    if (focused) $("list").querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }
  $("list").hidden = !lines.length;
  setTimeout(choose, LISTS_EVERY);
}

function empty(text) {
  $("empty").hidden = !text;
  if ($("empty").textContent !== text) $("empty").textContent = text;
}

function line({ sessionId, active, viewers }) {
  const make = (kind, className, text) => Object.assign(document.createElement(kind), { className, textContent: text });
  const link = make("a", "card", "");
  link.href = "?id=" + encodeURIComponent(sessionId) + location.hash;
  link.append(make("span", "title", sessionId));
  if (viewers) link.append(make("span", "viewers", `${viewers} watching here`));
  link.append(make("span", active ? "badge live" : "badge", active ? "Live" : "Offline"));
  const item = document.createElement("li");
  item.append(link);
  return item;
}

if (id) {
  $("name").textContent = document.title = id;
  addEventListener("pagehide", () => { drop(); deaf(); });
  // Back from the browser's cache.
  addEventListener("pageshow", event => { if (event.persisted) connect(); });
  stir();
  connect();
  frames();
  setInterval(measure, 1000);
  setInterval(hear, LOOKS_EVERY);
} else {
  document.title = $("name").textContent = "Broadcasts";
  for (const name of ["stage", "state", "watching", "details"]) $(name).hidden = true;
  choose();
}
