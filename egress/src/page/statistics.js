// What is measured, once a second: for the page itself, and as numbers and graphs for whoever asks for details.
const history = { rate: [], loss: [], delay: [] };
const MINUTE = 60;
let last = null, silent = 0, still = 0;

async function measure() {
  const mine = join;
  if (mine?.state !== "connected") return forget();
  const now = { at: performance.now(), bytes: 0, packets: 0, lost: 0, buffered: 0, emitted: 0, rtt: 0 };
  let size = "", fps = 0;
  const codecs = [];
  const reports = await mine.peer.getStats();
  if (mine !== join) return;
  for (const report of reports.values()) {
    if (report.type === "inbound-rtp") {
      now.bytes += report.bytesReceived; now.packets += report.packetsReceived; now.lost += report.packetsLost;
      const codec = reports.get(report.codecId)?.mimeType?.split("/")[1];
      if (codec && report.packetsReceived) codecs.push(codec);
      if (report.kind === "audio") seen.audioPackets = report.packetsReceived;
      if (report.kind === "video") {
        now.buffered = report.jitterBufferDelay; now.emitted = report.jitterBufferEmittedCount;
        // Not every browser counts freezes.
        now.jitter = report.jitter; now.freezes = report.freezeCount;
        now.frozen = report.totalFreezesDuration === undefined ? undefined : 1000 * report.totalFreezesDuration;
        moves(report.framesDecoded, seen.framesDecoded);
        seen.framesDecoded = report.framesDecoded; seen.packetsReceived = report.packetsReceived;
        seen.packetsLost = report.packetsLost;
        fps = report.framesPerSecond || 0;
        if (report.frameWidth) size = report.frameWidth + " × " + report.frameHeight;
        soundOnly(report.packetsReceived);
      }
    }
    if (report.type === "candidate-pair" && report.nominated) now.rtt = report.currentRoundTripTime || 0;
  }
  report(mine, now);
  if (last) {
    const rate = Math.max(0, (now.bytes - last.bytes) * 8 / (now.at - last.at));
    const lost = Math.max(0, now.lost - last.lost), came = Math.max(0, now.packets - last.packets);
    const loss = lost + came ? 100 * lost / (lost + came) : 0;
    const emitted = now.emitted - last.emitted;
    const delay = 1000 * ((emitted > 0 ? (now.buffered - last.buffered) / emitted : 0) + now.rtt / 2);
    put("rate", rate, kilobits(rate));
    put("loss", loss, percent(loss));
    put("delay", delay, milliseconds(delay));
    tell([["Picture", size], ["Pictures a second", fps ? Math.round(fps) : ""], ["Lost packets", now.lost],
      ["Round trip", now.rtt ? milliseconds(1000 * now.rtt) : ""], ["Codecs", codecs.join(", ")], ["Server", new URL(mine.at).host]]);
    drawAll();
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
  for (const name in history) history[name] = [];
  tell([]);
}

const kilobits = rate => rate >= 1000 ? (rate / 1000).toFixed(2) + " Mbit/s" : rate.toFixed(0) + " kbit/s";
const percent = loss => loss.toFixed(1) + " %";
const milliseconds = delay => delay.toFixed(0) + " ms";

function put(name, value, text) {
  history[name].push(value);
  if (history[name].length > MINUTE) history[name].shift();
  $(name).textContent = text;
}

// Names with what they are; what is not known is left out.
function tell(facts) {
  $("graphs").hidden = !facts.length;
  $("nothing").hidden = facts.length > 0;
  const known = facts.filter(([, value]) => value !== "" && value !== undefined);
  $("numbers").replaceChildren(...known.map(([name, value]) => {
    const fact = document.createElement("div");
    for (const [kind, text] of [["dt", name], ["dd", value]]) {
      fact.append(Object.assign(document.createElement(kind), { textContent: text }));
    }
    return fact;
  }));
}

function drawAll() {
  if ($("statistics").hidden) return;
  draw("rate", kilobits, 1);
  draw("loss", percent, 5);
  draw("delay", milliseconds, 1);
}

// The last minute, between nothing and the largest value, which is written beside it; `least`: so much is drawn at any rate.
function draw(name, text, least) {
  const values = history[name], canvas = $("g-" + name), scale = devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * scale;
  canvas.height = height * scale;
  if (!values.length) return;
  const most = Math.max(...values, least), look = getComputedStyle(canvas), pen = canvas.getContext("2d");
  const left = 1, right = width - 1, top = 18, foot = height - 18;
  pen.scale(scale, scale);
  pen.font = `12px ${look.fontFamily}`;
  pen.fillStyle = pen.strokeStyle = look.getPropertyValue("--dim");
  pen.fillText(text(most), left, 12);
  pen.fillText("0", left, height - 4);
  pen.textAlign = "right";
  pen.fillText("last minute", right, height - 4);
  pen.globalAlpha = .35;
  for (const at of [top, foot]) pen.fillRect(left, at, right - left, 1);
  pen.globalAlpha = 1;
  pen.beginPath();
  values.forEach((value, at) => {
    pen.lineTo(left + (right - left) * (at + MINUTE - values.length) / (MINUTE - 1), foot - (foot - top) * value / most);
  });
  pen.strokeStyle = look.color;
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.stroke();
}
