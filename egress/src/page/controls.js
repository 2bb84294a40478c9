// Sound and full screen, by buttons, keys (m, f) and a double click.
function controls() {
  const silent = video.muted || video.volume === 0;
  $("unmute").hidden = !video.muted || !video.srcObject;
  $("mute").setAttribute("aria-pressed", silent);
  $("volume").value = video.muted ? 0 : video.volume;
  const full = Boolean(document.fullscreenElement);
  $("fullscreen").setAttribute("aria-pressed", full);
}
function mute() {
  video.muted = !video.muted;
  if (!video.muted && video.volume === 0) video.volume = 1;
  play();
}
function fullscreen() {
  if (document.fullscreenElement) return document.exitFullscreen();
  if ($("stage").requestFullscreen) return $("stage").requestFullscreen().catch(() => {});
  // Phones of Apple's show nothing but the video itself in full.
  if (video.webkitEnterFullscreen) video.webkitEnterFullscreen();
}
$("unmute").onclick = $("mute").onclick = mute;
$("fullscreen").onclick = fullscreen;
$("volume").oninput = () => { video.volume = Number($("volume").value); video.muted = video.volume === 0; play(); };
video.onvolumechange = controls;
document.addEventListener("fullscreenchange", controls);
$("stage").addEventListener("dblclick", event => { if (!event.target.closest("button, input")) fullscreen(); });
document.addEventListener("keydown", event => {
  if (!id || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  if (event.key === "m" || event.key === "M") mute();
  if (event.key === "f" || event.key === "F") fullscreen();
});
