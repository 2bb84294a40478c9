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
  packetsLost: 0, firstFrame: null, moves: 0, lost: 0, reports: 0, elsewhere: [] };

// What is known; `describe` says what of it a viewer reads.
const known = { refused: "", token: Boolean(token), exists: true, ended: false, active: true, cutOff: false, connection: "none",
  picture: "none yet", held: false };
// The attempt that counts, the time of the next one, how many failed in a row, when the last began.
let join = null, retry = null, tries = 0, began = 0;

function learn(news) {
  Object.assign(known, news);
  // What has ended is waited for, and plays when it is back.
  if (!known.exists) known.held = false;
  const said = describe(known);
  seen.state = said.is;
  say(said);
}

function drop() {
  finish();
  clearTimeout(retry);
  retry = null;
  moving?.end();
  join?.end();
  moving = join = null;
  forget();
}

// Later: each time twice as long, and never all viewers at the same moment. `after`: seconds that the server asked for.
function again(after = 0, connection = "lost") {
  drop();
  learn({ connection });
  const wait = Math.max(Math.min(500 * 2 ** tries++, 8000), after * 1000);
  retry = setTimeout(connect, wait * (after ? 1 + Math.random() / 2 : 0.5 + Math.random()));
}

function over() {
  drop();
  count(0);
  // Who may watch is asked when there is something to watch.
  learn({ exists: false, refused: "", connection: "none" });
}

// An attempt, and what it plays. Only the one that counts is seen and heard.
function attempt(at) {
  const stream = new MediaStream(), is = () => mine === join;
  const tell = {
    track(track) { stream.addTrack(track); if (is()) show(stream); },
    state() { if (is()) changed(mine); },
    seated() { if (is()) stay(mine); },
    refusedVideo() { mine.picture = "not playable"; if (is()) learn({ picture: mine.picture }); },
  };
  const mine = new Join({ at, auth, offers, tell });
  return Object.assign(mine, { stream, picture: "shown", elsewhere: null, trusted: 0, patience: 0 });
}

function show(stream) {
  if (video.srcObject !== stream) video.srcObject = stream;
  // Who has paused it goes on elsewhere paused, too.
  if (known.held) video.pause();
  play();
}

// Begins anew; an attempt that is under way is given up.
async function connect() {
  drop();
  const { at, told } = place();
  const mine = join = attempt(at);
  if (!seen.joins++) door(mine);
  began = performance.now();
  learn({ refused: "", connection: "connecting", picture: "none yet" });
  try {
    await mine.begin();
  } catch ({ status, after }) {
    if (mine !== join) return;
    // Of several places another may do.
    if (told) return connect();
    failed(status, after);
    // It has no place that a connection for events could keep; it is told all the same when the session begins.
    listen(id, null, post.events);
  }
}

// The browser may have been sent here, and see how long that took where the door is of the same origin.
function door(mine) {
  const [came] = performance.getEntriesByType("navigation");
  if (came?.redirectEnd > came?.redirectStart) mine.stages.doorMs = Math.round(came.redirectEnd - came.redirectStart);
}

function failed(status, after) {
  if (status === 401 || status === 403) { drop(); return learn({ refused: "private", connection: "none" }); }
  if (status === 406) { drop(); return learn({ refused: "format", connection: "none" }); }
  if (status === 404) return over();
  again(after, status ? "refused" : "lost");
}

function changed(mine) {
  switch (mine.state) {
    case "connected":
      tries = 0;
      seen.connects++;
      return learn({ connection: "connected" });
    case "disconnected":
      learn({ connection: "interrupted" });
      // Most connections come back by themselves; one that the server has given up does not, nor does one that is gone.
      doubt(mine);
      return setTimeout(() => { if (mine.state === "disconnected") rejoin(mine); }, 3000);
    case "failed":
    case "closed":
      // What it moves to takes its place, or says that it does not.
      if (moving) return;
      mine.asked().then(answer => {
        if (mine === join && !moving) return answer === "silent" ? elsewhere(mine) : again();
      });
  }
}

// Joins anew if the server keeps no place any more for the attempt that counts.
async function rejoin(mine, spread = 0) {
  if (mine && (mine !== join || (await mine.asked()) !== "lost" || mine !== join)) return;
  begin(mine?.at, spread);
}

// What the browser is told by nobody else: that a session has ended, stalls, or is back.
// It also says that this viewer is still there: a browser that is killed sends no DELETE.
function heard(name, event) {
  const idle = () => !join && !retry && !known.refused;
  switch (name) {
    case "state":
      if (!event.exists) return over();
      learn({ exists: true, active: event.active, cutOff: Boolean(event.cutOff) });
      count(event.viewers);
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
      return;
    case "viewers":
      return count(event.viewers);
    case "reconnect":
      if (!event.viewer) return wander(event);
      if (join?.viewer === event.viewer) move(event.url);
      return;
    case "elsewhere":
      seen.elsewhere = event.urls;
      if (!event.viewer) post.elsewhere = event;
      else if (join?.viewer === event.viewer) join.elsewhere = event;
      return;
    case "broken":
      if (join) doubt(join, true); else miss();
  }
}

function frames() {
  const first = () => {
    if (seen.firstFrame === null) seen.firstFrame = performance.now() - began;
    join?.reach("firstFrameMs");
    if (known.connection === "connected" && known.picture !== "shown") learn({ picture: "shown" });
  };
  const next = () => video.requestVideoFrameCallback(() => { first(); next(); });
  // Where that is missing, `measure` counts pictures; the time of a video goes on without any.
  if (video.requestVideoFrameCallback) next();
}
