// Relative to this page, which a proxy may have below a path of its own.
const base = "{{WHIP}}endpoint/";
const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
$("session").value = query.get("id") || "";
$("source").value = query.get("source") || "camera";
$("codec").value = query.get("codec") || "";
// After the '#': never sent to any server by the browser.
$("token").value = new URLSearchParams(location.hash.slice(1)).get("token") || "";
$("name").textContent = $("session").value;

let peer = null, media = null, address = null, timer = null, ended = () => {}, wanted = false, delay = 1000;
// Which attempt counts: each one, and each end, makes those before it void.
let turn = 0;

function say(is, text) {
  $("state").dataset.is = is;
  if ($("state").textContent !== text) $("state").textContent = text;
}

function headers(type) {
  const all = {};
  if (type) all["Content-Type"] = type;
  if ($("token").value) all.Authorization = "Bearer " + $("token").value;
  return all;
}

/* All candidates go with the offer: one request, and nothing that can come too late. */
function gathered(peer) {
  return new Promise((done) => {
    const timeout = setTimeout(done, 1500);
    const check = () => { if (peer.iceGatheringState === "complete") { clearTimeout(timeout); done(); } };
    peer.addEventListener("icegatheringstatechange", check);
    check();
  });
}

async function connect() {
  say("busy", "Connecting …");
  const url = base + encodeURIComponent($("session").value);
  const now = turn, iceServers = await askIceServers(url, headers());
  if (now !== turn) return;
  const mine = peer = new RTCPeerConnection({ iceServers });
  for (const track of media.getTracks()) {
    const sender = peer.addTransceiver(track, { direction: "sendonly", streams: [media] });
    if (track.kind === "video") {
      const known = RTCRtpSender.getCapabilities("video").codecs;
      const of = (name) => known.filter((codec) => codec.mimeType.toLowerCase() === "video/" + name);
      const chosen = $("codec").value.toLowerCase();
      const order = chosen ? of(chosen) : [...of("vp8"), ...of("h264")];
      if (order.length && sender.setCodecPreferences) sender.setCodecPreferences(order);
    }
  }
  mine.addEventListener("connectionstatechange", () => {
    if (mine !== peer) return;
    if (mine.connectionState === "connected") { delay = 1000; say("live", "Live"); }
    if (mine.connectionState === "failed" || mine.connectionState === "closed") again("The connection was lost. Retrying …");
    if (mine.connectionState === "disconnected") say("busy", "The connection is interrupted …");
  });
  await mine.setLocalDescription(await mine.createOffer());
  await gathered(mine);
  if (mine !== peer) return;
  const answer = await fetch(url, { method: "POST", headers: headers("application/sdp"), body: mine.localDescription.sdp })
    .catch(() => ({ status: 0, text: () => "" }));
  const text = await answer.text();
  if (answer.status !== 201) {
    if (mine !== peer) return;
    let said = text;
    try { said = JSON.parse(text).error; } catch { /* not JSON: as it is */ }
    const known = { status: answer.status, said, session: $("session").value, token: $("token").value !== "" };
    const { final, text: why } = refusal(known);
    throw Object.assign(new Error(why), { final });
  }
  const resource = new URL(answer.headers.get("Location"), answer.url);
  // Stopped meanwhile: nobody else knows what to end.
  if (mine !== peer) return leave(resource);
  address = resource;
  await mine.setRemoteDescription({ type: "answer", sdp: text });
  watch(mine);
}

/* How the session stands at the node. The browser itself notices a broadcast that the node has ended only seconds later. */
async function standing() {
  const query = new URLSearchParams({ id: $("session").value, key: address.pathname.split("/").pop() });
  const answer = await fetch("standing?" + query).catch(() => null);
  if (answer && answer.status === 404) return { gone: true };
  if (!answer || !answer.ok) return null;
  const { publisher, publications } = await answer.json();
  return { gone: false, publisher: Boolean(publisher), publications };
}

