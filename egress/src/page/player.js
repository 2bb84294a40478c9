const query = new URLSearchParams(location.search);
const id = query.get("id");
// In the fragment it is sent to nobody.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
// By default the server makes the offer, and every browser can answer it; a page for tests can ask to make its own.
const offers = query.get("offer") === "1";
const $ = name => document.getElementById(name);
const video = $("video");
const auth = token ? { Authorization: "Bearer " + token } : {};
const endpoint = () => new URL("{{WHEP}}/endpoint/" + encodeURIComponent(id), document.baseURI).href;

// What tests look at.
const seen = window.seen = { state: "", joins: 0, connects: 0, framesDecoded: 0, packetsReceived: 0, audioPackets: 0,
  packetsLost: 0, firstFrame: null };

// What is known; `describe` says what of it a viewer reads.
const known = { refused: "", token: Boolean(token), exists: true, ended: false, active: true, cutOff: false, connection: "none",
  picture: "none yet" };
// The attempt that counts, the time of the next one, how many failed in a row, when the last began.
let join = null, retry = null, tries = 0, began = 0;

function learn(news) {
  Object.assign(known, news);
  const [state, kind, cover] = describe(known);
  seen.state = state;
  if ($("state").textContent !== state) $("state").textContent = state;
  $("state").className = kind;
  $("cover").hidden = !cover;
  if ($("cover").textContent !== cover) $("cover").textContent = cover;
}

function drop() {
  clearTimeout(retry);
  retry = null;
  join?.end();
  join = null;
  forget();
}

// Later: each time twice as long, and never all viewers at the same moment. `after`: seconds that the server asked for.
function again(after = 0) {
  drop();
  learn({ connection: "lost" });
  const wait = Math.max(Math.min(500 * 2 ** tries++, 8000), after * 1000);
  retry = setTimeout(connect, wait * (after ? 1 + Math.random() / 2 : 0.5 + Math.random()));
}

function over() {
  drop();
  // Who may watch is asked when there is something to watch.
  learn({ exists: false, refused: "", connection: "none" });
}

// Begins anew; an attempt that is under way is given up.
async function connect() {
  drop();
  const stream = new MediaStream();
  const tell = {
    track(track) {
      stream.addTrack(track);
      if (video.srcObject !== stream) video.srcObject = stream;
      play();
    },
    state: () => changed(mine),
    seated: () => listen(id, mine.viewer),
    refusedVideo: () => learn({ picture: "not playable" }),
  };
  const mine = join = new Join({ at: endpoint(), auth, offers, tell });
  seen.joins++;
  began = performance.now();
  learn({ refused: "", connection: "connecting", picture: "none yet" });
  try {
    await mine.begin();
  } catch ({ status, after }) {
    if (mine !== join) return;
    failed(status, after);
    // It has no place that a connection for events could keep; it is told all the same when the session begins.
    listen(id, null);
  }
}

function failed(status, after) {
  if (status === 401 || status === 403) { drop(); return learn({ refused: "private", connection: "none" }); }
  if (status === 406) { drop(); return learn({ refused: "format", connection: "none" }); }
  if (status === 404) return over();
  again(after);
}

function changed(mine) {
  switch (mine.state) {
    case "connected":
      tries = 0;
      seen.connects++;
      return learn({ connection: "connected" });
    case "disconnected":
      learn({ connection: "interrupted" });
      // Most connections come back by themselves; one that the server has given up does not.
      return setTimeout(() => { if (mine.state === "disconnected") rejoin(mine); }, 3000);
    case "failed":
    case "closed":
      return again();
  }
}

// Joins anew if the server keeps no place any more for the attempt that counts.
async function rejoin(mine, spread = 0) {
  if (mine && (mine !== join || !(await mine.lost()) || mine !== join)) return;
  drop();
  learn({ connection: "connecting" });
  retry = setTimeout(connect, spread * Math.random());
}

function play() {
  video.play().catch(() => { video.muted = true; return video.play(); }).catch(() => {});
  controls();
}

// What the browser is told by nobody else: that a session has ended, stalls, or is back.
// It also says that this viewer is still there: a browser that is killed sends no DELETE.
function heard(name, event) {
  const idle = () => !join && !retry && !known.refused;
  switch (name) {
    case "state":
      if (!event.exists) return over();
      learn({ exists: true, active: event.active, cutOff: Boolean(event.cutOff) });
      if (idle()) connect();
      return;
    case "started":
      learn({ exists: true, ended: false, active: true, cutOff: false, refused: "" });
      tries = 0;
      return rejoin(join, event.spreadMs ?? 0);
    case "ended":
      known.ended = true;
      return over();
    case "stalled":
      if (known.exists) learn({ active: false, cutOff: Boolean(event.cutOff) });
      return;
    case "back":
      if (!known.exists) return;
      learn({ active: true, cutOff: false });
      if (idle()) connect();
  }
}

function frames() {
  const first = () => {
    if (seen.firstFrame === null) seen.firstFrame = performance.now() - began;
    if (known.connection === "connected" && known.picture !== "shown") learn({ picture: "shown" });
  };
  const next = () => video.requestVideoFrameCallback(() => { first(); next(); });
  // Where that is missing, `measure` counts pictures; the time of a video goes on without any.
  if (video.requestVideoFrameCallback) next();
}
