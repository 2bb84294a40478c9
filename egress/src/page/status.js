// What a viewer reads, from what is known. It decides and does nothing else, so that every sentence can be tried out.
//
// refused: "", "private" or "format"; token: the link has one; exists: the session can be watched; ended: it could be
// before; active: media arrives at the server; cutOff: it cannot, for the server is cut off; connection: "none", "connecting", "connected", "interrupted" or "lost";
// picture: "none yet", "shown", "still", "sound only" or "not playable".
function describe({ refused, token, exists, ended, active, cutOff, connection, picture }) {
  if (refused === "private") {
    return ["private", "bad", token
      ? "This broadcast is private, and your link does not open it. Ask for a new link."
      : "This broadcast is private. Open it with the complete link that you were given."];
  }
  if (refused === "format") {
    return ["not playable", "bad", "This browser cannot play the video format of this broadcast. Try another browser."];
  }
  if (!exists && ended) return ["ended", "bad", "The broadcast has ended. If it resumes, it will play here."];
  if (!exists) return ["waiting", "", "The broadcast has not started yet. It will play here when it does."];
  if (cutOff) return ["cut off", "", "The broadcast is interrupted. It goes on here as soon as it is back."];
  if (!active) return ["paused", "", "The broadcast is paused. It will continue here."];
  switch (connection) {
    case "lost": return ["reconnecting", "", "The connection was lost. Reconnecting …"];
    case "interrupted": return ["interrupted", "", ""];
    case "connected": break;
    default: return ["connecting", "", "Connecting …"];
  }
  switch (picture) {
    case "shown": return ["playing", "good", ""];
    case "still": return ["waiting", "", "Waiting for the picture …"];
    case "sound only": return ["sound only", "good", "There is sound only at present."];
    case "not playable": return ["sound only", "",
      "This browser cannot play the video format of this broadcast, only its sound. Try another browser."];
    default: return ["starting", "", "Waiting for the picture …"];
  }
}
