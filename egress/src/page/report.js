// What this page sees of the quality its server is told, in a few numbers: when the picture is there, every ten seconds, and at the
// end; each time what was so since the last time.
const REPORTS_EVERY = 10000, REPORTS_LEAST = 5000;
let reporting = null;

// What has been measured of an attempt, as sums since it began.
function report(mine, now) {
  if (reporting?.mine !== mine) {
    finish();
    reporting = { mine, last: now, now, first: true };
    return;
  }
  reporting.now = now;
  const since = now.at - reporting.last.at;
  const shows = mine.stages.firstFrameMs !== undefined;
  if (reporting.first ? shows || since >= REPORTS_LEAST : since >= REPORTS_EVERY) tellServer();
}

function tellServer() {
  const { mine, last, now, first } = reporting;
  Object.assign(reporting, { last: now, first: false });
  if (!mine.resource) return;
  const since = name => now[name] === undefined ? undefined : Math.max(0, now[name] - last[name]);
  const said = { ms: Math.round(now.at - last.at), received: since("packets"), lost: since("lost"), rttMs: now.rtt ? 1000 * now.rtt : undefined,
    jitterMs: now.jitter === undefined ? undefined : 1000 * now.jitter, freezes: since("freezes"), frozenMs: since("frozen") };
  if (first) said.join = mine.stages;
  const headers = { "Content-Type": "application/json", ...auth };
  fetch(mine.resource + "/report", { method: "POST", headers, body: JSON.stringify(said), keepalive: true }).catch(() => {});
  seen.reports++;
}

// The last one; so soon after another it would not be heard.
function finish() {
  if (reporting && !reporting.first && reporting.now.at - reporting.last.at >= REPORTS_LEAST) tellServer();
  reporting = null;
}