function watch(mine) {
  clearInterval(timer);
  let last = null, ours = null;
  timer = setInterval(async () => {
    if (mine !== peer) return;
    const now = await standing();
    if (mine !== peer) return;
    if (now) {
      if (ours === null) ours = now.publications;
      const over = interruption({ ...now, ours, session: $("session").value });
      if (over && over.final) return stop("bad", over.text);
      if (over) return over.waits ? queue(over.text) : again(over.text);
    }
    await measure();
  }, 1000);
  async function measure() {
    let bytes = 0, frames = 0, size = "", codecs = [], rtt = 0;
    (await mine.getStats()).forEach((item) => {
      if (item.type === "outbound-rtp") {
        bytes += item.bytesSent;
        if (item.kind === "video") { frames = item.framesPerSecond || 0; size = item.frameWidth ? item.frameWidth + "×" + item.frameHeight : ""; }
      }
      if (item.type === "codec") codecs.push(item.mimeType.split("/")[1]);
      if (item.type === "candidate-pair" && item.nominated) rtt = item.currentRoundTripTime || 0;
    });
    const at = performance.now();
    const rate = last ? (bytes - last.bytes) * 8 / (at - last.at) : 0;
    last = { bytes, at };
    $("stats").textContent = `${rate.toFixed(0)} kbit/s · ${size} ${frames.toFixed(0)} frames/s · ${codecs.join(", ")} · ${(rtt * 1000).toFixed(0)} ms`;
    $("stats").dataset.kbits = rate.toFixed(0);
  }
}

function drop() {
  clearInterval(timer);
  const old = peer, at = address;
  peer = address = null;
  if (old) old.close();
  if (at) leave(at);
}

function leave(resource) {
  fetch(resource, { method: "DELETE", headers: headers(), keepalive: true }).catch(() => {});
}

/* Tries again after a while: longer each time, and not when everybody else does. */
async function again(why) {
  drop();
  if (!wanted) return;
  const mine = ++turn;
  $("stats").textContent = "";
  say("busy", why);
  await pause(delay * (.75 + Math.random() / 2));
  delay = Math.min(delay * 2, 8000);
  if (wanted && mine === turn) await attempt();
}

/* Somebody else has taken our place. Asking for it back would take theirs where newcomers are always preferred. */
async function queue(why) {
  drop();
  const mine = ++turn;
  $("stats").textContent = "";
  say("busy", why);
  for (let now = { publisher: true }; !now || now.publisher; now = await standing()) {
    await pause(1000);
    if (!wanted || mine !== turn) return;
  }
  await attempt();
}

function pause(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

async function attempt() {
  try {
    await connect();
  } catch (error) {
    if (error.final) return stop("bad", error.message);
    await again(error.message);
  }
}

async function start() {
  wanted = true;
  $("button").textContent = "Stop";
  try {
    const got = await source();
    media = got.stream;
    ended = got.end;
    $("notice").textContent = notice(got.substitute);
    $("preview").srcObject = media;
    media.getVideoTracks().forEach((track) => track.addEventListener("ended", () => stop("", "The picture ended")));
  } catch (error) {
    return stop("bad", trouble(error));
  }
  await attempt();
}

function stop(is, text) {
  wanted = false;
  turn++;
  drop();
  ended();
  if (media) media.getTracks().forEach((track) => track.stop());
  media = null;
  $("preview").srcObject = null;
  $("stats").textContent = $("notice").textContent = "";
  $("button").textContent = "Start";
  say(is, text);
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  $("name").textContent = $("session").value;
  if (wanted) stop("", "Not publishing"); else start();
});
addEventListener("pagehide", drop);
// By itself only what is nobody's secret: a link must not turn on a camera, whatever the browser was allowed before.
if (query.has("auto")) {
  if ($("source").value === "pattern") start(); else say("", "Press Start to publish");
}
