// Places for the boxes of a graph: callers left, what they call right, few crossings.

const BOX = { width: 150, height: 34 };
const GAP = { x: 60, y: 14 };

/** Edges without those that close a circle, found by walking from the roots in order of name. */
function forward(names, edges) {
  const next = new Map(names.map((n) => [n, []]));
  for (const [from, to] of edges) if (from !== to) next.get(from).push(to);
  const called = new Set(edges.filter(([a, b]) => a !== b).map(([, b]) => b));
  const state = new Map();
  const kept = [];
  const visit = (name) => {
    state.set(name, "open");
    for (const to of next.get(name)) {
      if (state.get(to) === "open") continue;
      kept.push([name, to]);
      if (!state.has(to)) visit(to);
    }
    state.set(name, "done");
  };
  for (const name of [...names.filter((n) => !called.has(n)), ...names]) if (!state.has(name)) visit(name);
  return kept;
}

/** The column of each name: one more than the furthest of its callers (longest path). */
function columns(names, edges) {
  const at = new Map(names.map((n) => [n, 0]));
  for (let round = 0; round < names.length; round += 1) {
    let moved = false;
    for (const [from, to] of edges) {
      if (at.get(to) < at.get(from) + 1) { at.set(to, at.get(from) + 1); moved = true; }
    }
    if (!moved) break;
  }
  return at;
}

/** Puts each name near the middle of its neighbours, a few times from left to right and back. */
function ordered(layers, edges) {
  for (let round = 0; round < 6; round += 1) {
    const place = new Map(layers.flatMap((layer) => layer.map((n, i) => [n, i - layer.length / 2])));
    const middle = (name) => {
      const near = edges.filter((e) => e[0] === name || e[1] === name).map((e) => place.get(e[0] === name ? e[1] : e[0]));
      return near.length ? near.reduce((a, b) => a + b, 0) / near.length : place.get(name);
    };
    for (const layer of layers) {
      const wish = new Map(layer.map((n) => [n, middle(n)]));
      layer.sort((a, b) => wish.get(a) - wish.get(b) || a.localeCompare(b));
      layer.forEach((n, i) => place.set(n, i - layer.length / 2));
    }
  }
}

/** Edges are pairs of names; gives the upper left corner of each name's box. */
export function layout(pairs) {
  const names = [...new Set(pairs.flat())].sort();
  const edges = forward(names, pairs);
  const column = columns(names, edges);
  const layers = [];
  for (const name of names) (layers[column.get(name)] ??= []).push(name);
  ordered(layers, edges);
  const tallest = Math.max(...layers.map((l) => l.length));
  const height = tallest * (BOX.height + GAP.y) + GAP.y;
  const places = new Map();
  layers.forEach((layer, x) => {
    const top = (height - layer.length * (BOX.height + GAP.y) + GAP.y) / 2;
    layer.forEach((name, y) => places.set(name, { x: 12 + x * (BOX.width + GAP.x), y: top + y * (BOX.height + GAP.y) }));
  });
  return { places, width: layers.length * (BOX.width + GAP.x) - GAP.x + 24, height, box: BOX };
}
