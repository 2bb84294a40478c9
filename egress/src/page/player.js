const WHEP = "{{WHEP}}";
const query = new URLSearchParams(location.search);
const id = query.get("id");
// In the fragment it is sent to nobody.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
// A page for tests can ask to make the offer itself; by default it answers the server's, which every browser can.
const offers = query.get("offer") === "1";
const $ = name => document.getElementById(name);
const video = $("video");
const auth = token ? { Authorization: "Bearer " + token } : {};

// What tests look at.
const seen = window.seen = { state: "", connects: 0, framesDecoded: 0, packetsReceived: 0, audioPackets: 0,
  packetsLost: 0, firstFrame: null };

// What is known; `describe` says what of it a viewer reads.
const known = { refused: "", token: Boolean(token), exists: true, ended: false, active: true, connection: "none",
  picture: "none yet" };
let events = null, peer = null, resource = null, retry = null, wait = 500, began = 0;

function learn(news) {
  Object.assign(known, news);
  const [state, kind, cover] = describe(known);
  seen.state = state;
  if ($("state").textContent !== state) $("state").textContent = state;
  $("state").className = kind;
  $("cover").hidden = !cover;
  if ($("cover").textContent !== cover) $("cover").textContent = cover;
}

async function request(url, options) {
  const response = await fetch(url, options);
  if (!response.ok) throw Object.assign(new Error(response.status), { status: response.status });
  return response;
}

function drop() {
  clearTimeout(retry);
  retry = null;
  if (peer) { peer.onconnectionstatechange = peer.ontrack = null; peer.close(); }
  if (resource) fetch(resource, { method: "DELETE", headers: auth, keepalive: true }).catch(() => {});
  peer = resource = null;
  forget();
}

function again() {
  drop();
  learn({ connection: "lost" });
  if (!known.exists) return;
  retry = setTimeout(connect, wait);
  wait = Math.min(wait * 2, 5000);
}

function over() {
  drop();
  learn({ exists: false, connection: "none" });
}

async function connect() {
  drop();
  const mine = peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  const stream = new MediaStream();
  began = performance.now();
  learn({ connection: "connecting", picture: "none yet" });
  mine.ontrack = event => { stream.addTrack(event.track); if (video.srcObject !== stream) video.srcObject = stream; play(); };
  mine.onconnectionstatechange = () => {
    if (mine !== peer) return;
    if (mine.connectionState === "connected") { wait = 500; seen.connects++; learn({ connection: "connected" }); }
    if (["failed", "closed"].includes(mine.connectionState)) again();
    if (mine.connectionState === "disconnected") learn({ connection: "interrupted" });
  };
  try {
    const url = WHEP + "/endpoint/" + encodeURIComponent(id);
    const keep = response => {
      // It is relative to where the answer came from, not to this page.
      resource = new URL(response.headers.get("Location"), response.url).href;
      listen();
      if (mine !== peer) { drop(); throw new Error("superseded"); }
    };
    const sdp = { "Content-Type": "application/sdp", ...auth };
    if (offers) {
      mine.addTransceiver("audio", { direction: "recvonly" });
      mine.addTransceiver("video", { direction: "recvonly" });
      await mine.setLocalDescription();
      await gathered(mine);
      const response = await request(url, { method: "POST", headers: sdp, body: mine.localDescription.sdp });
      keep(response);
      await mine.setRemoteDescription({ type: "answer", sdp: await response.text() });
    } else {
      const response = await request(url, { method: "POST", headers: auth });
      keep(response);
      await mine.setRemoteDescription({ type: "offer", sdp: await response.text() });
      await mine.setLocalDescription();
      await gathered(mine);
      await request(resource, { method: "PATCH", headers: sdp, body: mine.localDescription.sdp });
    }
  } catch (error) {
    if (mine !== peer) return;
    if (error.status === 401) { drop(); return learn({ refused: "private", connection: "none" }); }
    if (error.status === 406) { drop(); return learn({ refused: "format", connection: "none" }); }
    if (error.status === 404) return over();
    again();
  }
}

// Host candidates are there within milliseconds; nobody waits longer than needed for others.
function gathered(peer) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise(resolve => {
    const timer = setTimeout(resolve, 300);
    peer.addEventListener("icegatheringstatechange", () => {
      if (peer.iceGatheringState === "complete") { clearTimeout(timer); resolve(); }
    });
  });
}

function play() {
  video.play().catch(() => { video.muted = true; return video.play(); }).catch(() => {});
  controls();
}

// What the browser is told by nobody else: that a session has ended, stalls, or is back.
// It also says that this viewer is still there: a browser that is killed sends no DELETE.
function listen() {
  if (events) events.close();
  const viewer = resource ? "&viewer=" + encodeURIComponent(resource.split("/").pop()) : "";
  events = new EventSource("/events?id=" + encodeURIComponent(id) + viewer);
  const on = (name, act) => events.addEventListener(name, event => act(JSON.parse(event.data)));
  on("state", state => {
    if (!state.exists) return over();
    learn({ exists: true, active: state.active });
    if (!peer && !known.refused) connect();
  });
  on("started", () => { learn({ exists: true, ended: false, active: true, refused: "" }); wait = 500; connect(); });
  on("ended", () => { known.ended = true; over(); });
  on("stalled", () => { if (known.exists) learn({ active: false }); });
  on("back", () => {
    learn({ exists: true, active: true });
    if (!known.refused && (!peer || peer.connectionState !== "connected")) connect();
  });
}

function frames() {
  const first = () => {
    if (seen.firstFrame === null) seen.firstFrame = performance.now() - began;
    if (known.connection === "connected" && known.picture !== "shown") learn({ picture: "shown" });
  };
  if (!video.requestVideoFrameCallback) return video.addEventListener("timeupdate", first);
  const next = () => video.requestVideoFrameCallback(() => { first(); next(); });
  next();
}
