// Each client as its own documentation uses it. `window.play` and `window.publish` are what tests call; `window.said`
// is what the clients say of failures.
import { WebRTCPlayer } from "@eyevinn/webrtc-player";
import { WHIPClient } from "@eyevinn/whip-web-client";
import { MediaMTXWebRTCReader } from "mediamtx-webrtc-react";
import { WHEPClient } from "whip-whep/whep.js";
import { WHIPClient as Ingest } from "whip-whep/whip.js";

const video = document.querySelector("video");
const said = window.said = [];
const show = event => { video.srcObject = event.streams[0]; };
const failed = error => { said.push(String(error?.message ?? error)); };
addEventListener("unhandledrejection", event => failed(event.reason));

const watching = {
  async "whip-whep"(url, token) {
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    peer.addTransceiver("audio", { direction: "recvonly" });
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.ontrack = show;
    const client = new WHEPClient();
    await client.view(peer, url, token);
    return () => client.stop();
  },
  async "webrtc-player"(url, token) {
    const player = new WebRTCPlayer({ video, type: "whep", iceServers: [] });
    for (const name of ["initial-connection-failed", "connect-error", "peer-connection-failed"]) {
      player.on(name, () => failed(name));
    }
    await player.load(new URL(url), token && "Bearer " + token);
    return () => player.unload();
  },
  async "mediamtx-reader"(url, token) {
    const reader = new MediaMTXWebRTCReader({ url, token, onError: failed, onTrack: show });
    return () => reader.close();
  },
};

const publishing = {
  async "whip-whep"(url, token, stream) {
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    for (const track of stream.getTracks()) peer.addTransceiver(track, { direction: "sendonly", streams: [stream] });
    const client = new Ingest();
    await client.publish(peer, url, token);
    return () => client.stop();
  },
  async "whip-web-client"(url, token, stream) {
    const client = new WHIPClient({ endpoint: url, opts: { authkey: token, iceServers: [] } });
    await client.ingest(stream);
    return () => client.destroy();
  },
};

let stop = async () => {};
window.play = (client, url, token) => {
  watching[client](url, token).then(end => { stop = end; }).catch(failed);
};
window.publish = async (client, url, token) => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });
  publishing[client](url, token, stream).then(end => { stop = end; }).catch(failed);
};
window.stop = async () => { try { await stop(); } catch (error) { failed(error); } };
