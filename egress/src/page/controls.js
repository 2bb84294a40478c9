// What the viewer reads and does: badge and sentence, play, sound, picture in picture and full screen, by buttons, by keys (space,
// m, f) and a double click.
const stage = $("stage");
let resting = null;

function say({ is, look, badge, sentence, busy }) {
  const write = (name, text) => { if ($(name).textContent !== text) $(name).textContent = text; };
  write("state", badge);
  $("state").className = `badge ${look}`;
  // What is only there at times is read out by few.
  write("spoken", `${badge}. ${sentence}`);
  $("cover").hidden = !sentence;
  $("cover").className = busy ? "busy" : "";
  write("sentence", sentence);
  stage.classList.toggle("plays", is === "playing");
  controls();
}

// How many watch by the server that this page has its events from.
function count(viewers) {
  const text = viewers ? `${viewers} watching here` : "";
  if ($("watching").textContent !== text) $("watching").textContent = text;
}

function controls() {
  const silent = video.muted || video.volume === 0;
  const plays = ["playing", "sound only"].includes(seen.state);
  const call = known.held && seen.state === "held" ? "Play" : plays && video.muted ? "Turn the sound on" : "";
  $("call").hidden = !call;
  if (call && $("call").textContent !== call) $("call").textContent = call;
  $("play").setAttribute("aria-label", known.held ? "Play" : "Pause");
  $("play").title = known.held ? "Play (space)" : "Pause (space)";
  $("mute").setAttribute("aria-pressed", silent);
  $("volume").value = video.muted ? 0 : video.volume;
  $("pip").hidden = !document.pictureInPictureEnabled || !video.requestPictureInPicture;
  $("pip").setAttribute("aria-pressed", document.pictureInPictureElement === video);
  $("fullscreen").setAttribute("aria-pressed", Boolean(document.fullscreenElement));
}

function play() {
  controls();
  if (known.held) return;
  video.play()
    .catch(({ name }) => {
      if (name !== "NotAllowedError") return;
      // With sound only when somebody asks for it; where not even a picture may begin by itself, somebody has to press Play.
      video.muted = true;
      return video.play().catch(again => { if (again.name === "NotAllowedError") learn({ held: true }); });
    });
}

function hold() {
  learn({ held: !known.held });
  if (known.held) video.pause(); else play();
}

function mute() {
  video.muted = !video.muted;
  if (!video.muted && video.volume === 0) video.volume = 1;
  play();
}

function pictureInPicture() {
  const done = document.pictureInPictureElement ? document.exitPictureInPicture() : video.requestPictureInPicture();
  done.catch(() => {});
}

function fullscreen() {
  if (document.fullscreenElement) return document.exitFullscreen();
  if (stage.requestFullscreen) return stage.requestFullscreen().catch(() => {});
  // Phones of Apple's show nothing but the video itself in full.
  if (video.webkitEnterFullscreen) video.webkitEnterFullscreen();
}

// Buttons go out of the way of a picture that plays, until somebody moves.
function stir() {
  stage.classList.remove("rests");
  clearTimeout(resting);
  resting = setTimeout(() => stage.classList.add("rests"), 3000);
}

$("call").onclick = () => known.held ? hold() : mute();
$("play").onclick = hold;
$("mute").onclick = mute;
$("pip").onclick = pictureInPicture;
$("fullscreen").onclick = fullscreen;
$("volume").oninput = () => { video.volume = Number($("volume").value); video.muted = video.volume === 0; play(); };
for (const name of ["volumechange", "enterpictureinpicture", "leavepictureinpicture"]) video.addEventListener(name, controls);
document.addEventListener("fullscreenchange", controls);
for (const name of ["pointermove", "pointerdown", "focusin", "keydown"]) stage.addEventListener(name, stir);

// By other buttons than ours: those of a keyboard, of headphones, of a small window. In the background some browsers pause by
// themselves; that is undone by whoever comes back.
video.addEventListener("pause", () => {
  if (seen.state === "playing" && video.paused && !video.ended && !document.hidden) learn({ held: true });
});
video.addEventListener("play", () => { if (known.held) learn({ held: false }); });
document.addEventListener("visibilitychange", () => { if (!document.hidden && video.srcObject && video.paused) play(); });

stage.addEventListener("dblclick", event => { if (!event.target.closest("button, input")) fullscreen(); });
document.addEventListener("keydown", event => {
  if (!id || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  switch (event.key.toLowerCase()) {
    case "m": return mute();
    case "f": return fullscreen();
    case " ":
      // On a button it presses that.
      if (event.target.closest?.("button, input, a, summary")) return;
      event.preventDefault();
      return hold();
  }
});
$("details").onclick = () => {
  const open = $("statistics").hidden;
  $("statistics").hidden = !open;
  $("details").setAttribute("aria-expanded", open);
  drawAll();
};
