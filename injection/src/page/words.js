/* What a broadcaster reads, from what is known. It decides and does nothing else, so that every sentence can be tried out. */

const LEAVES = "This node is about to be taken out of service and takes no new broadcasts.";

/* Why nothing is published: the answer's status (0: there was none), what the node said, the session's name, and whether a
   token was given. `final`: trying again does not mend it. */
function refusal({ status, said, session, token }) {
  switch (status) {
    case 401: return { final: true, text: token
      ? "The token is wrong. Check it and start again."
      : "A token is needed to publish here. Enter it and start again." };
    case 404: return { final: true, text: `No session called “${session}”. Ask the operator to create it.` };
    case 409: return { final: false, text: occupied(session) };
    case 400: case 406: case 415:
      return { final: true, text: `The node cannot take what this browser sends (${said}). Choose another codec or browser.` };
    case 0: return { final: false, text: "The node does not answer. Retrying …" };
    case 503: if (/draining/.test(said)) return { final: false, text: LEAVES + " Use another one. Retrying …" };
    /* Falls through. */
    default: return { final: false, text: "The node cannot take broadcasts at present. Retrying …" };
  }
}

/* What the node says of the session while we are live: `gone` (no such session), `publisher` (somebody is live on it), and
   how many publications there have been, now and when ours began. Nothing: all is well. `waits`: somebody else has taken the
   place, and has it until they stop. */
function interruption({ gone, publisher, publications, ours, session }) {
  if (gone) return { final: true, waits: false, text: `Session “${session}” has been ended by the operator.` };
  if (publisher && publications !== ours) return { final: false, waits: true, text: occupied(session) };
  if (!publisher) return { final: false, waits: false, text: "The node has ended this broadcast. Starting again …" };
  return null;
}

function occupied(session) {
  return `Someone else is live on “${session}”. Retrying until they stop.`;
}

/* What to ask before a test pattern takes the place of a camera; nothing if that is no way out. `secure`: the page may have one. */
function question({ name, kind, secure }) {
  if (kind === "pattern") return "";
  if (!secure) return "This browser gives no camera or screen to pages without https. Send the test pattern instead?";
  if (name === "NotFoundError" && kind === "camera") return "No camera was found on this device. Send the test pattern instead?";
  return "";
}

/* A problem of this browser or device, by its name where a person can do something about it. */
function trouble(error) {
  switch (error.name) {
    case "NotAllowedError": return "The browser was not allowed to use the camera, microphone or screen. Allow it and start again.";
    case "NotReadableError": return "The camera or microphone is in use by another program. Close that and start again.";
    case "NotFoundError": case "OverconstrainedError": return "That camera or microphone is not there any more. Choose another one.";
    default: return error.message;
  }
}

/* What is worth knowing while all goes well. `silent`: nothing has been heard for seconds; `muted`: by a button here; `sound`:
   there is any to hear; `limit`: why the picture is smaller or rarer than it should be, as the browser says it; `leaves`: the node
   keeps this broadcast until it ends, and takes no other. */
function notice({ media, sound, muted, silent, limit, leaves }) {
  if (!media) return "";
  if (leaves) return LEAVES + " Yours goes on; use another one for the next.";
  if (!sound) return "There is no sound.";
  if (muted) return "Your microphone is muted.";
  if (silent) return "Nothing is heard. Is it the right microphone?";
  if (limit === "bandwidth") return "Your connection is too slow for this size and bitrate. A smaller one looks better.";
  if (limit === "cpu") return "This device is too slow for this size. A smaller one looks better.";
  return "";
}
