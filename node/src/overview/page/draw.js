// Rows of a drawing, one a node, each indented below its parent, with the edge between them. On a phone a row has two lines.
const ROW = 52, GAP = 8, INDENT = 26, NARROW = 560;

function svg(name, attributes = {}, ...content) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(key, value);
  element.append(...content);
  return element;
}

// Cut to what fits: an SVG has no ellipsis of its own.
function fitting(text, width, perLetter) {
  const most = Math.max(3, Math.floor(width / perLetter));
  return text.length > most ? text.slice(0, most - 1) + "…" : text;
}

// tree: what GET /tree said; width: of the place; chosen: name of the node whose details are shown; choose(id).
function drawing(tree, width, chosen, choose) {
  const edges = new Map(tree.edges.map(edge => [`${edge.from}\n${edge.to}`, edge]));
  const edgeOf = node => edges.get(`${node.parent}\n${node.id}`);
  const indent = depth => Math.min(depth * INDENT, width * .4);
  const middle = index => index * (ROW + GAP) + ROW / 2;
  const height = Math.max(1, tree.nodes.length * (ROW + GAP));
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "tree", "aria-label": `Tree ${tree.treeId}` });
  const places = new Map(tree.nodes.map((node, index) => [node.id, index]));
  for (const [index, node] of tree.nodes.entries()) {
    const above = places.get(node.parent);
    // Of a loop the last edge would cross everything; it is among the problems.
    if (above === undefined || above >= index) continue;
    const edge = edgeOf(node), x = indent(node.depth) - INDENT / 2;
    const is = edge && edge.state !== "ok" ? "bad" : edge?.packetsPerSecond > 0 ? "flows" : "";
    drawn.append(svg("path", { class: `edge ${is}`, d: `M${x} ${middle(above) + ROW / 2} V${middle(index)} h${INDENT / 2}` }));
  }
  for (const [index, node] of tree.nodes.entries()) drawn.append(row(node, index));
  return drawn;

  function row(node, index) {
    const x = indent(node.depth), y = index * (ROW + GAP), right = width - 12, space = width - x - 24;
    const edge = edgeOf(node), [state, is] = stateOf(node), narrow = width < NARROW;
    const group = svg("g", {
      class: node.id === chosen ? "row chosen" : "row", role: "treeitem", tabindex: 0, "data-id": node.id,
      "aria-label": spoken(node, edge), "aria-level": node.depth + 1, "aria-selected": node.id === chosen,
    });
    group.append(svg("rect", { class: "back", x: x + 1, y: y + 1, width: width - x - 2, height: ROW - 2, rx: 8 }));
    group.append(svg("circle", { cx: x + 15, cy: y + 18, r: 5, class: is }));
    const kind = node.type ?? "", said = state === "ok" ? kind : `${kind} · ${state}`.replace(/^ · /, "");
    const name = fitting(node.id, space - (narrow ? 120 : 260), 8.5);
    group.append(svg("text", { x: x + 28, y: y + 22, class: "name" }, name));
    group.append(svg("text", { x: right, y: y + 22, class: "right" }, said));
    const flows = fitting(traffic(node, edge), space - (seats(node) ? 130 : 20), 6.6);
    group.append(svg("text", { x: x + 28, y: y + 41, class: "dim" }, flows));
    if (node.maxViewers) {
      const part = Math.min(1, node.viewers / node.maxViewers), long = 40;
      group.append(svg("text", { x: right - long - 8, y: y + 41, class: "right" }, narrow ? `${node.viewers}` : seats(node)));
      group.append(svg("rect", { class: "room", x: right - long, y: y + 34, width: long, height: 6, rx: 3 }));
      if (part) group.append(svg("rect", { class: `taken ${part < 1 ? "" : "bad"}`, x: right - long, y: y + 34, width: long * part, height: 6, rx: 3 }));
    }
    group.append(svg("title", {}, spoken(node, edge)));
    group.addEventListener("click", () => choose(node.id));
    group.addEventListener("keydown", event => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(node.id); }
    });
    return group;
  }
}
