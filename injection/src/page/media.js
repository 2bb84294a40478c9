/* A clock and a moving bar, with a quiet beep each second, for those without a camera. */
function pattern() {
  const canvas = $("canvas"), pen = canvas.getContext("2d");
  const bars = ["#fff", "#ff0", "#0ff", "#0f0", "#f0f", "#f00", "#00f", "#000"];
  const draw = () => {
    const { width, height } = canvas, now = performance.timeOrigin + performance.now();
    bars.forEach((bar, n) => { pen.fillStyle = bar; pen.fillRect(n * width / 8, 0, width / 8 + 1, height); });
    pen.fillStyle = "#000c"; pen.fillRect(0, height * .35, width, height * .3);
    pen.fillStyle = "#fff"; pen.font = "bold 120px monospace"; pen.textAlign = "center"; pen.textBaseline = "middle";
    pen.fillText(new Date(now).toISOString().slice(11, 23), width / 2, height / 2);
    pen.fillStyle = "#fff"; pen.fillRect((now / 4) % width, height * .9, 40, height * .1);
  };
  draw();
  // A timer, not an animation frame: those stop when the page is in the background.
  const drawing = setInterval(draw, 33);
  const sound = new AudioContext(), tone = sound.createOscillator(), gain = sound.createGain();
  const out = sound.createMediaStreamDestination();
  tone.frequency.value = 440; gain.gain.value = .02;
  tone.connect(gain).connect(out); tone.start(); sound.resume();
  const stream = canvas.captureStream(30);
  stream.addTrack(out.stream.getAudioTracks()[0]);
  return { stream, end: () => { clearInterval(drawing); sound.close(); } };
}

async function source() {
  const kind = $("source").value;
  if (kind === "pattern") return pattern();
  const devices = navigator.mediaDevices;
  if (!devices) {
    throw new Error("this browser gives no camera to pages without https; choose the test pattern, or use https or localhost");
  }
  try {
    const stream = kind === "screen"
      ? await devices.getDisplayMedia({ video: true, audio: true })
      : await devices.getUserMedia({ video: { width: { ideal: 1280 }, frameRate: { ideal: 30 } }, audio: true });
    return { stream, end: () => {} };
  } catch (error) {
    if (error.name !== "NotFoundError" || kind !== "camera") throw error;
    $("source").value = "pattern";
    return { ...pattern(), substitute: true };
  }
}

