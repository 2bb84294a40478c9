// What is said of a tree, from what is known. It decides and does nothing else.

// A state's words, and its colour.
const STATES = {
  ok: ["ok", "good"], unattached: ["unattached", "idle"], full: ["full", "wait"], draining: ["draining", "wait"],
  degraded: ["degraded", "bad"], cutOff: ["cut off", "bad"], doubtful: ["doubtful", "bad"], gone: ["gone", "bad"], unknown: ["unknown", "bad"],
};
// A state of a version that is newer than this page is shown as it is.
function stateOf(node) { return STATES[node.state] ?? [node.state, "wait"]; }

function counted(count, one, many = one + "s") { return `${count.toLocaleString("en")} ${count === 1 ? one : many}`; }

function rate(perSecond) { return `${Math.round(perSecond).toLocaleString("en")}/s`; }

function bits(perSecond) {
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toFixed(1)} Mbit/s`;
  return `${Math.round(perSecond / 1e3)} kbit/s`;
}

// What is lost is never rounded to nothing.
function loss(part) {
  if (!part) return "no loss";
  return `${share(part)} lost`;
}

function share(part) {
  const percent = part * 100;
  return percent < 0.01 ? "< 0.01 %" : `${percent.toFixed(percent < 1 ? 2 : 1)} %`;
}

// What came only after it had been asked for again.
function repaired(edge) {
  const part = edge.lossBeforeRepair - edge.loss;
  return part > 0 ? `, ${share(part)} repaired` : "";
}

// What comes to a node: by its edge, or of an injection what it sends.
function traffic(node, edge) {
  if (edge?.packetsPerSecond === 0 || node.flow?.packets === 0) return "no media";
  if (edge?.packetsPerSecond !== undefined) {
    const lost = edge.loss === undefined ? "" : ` · ${loss(edge.loss)}${repaired(edge)}`;
    return `${rate(edge.packetsPerSecond)} · ${bits(edge.bitsPerSecond)}${lost}`;
  }
  if (!node.flow) return "";
  const seconds = node.flow.ms / 1000;
  return `${rate(node.flow.packets / seconds)} · ${bits(node.flow.bytes * 8 / seconds)}`;
}

function seats(node) {
  if (!node.maxViewers) return "";
  return `${node.viewers} / ${counted(node.maxViewers, "viewer")}`;
}

// A node, for who does not see the drawing.
function spoken(node, edge) {
  const said = [node.id, node.type ?? "", stateOf(node)[0], node.parent ? `below ${node.parent}` : "",
    node.standby ? `${node.standby.join(", ")} on standby` : "", traffic(node, edge),
    seats(node), ...node.why];
  return said.filter(Boolean).join(", ");
}
