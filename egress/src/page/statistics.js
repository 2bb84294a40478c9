// Numbers and graphs, once a second.
const history = { rate: [], loss: [], delay: [] };
let last = null, silent = 0, still = 0;
async function measure() {
  const mine = join;
  if (mine?.state !== "connected") return forget();
  const now = { at: performance.now(), bytes: 0, packets: 0, lost: 0, buffered: 0, emitted: 0, rtt: 0 };
  let size = "", fps = 0;
  const reports = await mine.peer.getStats();
  if (mine !== join) return;
  for (const report of reports.values()) {
    if (report.type === "inbound-rtp") {
      now.bytes += report.bytesReceived; now.packets += report.packetsReceived; now.lost += report.packetsLost;
      if (report.kind === "audio") seen.audioPackets = report.packetsReceived;
      if (report.kind === "video") {
        now.buffered = report.jitterBufferDelay; now.emitted = report.jitterBufferEmittedCount;
        moves(report.framesDecoded, seen.framesDecoded);
        seen.framesDecoded = report.framesDecoded; seen.packetsReceived = report.packetsReceived;
        seen.packetsLost = report.packetsLost;
        fps = report.framesPerSecond || 0;
        if (report.frameWidth) size = report.frameWidth + "×" + report.frameHeight;
        soundOnly(report.packetsReceived);
      }
    }
    if (report.type === "candidate-pair" && report.nominated) now.rtt = report.currentRoundTripTime || 0;
  }
  if (last) {
    // What its server would have said has stopped: is there a server?
    if (now.packets === last.packets && known.active) doubt(mine);
    const rate = Math.max(0, (now.bytes - last.bytes) * 8 / (now.at - last.at));
    const lost = Math.max(0, now.lost - last.lost), came = Math.max(0, now.packets - last.packets);
    const loss = lost + came ? 100 * lost / (lost + came) : 0;
    const emitted = now.emitted - last.emitted;
    const delay = 1000 * ((emitted > 0 ? (now.buffered - last.buffered) / emitted : 0) + now.rtt / 2);
    put("rate", rate, rate >= 1000 ? (rate / 1000).toFixed(2) + " Mbit/s" : rate.toFixed(0) + " kbit/s", "#4da3ff");
    put("loss", loss, loss.toFixed(1) + " %", "#ff5f57");
    put("delay", delay, delay.toFixed(0) + " ms", "#34c759");
    $("numbers").textContent = [size, fps ? fps + " fps" : "", now.lost + " lost"].filter(Boolean).join(" · ");
  }
  last = now;
}
// A picture that stands still for seconds is none that plays, whatever the connection says.
function moves(now, before) {
  still = now === before ? still + 1 : 0;
  if (known.picture === "shown" && still >= 3) learn({ picture: "still" });
  if (now > 0 && !still && ["none yet", "still", "sound only"].includes(known.picture)) learn({ picture: "shown" });
}
// No packet of a picture in the first seconds: nobody should wait for it.
function soundOnly(packets) {
  silent = packets || !seen.audioPackets ? 0 : silent + 1;
  if (silent >= 3 && known.picture === "none yet") learn({ picture: "sound only" });
}
// Numbers of a connection that is over say nothing.
function forget() {
  last = null;
  silent = still = 0;
  seen.framesDecoded = 0;
  $("numbers").textContent = "";
  for (const name of ["rate", "loss", "delay"]) { history[name] = []; $(name).textContent = "–"; draw(name, ""); }
}
function put(name, value, text, color) {
  history[name].push(value);
  if (history[name].length > 60) history[name].shift();
  $(name).textContent = text;
  draw(name, color);
}
function draw(name, color) {
  const values = history[name], canvas = $("g-" + name), scale = devicePixelRatio || 1;
  const width = canvas.width = canvas.clientWidth * scale, height = canvas.height = canvas.clientHeight * scale;
  if (!values.length) return;
  const context = canvas.getContext("2d"), top = Math.max(...values, name === "loss" ? 5 : 1) * 1.1;
  context.beginPath();
  values.forEach((value, at) => context.lineTo(width * (at + 60 - values.length) / 59, height - height * value / top));
  context.strokeStyle = color;
  context.lineWidth = 2 * scale;
  context.stroke();
}
