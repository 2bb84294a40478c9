// What a viewer reads, from what is known. It decides and does nothing else, so that every sentence can be tried out.
//
// refused: "", "private" or "format"; token: the link has one; exists: the session can be watched; ended: it could be
// before; active: media arrives at the server; cutOff: it cannot, for the server is cut off; connection: "none", "connecting",
// "refused" (it tries again), "connected", "interrupted" or "lost"; picture: "none yet", "shown", "still", "sound only" or
// "not playable"; held: the viewer has paused it.
//
// Gives the name of the state, the look and the words of the badge, a sentence to stand in place of the picture, and whether
// something is under way.
function describe({ refused, token, exists, ended, active, cutOff, connection, picture, held }) {
  const say = (is, look, badge, sentence = "", busy = false) => ({ is, look, badge, sentence, busy });
  if (refused === "private") {
    return say("private", "bad", "Private", token
      ? "This broadcast is private, and your link does not open it. Ask for a new link."
      : "This broadcast is private. Open it with the complete link that you were given.");
  }
  if (refused === "format") {
    return say("not playable", "bad", "Not playable",
      "This browser cannot play the video format of this broadcast. Try another browser.");
  }
  if (!exists && ended) return say("ended", "", "Ended", "The broadcast has ended. If it resumes, it will play here.");
  if (!exists) return say("waiting", "", "Not started", "The broadcast has not started yet. It will play here when it does.");
  if (cutOff) {
    return say("cut off", "wait", "Interrupted", "The broadcast is interrupted. It goes on here as soon as it is back.", true);
  }
  if (!active) return say("paused", "wait", "Paused", "The broadcast is paused. It will continue here.");
  switch (connection) {
    case "lost": return say("reconnecting", "wait", "Reconnecting", "The connection was lost. Reconnecting …", true);
    case "refused":
      return say("refused", "wait", "Waiting", "There is no getting in at present. Trying again …", true);
    case "interrupted": return say("interrupted", "wait", "Interrupted");
    case "connected": break;
    default: return say("connecting", "wait", "Connecting", "Connecting …", true);
  }
  if (held) return say("held", "", "Paused by you", "You have paused the broadcast. It goes on live when you play it.");
  switch (picture) {
    case "shown": return say("playing", "live", "Live");
    case "still": return say("still", "wait", "Waiting", "Waiting for the picture …", true);
    case "sound only": return say("sound only", "good", "Sound only", "There is sound only at present.");
    case "not playable":
      return say("sound only", "wait", "Sound only",
        "This browser cannot play the video format of this broadcast, only its sound. Try another browser.");
    default: return say("starting", "wait", "Starting", "Waiting for the picture …", true);
  }
}
