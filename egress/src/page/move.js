// Going on at another server: without a break when this one says so, and at once when it is gone.

// How long another server may take until it plays, and how often that is looked at, ms.
const PLAYS_WITHIN = 5000, LOOKS_EVERY = 50;
// So long nothing comes, not even sound, before a server is asked whether it is still there, ms.
const SILENCE = 300;

// The attempt that is to take the place of the one that counts; where to try before all else, best first.
let moving = null, places = [];

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

// The server sends this viewer on: what it plays goes on until the other one plays, too.
async function move(url) {
  if (moving?.at === url) return;
  moving?.end();
  const next = moving = attempt(url);
  let plays = false;
  try {
    await next.begin();
    plays = await playing(next);
  } catch {}
  if (next !== moving) return;
  moving = null;
  if (!plays) {
    next.end();
    // It stays here then; should it have to go, it is told again, and perhaps of another.
    if (["failed", "closed"].includes(join?.state)) again();
    return;
  }
  const before = join;
  clearTimeout(retry);
  retry = null;
  join = next;
  seen.moves++;
  show(next.stream);
  forget();
  learn({ exists: true, ended: false, active: true, cutOff: false, connection: "connected", picture: next.picture });
  listen(id, next.viewer, next.events);
  before?.end();
}

// Whether an attempt comes to play: a picture is decoded, or there is sound alone.
async function playing(next) {
  const until = performance.now() + PLAYS_WITHIN;
  while (!next.ended && performance.now() < until && !["failed", "closed"].includes(next.state)) {
    const { audio, video, pictures } = await next.got();
    if (pictures) return true;
    if (audio > 50 && !video) {
      if (next.picture === "shown") next.picture = "sound only";
      return true;
    }
    await pause(LOOKS_EVERY);
  }
  return false;
}

// Something suggests that the server is gone. If nothing comes from it and it does not answer, it is.
async function doubt(mine) {
  if (!mine || mine !== join || mine.doubted) return;
  mine.doubted = true;
  try {
    const sum = ({ audio, video }) => audio + video;
    const before = sum(await mine.got());
    await pause(SILENCE);
    if (mine !== join || sum(await mine.got()) > before) return;
    const answer = await mine.asked();
    if (mine !== join || moving) return;
    if (answer === "lost") return begin(mine.at);
    if (answer === "silent") elsewhere(mine);
  } finally {
    mine.doubted = false;
  }
}

// The server is gone, with everybody who was there: they spread, as it had said.
function elsewhere(mine) {
  const { urls = [], spreadMs = 0 } = mine.elsewhere ?? {};
  drop();
  places = [...urls];
  learn({ connection: "lost" });
  seen.lost++;
  retry = setTimeout(connect, spreadMs * Math.random());
}

// Begins anew, where it was first.
function begin(at, spread = 0) {
  drop();
  places = at && at !== endpoint() ? [at] : [];
  learn({ connection: "connecting" });
  retry = setTimeout(connect, spread * Math.random());
}

// Where to try next: where it was told to; then where the page is from, and there every other time at the door to all nodes.
function place() {
  if (places.length) return { at: places.shift(), told: true };
  return { at: tries % 2 ? new URL("watch/" + encodeURIComponent(id), document.baseURI).href : endpoint(), told: false };
}
