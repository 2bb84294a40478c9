const $ = (id) => document.getElementById(id);

/* Sizes of the picture, each with the bitrate that looks good at it. */
const SIZES = {
  1080: { width: 1920, height: 1080, kilobits: 4500 },
  720: { width: 1280, height: 720, kilobits: 2500 },
  480: { width: 854, height: 480, kilobits: 1200 },
  360: { width: 640, height: 360, kilobits: 800 },
};
const size = () => SIZES[$("size").value] ?? SIZES[720];
const kilobits = () => Number($("bitrate").value) || size().kilobits;

/* A clock and a moving bar, with a quiet tone, for those without a camera. */
function pattern() {
  const canvas = $("canvas"), pen = canvas.getContext("2d");
  Object.assign(canvas, { width: size().width, height: size().height });
  const bars = ["#fff", "#ff0", "#0ff", "#0f0", "#f0f", "#f00", "#00f", "#000"];
  const draw = () => {
    const { width, height } = canvas, now = performance.timeOrigin + performance.now();
    bars.forEach((bar, n) => { pen.fillStyle = bar; pen.fillRect(n * width / 8, 0, width / 8 + 1, height); });
    pen.fillStyle = "#000c"; pen.fillRect(0, height * .35, width, height * .3);
    pen.fillStyle = "#fff"; pen.font = `bold ${height / 6}px monospace`; pen.textAlign = "center"; pen.textBaseline = "middle";
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

/* The chosen one, or whichever the browser takes. */
const chosen = name => $(name).value ? { deviceId: { exact: $(name).value } } : {};
const picture = () => ({ ...chosen("camera"), width: { ideal: size().width }, height: { ideal: size().height }, frameRate: { ideal: 30 } });

async function source() {
  const kind = $("source").value;
  if (kind === "pattern") return pattern();
  const devices = navigator.mediaDevices;
  if (!devices) throw new DOMException("there is no camera for this page", "NotFoundError");
  // Without a microphone a browser would refuse the camera, too.
  const known = await devices.enumerateDevices(), wants = $("microphone").value !== "none";
  const sound = wants && known.some(device => device.kind === "audioinput") && chosen("microphone");
  if (kind === "camera") {
    return { stream: await devices.getUserMedia({ video: picture(), audio: sound }), end() {} };
  }
  const { width, height } = size();
  const stream = await devices.getDisplayMedia({ video: { width: { max: width }, height: { max: height } }, audio: true });
  if (sound && !stream.getAudioTracks().length) {
    const spoken = await devices.getUserMedia({ audio: sound }).catch(() => null);
    spoken?.getTracks().forEach(track => stream.addTrack(track));
  }
  return { stream, end() {} };
}

/* Which cameras and microphones there are. Their names are told only to pages that were allowed to use one. */
async function listDevices() {
  const all = await navigator.mediaDevices?.enumerateDevices?.().catch(() => []) ?? [];
  for (const [name, kind, more] of [["camera", "videoinput", []], ["microphone", "audioinput", [["none", "No microphone"]]]]) {
    const before = $(name).value, found = all.filter(device => device.kind === kind && device.deviceId && device.label);
    const options = [["", "Default"], ...found.map(({ deviceId, label }) => [deviceId, label]), ...more];
    $(name).replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    if (options.some(([value]) => value === before)) $(name).value = before;
  }
}

/* How loud it is, ten times a second, and whether nothing has been heard for long: `heard(part of the meter, silent)`. */
function meter(stream, heard) {
  if (!stream.getAudioTracks().length) return () => {};
  const QUIET = -60, WHILE = 50;
  const sound = new AudioContext(), look = sound.createAnalyser(), samples = new Float32Array(look.fftSize);
  let still = 0;
  sound.createMediaStreamSource(stream).connect(look);
  sound.resume();
  const timer = setInterval(() => {
    look.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    const decibels = 10 * Math.log10(power || 1e-12);
    // A browser that lets nothing be heard before a click is not a microphone that hears nothing.
    still = decibels < QUIET && sound.state === "running" ? still + 1 : 0;
    heard(Math.min(1, Math.max(0, 1 - decibels / QUIET)), still > WHILE);
  }, 100);
  return () => { clearInterval(timer); sound.close(); };
}
