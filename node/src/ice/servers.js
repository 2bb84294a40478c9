// What an answer links to (RFC 8288), each with its parameters: Link: <URI>; rel="…"; name="…", several with commas between.
function links(response) {
  const found = [];
  const link = /<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^\s;,"]*))*)/g;
  const parameter = /([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s;,"]*))/g;
  for (const [, uri, rest] of (response.headers.get("Link") || "").matchAll(link)) {
    const said = { uri };
    for (const [, name, quoted, plain] of rest.matchAll(parameter)) said[name.toLowerCase()] = quoted ?? plain;
    found.push(said);
  }
  return found;
}

// The STUN and TURN servers that an answer names, as RTCPeerConnection takes them:
// Link: <turn:HOST:PORT>; rel="ice-server"; username="…"; credential="…" (RFC 9725 section 4.6).
function iceServers(response) {
  const servers = links(response).filter(({ rel }) => rel === "ice-server");
  return servers.map(({ uri: urls, username, credential }) => username === undefined ? { urls } : { urls, username, credential });
}

// For whoever makes the offer: it needs them before there is an answer to it. Without an answer to this it does without them.
async function askIceServers(url, headers) {
  const response = await fetch(url, { method: "OPTIONS", headers }).catch(() => null);
  return response && response.ok ? iceServers(response) : [];
}
