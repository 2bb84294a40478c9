// Going on at another server: without a break when this one says so, and at once when it is gone.

// How long another server may take until it plays, and how often that is looked at, ms.
const PLAYS_WITHIN = 5000, LOOKS_EVERY = 50;
// So long nothing comes, not even sound, before a server is asked whether it is still there; and before one that has broken its
// connection for events is taken for gone, if it does not answer, ms.
const SILENCE = 300, BROKEN_SILENCE = 100;
// A server that has answered while nothing came is not asked again for so long, and each time twice as long, up to the second, ms.
const TRUST = 1000, MOST_TRUST = 8000;

// The attempt that is to take the place of the one that counts; where to try before all else, best first.
let moving = null, places = [];
// Where to begin, and where it is heard of what can be watched: where the page is from, until it plays elsewhere, or is sent on; and
// where else that could be.
const post = { at: endpoint(), events: null, elsewhere: null, missed: false };

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

// The server sends this viewer on: what it plays goes on until the other one plays, too. It stays here if that fails; should it
// have to go, it is told again, and perhaps of another.
async function move(url) {
  if (await goes(url) === false && ["failed", "closed"].includes(join?.state)) again();
}

// Whether it plays there now; nothing if something else has come between.
async function goes(url) {
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
    return false;
  }
  const before = join;
  clearTimeout(retry);
  retry = null;
  join = next;
  seen.moves++;
  show(next.stream);
  forget();
  learn({ exists: true, ended: false, active: true, cutOff: false, connection: "connected", picture: next.picture });
  stay(next);
  before?.end();
  return true;
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
async function doubt(mine, broken = false) {
  if (!mine || mine !== join || mine.doubted || !broken && performance.now() < mine.trusted) return;
  mine.doubted = true;
  // Those whose connection breaks notice it at once, and spread from then on.
  const since = broken ? performance.now() : null;
  try {
    const before = await mine.came();
    const silent = async () => mine === join && await mine.came() === before;
    // Where nothing comes, all who watch are silent at once: they ask one after the other.
    const asked = broken ? mine.asked() : null;
    await pause(broken ? BROKEN_SILENCE : 2 * LOOKS_EVERY + Math.min(SILENCE, mine.elsewhere?.spreadMs ?? 0) * Math.random());
    if (!await silent()) return trust(mine, 0);
    const answer = await (asked ?? mine.asked());
    if (answer === "kept") return trust(mine, mine.patience * 2);
    if (!await silent() || moving) return;
    if (answer === "lost") return begin(mine.at);
    await elsewhere(mine, silent, since ?? performance.now());
  } finally {
    mine.doubted = false;
  }
}

// It is there: only silence that goes on is worth another question, and each time later.
function trust(mine, patience) {
  mine.patience = Math.min(Math.max(patience, TRUST), MOST_TRUST);
  mine.trusted = performance.now() + mine.patience;
}

// The server is gone, with everybody who was there: they spread, as it had said. Should media come again meanwhile, it stays.
async function elsewhere(mine, silent = () => mine === join, since = performance.now()) {
  const { urls = [], spreadMs = 0 } = mine.elsewhere ?? {};
  learn({ connection: "lost" });
  seen.lost++;
  await pause(since + spreadMs * Math.random() - performance.now());
  for (const url of urls) {
    if (mine !== join) return;
    if (!await silent()) return mine === join && learn({ connection: "connected" });
    if (await goes(url) !== false) return;
  }
  if (mine === join) again();
}

// Whether it comes is looked at often; browsers say cheaply when the last packet was played.
let played = 0, playedAt = 0;
function hear() {
  const sources = join?.state === "connected" && known.active ? join.peer.getReceivers() : [];
  const times = sources.flatMap(receiver => receiver.getSynchronizationSources().map(({ timestamp }) => timestamp));
  const latest = Math.max(...times), now = performance.now();
  if (!times.length || latest !== played) [played, playedAt] = [latest, now];
  else if (now - playedAt > SILENCE) doubt(join);
}

// It has a place there.
function stay({ at, viewer, events }) {
  Object.assign(post, { at, events });
  listen(id, viewer, events);
}

// Who waits here is to wait elsewhere.
async function wander({ url, events, spreadMs = 0 }) {
  await pause(spreadMs * Math.random());
  if (join) return;
  Object.assign(post, { at: url, events, elsewhere: null });
  listen(id, null, events);
}

// The server that would say that something begins has fallen silent, and perhaps is gone.
async function miss() {
  if (post.missed) return;
  post.missed = true;
  const answer = await fetch(post.at, { method: "HEAD", headers: auth, signal: AbortSignal.timeout(1000) }).catch(() => null);
  const { urls: [url] = [], events: [events] = [], spreadMs } = post.elsewhere ?? {};
  if (!(answer?.status < 500) && url) await wander({ url, events, spreadMs });
  post.missed = false;
}

// Begins anew, where it was first.
function begin(at, spread = 0) {
  drop();
  places = at && at !== post.at ? [at] : [];
  learn({ connection: "connecting" });
  retry = setTimeout(connect, spread * Math.random());
}

// Where to try next: where it was told to; then where it is at home, at the door to all nodes there, and at others in turn.
function place() {
  if (places.length) return { at: places.shift(), told: true };
  const door = new URL("watch/" + encodeURIComponent(id), document.baseURI).href;
  const all = [post.at, door, ...(post.elsewhere?.urls ?? [])];
  return { at: all[tries % all.length], told: false };
}
