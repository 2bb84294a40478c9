// The STUN and TURN servers that an answer names, as RTCPeerConnection takes them:
// Link: <turn:HOST:PORT>; rel="ice-server"; username="…"; credential="…" (RFC 9725 section 4.6), several with commas between.
function iceServers(response) {
  const servers = [];
  const link = /<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^\s;,"]*))*)/g;
  const parameter = /([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s;,"]*))/g;
  for (const [, urls, rest] of (response.headers.get("Link") || "").matchAll(link)) {
    const said = {};
    for (const [, name, quoted, plain] of rest.matchAll(parameter)) said[name.toLowerCase()] = quoted ?? plain;
    if (said.rel !== "ice-server") continue;
    servers.push(said.username === undefined ? { urls } : { urls, username: said.username, credential: said.credential });
  }
  return servers;
}

// For whoever makes the offer: it needs them before there is an answer to it. Without an answer to this it does without them.
async function askIceServers(url, headers) {
  const response = await fetch(url, { method: "OPTIONS", headers }).catch(() => null);
  return response && response.ok ? iceServers(response) : [];
}
