// What is seen and pressed.
const query = new URLSearchParams(location.search);
for (const name of ["source", "codec", "size", "bitrate"]) {
  if ([...$(name).options].some(({ value }) => value === query.get(name))) $(name).value = query.get(name);
}
$("session").value = query.get("id") || "";
// After the '#': never sent to any server by the browser.
$("token").value = new URLSearchParams(location.hash.slice(1)).get("token") || "";

// Whether it is to be live; what is sent or looked at, and how it ends; what is known of it.
let wanted = false, media = null, ended = () => {};
const known = { is: "", silent: false, muted: false, limit: "", leaves: false };
// For how many seconds the picture has been smaller than it should be; and how many are worth a word.
let small = 0;
const LONG = 5;

const BADGES = { "": ["", "Not live"], busy: ["wait", "Connecting"], live: ["live", "Live"], bad: ["bad", "Not live"] };

function write(name, text) {
  if ($(name).textContent !== text) $(name).textContent = text;
}

function say(is, text = "") {
  known.is = is;
  const [look, badge] = BADGES[is];
  write("state", badge);
  $("state").className = `badge ${look}`;
  write("sentence", text);
  if (is !== "live") sent(null);
  show();
}

function learn(news) {
  Object.assign(known, news);
  show();
}

/* What has changed of all that is shown. */
function show() {
  const tracks = media?.getTracks() ?? [], sounds = tracks.filter(({ kind }) => kind === "audio");
  write("name", $("session").value);
  write("button", wanted ? "Stop" : "Go live");
  $("button").className = wanted ? "stop" : "main";
  write("check", media ? "End the check" : "Check picture and sound");
  $("check").hidden = wanted;
  $("placeholder").hidden = Boolean(media);
  $("sound").hidden = $("silence").hidden = !sounds.length;
  write("silence", known.muted ? "Unmute" : "Mute");
  $("silence").setAttribute("aria-pressed", known.muted);
  for (const name of ["session", "token", "source", "codec"]) $(name).disabled = wanted;
  const kind = $("source").value;
  document.querySelector("label.camera").hidden = kind !== "camera";
  document.querySelector("label.microphone").hidden = kind === "pattern";
  write("notice", notice({ ...known, media: Boolean(media), sound: sounds.length > 0 }));
}

/* What is sent, or nothing. */
function sent(seen) {
  small = seen && seen.height < .9 * size().height ? small + 1 : 0;
  known.limit = small >= LONG ? seen.limit : "";
  write("stats", seen ? [seen.size, `${seen.frames.toFixed(0)} frames/s`, `${seen.rate.toFixed(0)} kbit/s`].filter(Boolean).join(" · ") : "");
  const facts = seen ? [["Codecs", seen.codecs.join(", ")], ["Round trip", `${(1000 * seen.rtt).toFixed(0)} ms`],
    ["Lost packets", seen.lost]] : [];
  $("numbers").replaceChildren(...facts.map(([name, value]) => {
    const fact = document.createElement("div");
    fact.append(Object.assign(document.createElement("dt"), { textContent: name }),
      Object.assign(document.createElement("dd"), { textContent: value }));
    return fact;
  }));
  if (seen) show();
}

/* Takes camera, screen or pattern, and shows it to whoever is here. Nothing if it is not wanted any more when it is there. */
async function take(mine) {
  const got = await source();
  if (mine !== turn) return letGo(got.stream, got.end);
  media = got.stream;
  // What is on a screen is to be read, if need be at fewer pictures a second.
  for (const track of media.getVideoTracks()) {
    if ($("source").value === "screen") track.contentHint = "detail";
    track.addEventListener("ended", () => { if (media === got.stream) stop("", "The picture has ended."); });
  }
  $("preview").srcObject = media;
  const quiet = listen(media);
  ended = () => { quiet(); got.end(); };
  listDevices();
  show();
}

