// Asks for the tree every two seconds while somebody looks, and shows it.
const EVERY = 2000;
const $ = id => document.getElementById(id);
// After the '#' it is sent to no server. Kept for as long as the tab.
const KEPT = "media-tree-token";
let token = new URLSearchParams(location.hash.slice(1)).get("token") ?? sessionStorage.getItem(KEPT) ?? "";
let tree = null, chosen = null, timer = null, turn = 0;

async function ask() {
  clearTimeout(timer);
  const now = ++turn;
  const headers = { Accept: "application/json", ...token && { Authorization: `Bearer ${token}` } };
  const stop = AbortSignal.timeout(8000);
  const answer = await fetch(location.pathname, { headers, signal: stop, cache: "no-store" }).catch(() => null);
  const said = await answer?.json().catch(() => null);
  if (now !== turn) return;
  if (answer?.ok && said) {
    tree = said;
    $("ask").hidden = true;
    show();
  } else {
    fail(answer, said);
  }
  timer = setTimeout(ask, EVERY);
}

function fail(answer, said) {
  if (answer?.status === 401) {
    $("ask").hidden = false;
    return state("bad", token ? "This token does not open it." : "A token is needed.");
  }
  if (!answer) return state("bad", "The node does not answer. What is shown is old.");
  state("bad", said?.error ?? `The node answers ${answer.status}.`);
}

function state(is, text) {
  const at = $("state");
  at.className = `badge ${is}`;
  // Said again by a screen reader only when it is something else.
  if (at.textContent !== text) at.textContent = text;
}

function show() {
  const left = tree.leftOut;
  document.title = $("name").textContent = tree.treeId;
  state(tree.healthy ? "good" : "bad", tree.healthy ? "healthy" : counted(tree.problems.length, "problem"));
  $("sums").textContent = [counted(tree.nodes.length + left.nodes, "node"),
    counted(tree.sessions.length + left.sessions, "session"), counted(tree.viewers, "viewer")].join(" · ");
  list("wrong", tree.problems);
  list("notes", [...tree.notes, ...left.nodes ? [`${counted(left.nodes, "more node")} not drawn`] : []]);
  draw();
  sessions(left.sessions);
}

// Only what is different is touched: whoever reads or selects it is not disturbed.
function list(id, sentences) {
  $(id).hidden = !sentences.length;
  const at = $(id).querySelector("ul");
  if ([...at.children].map(line => line.textContent).join("\n") === sentences.join("\n")) return;
  at.replaceChildren(...sentences.map(text => Object.assign(document.createElement("li"), { textContent: text })));
}

function draw() {
  if (!tree) return;
  const at = $("drawing"), focused = document.activeElement?.dataset?.id;
  at.replaceChildren(drawing(tree, Math.max(260, at.clientWidth), chosen, choose));
  if (focused) [...at.querySelectorAll(".row")].find(row => row.dataset.id === focused)?.focus({ preventScroll: true });
  details();
}

function choose(id) {
  chosen = chosen === id ? null : id;
  draw();
}

function details() {
  const node = tree.nodes.find(node => node.id === chosen);
  $("details").hidden = !node;
  if (!node) return;
  const edge = tree.edges.find(edge => edge.from === node.parent && edge.to === node.id);
  const rows = [["Node", node.id], ["Type", node.type], ["State", stateOf(node)[0]], ...node.why.map(why => ["Why", why]),
    ["Parent", node.parent], ["Standby", node.standby?.join(", ")], ["Edge", edge?.why], [node.type === "injection" ? "Sends" : "Receives", traffic(node, edge)],
    ["Viewers", seats(node)], ["Sessions", node.type === "egress" ? String(node.mountpoints) : ""], ["Zone", node.zone],
    ["Address", node.url]];
  const found = document.createElement("dl");
  for (const [name, value] of rows.filter(([, value]) => value)) {
    const content = document.createElement("dd");
    content.textContent = value;
    found.append(Object.assign(document.createElement("dt"), { textContent: name }), content);
  }
  $("details").replaceChildren(found);
}

function sessions(more) {
  $("sessions").hidden = !tree.sessions.length;
  const rows = tree.sessions.map(session => {
    const is = session.orphan ? "injection gone" : session.live ? "live" : session.videoCodec ? "paused" : "not started";
    return [session.sessionId, is, session.injection ?? "–", session.egresses ?? "–"];
  });
  if (more) rows.push([`and ${more} more`, "", "", ""]);
  const line = cells => {
    const row = document.createElement("tr");
    row.append(...cells.map(text => Object.assign(document.createElement("td"), { textContent: text })));
    return row;
  };
  $("sessions").querySelector("tbody").replaceChildren(...rows.map(line));
}

$("ask").addEventListener("submit", event => {
  event.preventDefault();
  token = $("token").value;
  sessionStorage.setItem(KEPT, token);
  ask();
});
addEventListener("resize", draw);
// Nobody looks: nothing is asked.
document.addEventListener("visibilitychange", () => { if (document.hidden) { clearTimeout(timer); turn++; } else ask(); });
ask();
