// One broadcast by WHIP, tried again for as long as it is wanted. What it is told and what it says is the page's business: `say`.
// Relative to this page, which a proxy may have below a path of its own.
const base = "{{WHIP}}endpoint/";

let peer = null, address = null, timer = null, delay = 1000;
// Which attempt counts: each one, and each end, makes those before it void.
let turn = 0;

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

/* A browser that knows nothing of the way begins with 300 kbit/s and a picture to match, and is up to half a minute on its way
   to a large one. Chromium takes the other side's word for where to begin. */
function beginsWith(sdp, kilobits) {
  const begin = `x-google-start-bitrate=${kilobits}`;
  for (const [line, number] of sdp.matchAll(/^a=rtpmap:(\d+) (?:VP8|H264)\/90000/gim)) {
    const said = new RegExp(`^a=fmtp:${number} .*$`, "m").exec(sdp)?.[0].trimEnd();
    sdp = said ? sdp.replace(said, `${said};${begin}`) : sdp.replace(line, `${line}\r\na=fmtp:${number} ${begin}`);
  }
  return sdp;
}

/* Firefox takes nobody's word for that. It begins with a smaller picture, however good the way is, and is at the chosen size after a
   quarter of a minute. So the size is kept until the way is known; from then on a browser may do as it likes. */
const KNOWN_AFTER = 5000;
function keepSize(mine, keeps) {
  for (const sender of mine.getSenders().filter(({ track }) => track?.kind === "video")) {
    const parameters = sender.getParameters();
    if (keeps) parameters.degradationPreference = "maintain-resolution";
    else delete parameters.degradationPreference;
    sender.setParameters(parameters).catch(() => {});
  }
}

async function connect() {
  say("busy", "Connecting …");
  const url = base + encodeURIComponent($("session").value);
  const now = turn, iceServers = await askIceServers(url, headers());
  if (now !== turn) return;
  const mine = peer = new RTCPeerConnection({ iceServers });
  for (const track of media.getTracks()) {
    const sendEncodings = track.kind === "video" ? [{ maxBitrate: 1000 * kilobits() }] : [{}];
    const sender = mine.addTransceiver(track, { direction: "sendonly", streams: [media], sendEncodings });
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
    if (mine.connectionState === "connected") {
      delay = 1000;
      say("live");
      setTimeout(() => { if (mine === peer) keepSize(mine, false); }, KNOWN_AFTER);
    }
    if (mine.connectionState === "failed" || mine.connectionState === "closed") again("The connection was lost. Retrying …");
    if (mine.connectionState === "disconnected") say("busy", "The connection is interrupted …");
  });
  keepSize(mine, true);
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
  await mine.setRemoteDescription({ type: "answer", sdp: beginsWith(text, kilobits()) });
  watch(mine);
}

/* How the session stands at the node, for whom it gave a place at this address. */
async function standing(at = address) {
  const query = new URLSearchParams({ id: $("session").value, key: at.pathname.split("/").pop() });
  const answer = await fetch("standing?" + query).catch(() => null);
  if (answer && answer.status === 404) return { gone: true };
  if (!answer || !answer.ok) return null;
  const { publisher, publications, draining } = await answer.json();
  return { gone: false, publisher: Boolean(publisher), publications, draining: Boolean(draining) };
}

/* Asked every second, and at once when the other side hangs up: a browser takes seconds to call that an end. */
function watch(mine) {
  clearInterval(timer);
  let ours = null;
  const look = async () => {
    if (mine !== peer) return;
    const now = await standing();
    if (mine !== peer || !now) return;
    if (ours === null) ours = now.publications;
    const over = interruption({ ...now, ours, session: $("session").value });
    if (over && over.final) return stop("bad", over.text);
    if (over) return over.waits ? queue(over.text) : again(over.text);
    learn({ leaves: now.draining });
  };
  const measure = measuring(mine);
  timer = setInterval(async () => { await look(); if (mine === peer) await measure(); }, 1000);
  const transport = mine.getSenders()[0]?.transport;
  transport?.addEventListener("statechange", () => { if (["closed", "failed"].includes(transport.state)) look(); });
  look();
}

/* What is sent, each time since the time before. */
function measuring(mine) {
  let last = null;
  return async () => {
    const now = { at: performance.now(), bytes: 0 }, seen = { codecs: [], frames: 0, size: "", height: Infinity, limit: "", rtt: 0, lost: 0 };
    for (const item of (await mine.getStats()).values()) {
      if (item.type === "outbound-rtp") {
        now.bytes += item.bytesSent;
        if (item.kind === "video") {
          seen.frames = item.framesPerSecond || 0;
          if (item.frameWidth) Object.assign(seen, { size: item.frameWidth + " × " + item.frameHeight, height: item.frameHeight });
          seen.limit = item.qualityLimitationReason;
        }
      }
      if (item.type === "codec") seen.codecs.push(item.mimeType.split("/")[1]);
      if (item.type === "candidate-pair" && item.nominated) seen.rtt = item.currentRoundTripTime || 0;
      if (item.type === "remote-inbound-rtp") seen.lost += item.packetsLost || 0;
    }
    if (mine !== peer) return;
    seen.rate = last ? (now.bytes - last.bytes) * 8 / (now.at - last.at) : 0;
    last = now;
    sent(seen);
  };
}

/* What was chosen while it is live is sent from now on. */
function limit() {
  for (const sender of peer?.getSenders() ?? []) {
    if (sender.track?.kind !== "video") continue;
    const parameters = sender.getParameters();
    if (!parameters.encodings?.length) continue;
    parameters.encodings[0].maxBitrate = 1000 * kilobits();
    sender.setParameters(parameters).catch(() => {});
  }
}

function replace(track) {
  const sender = peer?.getSenders().find((one) => one.track?.kind === track.kind);
  return sender?.replaceTrack(track);
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
  say("busy", why);
  await pause(delay * (.75 + Math.random() / 2));
  delay = Math.min(delay * 2, 8000);
  if (wanted && mine === turn) await attempt();
}

/* Somebody else has taken our place. Asking for it back would take theirs where newcomers are always preferred. */
async function queue(why) {
  const ours = address;
  drop();
  const mine = ++turn;
  say("busy", why);
  for (let now = { publisher: true }; !now || now.publisher; now = await standing(ours)) {
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