function listen(stream) {
  return meter(stream, (loud, silent) => {
    $("level").firstElementChild.style.transform = `scaleX(${loud})`;
    $("level").setAttribute("aria-valuenow", Math.round(100 * loud));
    if (silent !== known.silent) { known.silent = silent; show(); }
  });
}

function letGo(stream, end) {
  end();
  stream?.getTracks().forEach((track) => track.stop());
}

/* Nothing is taken from camera and microphone any more. */
function release() {
  letGo(media, ended);
  media = null;
  ended = () => {};
  Object.assign(known, { silent: false, muted: false, limit: "", leaves: false });
  $("preview").srcObject = null;
}

/* Opens what was chosen; says whether it is there. What does not come is asked about, if something else could be sent. */
async function opened(then) {
  const mine = ++turn;
  $("ask").hidden = true;
  if (media) return true;
  try {
    await take(mine);
    return mine === turn;
  } catch (error) {
    if (mine !== turn) return false;
    const asked = question({ name: error.name, kind: $("source").value, secure: Boolean(navigator.mediaDevices) });
    stop(asked ? "" : "bad", asked ? "" : trouble(error));
    if (asked) ask(asked, then);
    return false;
  }
}

function ask(text, then) {
  write("question", text);
  $("ask").hidden = false;
  $("no").focus();
  $("no").onclick = () => { $("ask").hidden = true; $("button").focus(); };
  $("yes").onclick = () => {
    $("source").value = "pattern";
    $("button").focus();
    then();
  };
}

async function start() {
  wanted = true;
  say("busy", "Connecting …");
  if (await opened(start)) await attempt();
}

async function check() {
  if (media) return stop("");
  if (await opened(check)) say("");
}

function stop(is, text) {
  wanted = false;
  turn++;
  drop();
  release();
  say(is, text);
}

/* Another camera or microphone than the one in use. */
async function change(kind, wants) {
  if (!media || $("source").value === "pattern") return;
  const before = media.getTracks().filter((track) => track.kind === kind);
  if (!before.length || wants === false) {
    // What was agreed on with the node has no place for it.
    const live = wanted;
    stop("");
    return live ? start() : check();
  }
  // A phone has one camera at a time.
  for (const track of before) { media.removeTrack(track); track.stop(); }
  try {
    const [track] = (await navigator.mediaDevices.getUserMedia({ [kind]: wants })).getTracks();
    track.enabled = kind !== "audio" || !known.muted;
    media.addTrack(track);
    await replace(track);
    ended();
    ended = listen(media);
    show();
  } catch (error) {
    stop("bad", trouble(error));
  }
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (wanted) stop(""); else start();
});
$("check").addEventListener("click", check);
$("silence").addEventListener("click", () => {
  known.muted = !known.muted;
  for (const track of media?.getAudioTracks() ?? []) track.enabled = !known.muted;
  show();
});
$("details").addEventListener("click", () => {
  const now = $("more").hidden;
  $("more").hidden = !now;
  $("details").setAttribute("aria-expanded", now);
});
$("source").addEventListener("change", () => { if (media) stop(""); else show(); });
$("camera").addEventListener("change", () => change("video", picture()));
$("microphone").addEventListener("change", () => {
  change("audio", $("microphone").value !== "none" && (Object.keys(chosen("microphone")).length ? chosen("microphone") : true));
});
$("size").addEventListener("change", () => {
  const { width, height } = size();
  if (media && $("source").value === "pattern") Object.assign($("canvas"), { width, height });
  else media?.getVideoTracks()[0]?.applyConstraints({ width: { ideal: width }, height: { ideal: height } }).catch(() => {});
  limit();
});
$("bitrate").addEventListener("change", limit);
$("session").addEventListener("input", show);
navigator.mediaDevices?.addEventListener?.("devicechange", listDevices);
addEventListener("pagehide", drop);

say("");
listDevices();
// By itself only what is nobody's secret: a link must not turn on a camera, whatever the browser was allowed before.
if (query.has("auto")) {
  if ($("source").value === "pattern") start(); else say("", "Press “Go live” to begin.");
}
