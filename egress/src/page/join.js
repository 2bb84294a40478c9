// One attempt to watch: a connection and the place that the server keeps for it (WHEP). What belongs to an attempt is in
// it, so that one that was given up cannot touch the one after it.
class Join {
  // at: the endpoint's URL; auth: headers; offers: it makes the offer itself; tell: what it calls, until it is ended:
  // track(track), state(), seated(), refusedVideo().
  constructor({ at, auth, offers, tell }) {
    Object.assign(this, { at, auth, offers, tell, resource: null, events: null, ended: false });
    Object.assign(this, { began: performance.now(), stages: {}, trace: hex(16) });
    this.connect();
  }

  // How far it has come, and when that was first so: ms since it began. The server is told.
  reach(stage) { this.stages[stage] ??= Math.round(performance.now() - this.began); }

  connect() {
    this.peer?.close();
    const peer = this.peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    peer.ontrack = ({ track }) => {
      // A track is muted until something comes.
      if (track.kind === "video") track.addEventListener("unmute", () => this.reach("firstPacketMs"));
      this.tell.track(track);
    };
    peer.onconnectionstatechange = () => {
      if (peer !== this.peer || this.ended) return;
      if (this.state === "connected") this.reach("connectedMs");
      this.tell.state();
    };
  }

  // The STUN and TURN servers that it may need; before it gathers its addresses.
  reachBy(iceServers) {
    if (iceServers.length) this.peer.setConfiguration({ bundlePolicy: "max-bundle", iceServers });
  }

  get state() { return this.peer.connectionState; }

  // The name of the place.
  get viewer() { return this.resource?.split("/").pop() ?? null; }

  // Goes as far as the answer; an error has the status of a refusal, if it is one.
  async begin() {
    const counter = this.offers ? await this.offer() : await this.ask();
    if (!counter || this.ended) return;
    await this.peer.setRemoteDescription({ type: "offer", sdp: counter });
    const { sdp } = await this.peer.createAnswer();
    if (this.ended) return;
    await this.describe("answer", sdp);
    if (/^m=video 0 /m.test(sdp)) this.tell.refusedVideo();
    await request(this.resource, { method: "PATCH", headers: this.headers(), body: this.peer.localDescription.sdp });
  }

  // The server is asked for an offer, which every browser can answer.
  async ask() {
    const response = await request(this.at, { method: "POST", headers: { ...this.auth, ...this.traced() } });
    this.seat(response);
    this.reachBy(iceServers(response));
    return response.text();
  }

  // It is sent ours. An answer ends it; what comes instead is the server's own offer.
  async offer() {
    const servers = await askIceServers(this.at, this.auth);
    if (this.ended) return null;
    this.reachBy(servers);
    this.peer.addTransceiver("audio", { direction: "recvonly" });
    this.peer.addTransceiver("video", { direction: "recvonly" });
    await this.describe("offer", (await this.peer.createOffer()).sdp);
    const sent = { method: "POST", headers: this.headers(), body: this.peer.localDescription.sdp };
    const response = await request(this.at, sent, status => status === 406);
    const is = response.headers.get("Content-Type") ?? "";
    if (response.status === 406 && !is.startsWith("application/sdp")) throw refusal(response);
    this.seat(response);
    const sdp = await response.text();
    if (response.status === 406) {
      this.connect();
      this.reachBy(iceServers(response));
      return sdp;
    }
    if (!this.ended) await this.peer.setRemoteDescription({ type: "answer", sdp });
    return null;
  }

  seat(response) {
    this.reach("answeredMs");
    // It may have been sent on to another server, which was told from where.
    this.at = response.url.split("?")[0];
    this.resource = new URL(response.headers.get("Location"), response.url).href;
    const events = links(response).find(({ rel }) => rel === "urn:x-media-tree:events");
    this.events = events ? new URL(events.uri, response.url).href : null;
    if (this.ended) return this.leave();
    this.tell.seated();
  }

  async describe(type, sdp) {
    await this.peer.setLocalDescription({ type, sdp: stereo(sdp) });
    await gathered(this.peer);
  }

  headers() { return { "Content-Type": "application/sdp", ...this.auth, ...this.traced() }; }

  // What joins the log lines of all nodes that it has to do with (W3C Trace Context). Of another origin it would cost a preflight.
  traced() {
    const isOurs = new URL(this.at, location).origin === location.origin;
    return isOurs ? { traceparent: `00-${this.trace}-${hex(8)}-01` } : {};
  }

  // What the server says of the place: "kept", "lost", or "silent" if it says nothing, nor anybody for it.
  async asked() {
    if (!this.resource) return "kept";
    const sent = { method: "HEAD", headers: this.auth, signal: AbortSignal.timeout(1000) };
    const response = await fetch(this.resource, sent).catch(() => null);
    if (!response || response.status >= 500) return "silent";
    return response.status === 404 ? "lost" : "kept";
  }

  // What has come: packets of sound and picture, and pictures that were decoded.
  async got() {
    const got = { audio: 0, video: 0, pictures: 0 };
    for (const report of (await this.peer.getStats()).values()) {
      if (report.type !== "inbound-rtp") continue;
      got[report.kind] += report.packetsReceived;
      if (report.kind === "video") got.pictures += report.framesDecoded ?? 0;
    }
    return got;
  }

  // Packets of all kinds.
  async came() {
    const { audio, video } = await this.got();
    return audio + video;
  }

  leave() {
    if (this.resource) fetch(this.resource, { method: "DELETE", headers: this.auth, keepalive: true }).catch(() => {});
    this.resource = null;
  }

  end() {
    this.ended = true;
    this.peer.ontrack = this.peer.onconnectionstatechange = null;
    this.peer.close();
    this.leave();
  }
}

// So many bytes by chance.
function hex(bytes) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map(byte => byte.toString(16).padStart(2, "0")).join("");
}

function refusal(response) {
  const after = Number(response.headers.get("Retry-After")) || 0;
  return Object.assign(new Error(response.status), { status: response.status, after });
}

async function request(url, options, takes = () => false) {
  let response = await fetch(url, options);
  // A browser that is sent on to another origin leaves the token behind (Fetch standard).
  if (response.status === 401 && response.redirected && options?.headers?.Authorization) response = await fetch(response.url, options);
  if (!response.ok && !takes(response.status)) throw refusal(response);
  return response;
}

// Without it a browser takes Opus for one channel, and plays that on both sides (RFC 7587 section 6.1).
function stereo(sdp) {
  const opus = /^a=rtpmap:(\d+) opus\/48000\/2/im.exec(sdp)?.[1];
  if (!opus) return sdp;
  const said = new RegExp(`^a=fmtp:${opus} .*$`, "m").exec(sdp)?.[0];
  if (!said) return sdp.replace(/^a=rtpmap:\d+ opus\/48000\/2.*$/im, `$&\r\na=fmtp:${opus} stereo=1`);
  return /[ ;]stereo=/.test(said) ? sdp : sdp.replace(said, said.trimEnd() + ";stereo=1");
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
