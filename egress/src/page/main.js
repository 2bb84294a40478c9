// Without ?id= the page lists what can be watched.
async function choose() {
  document.title = $("name").textContent = "Broadcasts";
  for (const name of ["stage", "statistics", "state"]) $(name).hidden = true;
  $("list").hidden = false;
  const broadcasts = await (await request("broadcasts")).json();
  for (const { sessionId, active } of broadcasts) {
    const line = document.createElement("li"), link = document.createElement("a");
    link.href = "?id=" + encodeURIComponent(sessionId) + location.hash;
    link.textContent = sessionId;
    line.className = active ? "good" : "";
    line.append(link, active ? " live" : " paused");
    $("list").append(line);
  }
  if (!broadcasts.length) $("list").textContent = "There is no broadcast at present.";
}

if (id) {
  $("name").textContent = document.title = id;
  $("statistics").open = matchMedia("(min-width: 700px)").matches;
  addEventListener("pagehide", () => { drop(); deaf(); });
  // Back from the browser's cache.
  addEventListener("pageshow", event => { if (event.persisted) connect(); });
  controls();
  connect();
  frames();
  setInterval(measure, 1000);
} else {
  choose().catch(({ status }) => {
    $("list").textContent = [401, 404].includes(status)
      ? "Open this page with the complete link that you were given."
      : "The list cannot be read at present. Try again in a moment.";
  });
}
