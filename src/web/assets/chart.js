// Metric evidence as a picture: expected band, line, onset, changes.
const NS = "http://www.w3.org/2000/svg";
const W = 860, H = 240, L = 64, R = 12, T = 26, B = 26;

function node(name, attributes, text) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A figure with its unit. */
export function figure(value, unit) {
  const short = (v) => (Math.abs(v) >= 100 ? v.toFixed(0) : Math.abs(v) >= 1 ? v.toFixed(1) : v.toPrecision(2));
  if (unit === "s") return Math.abs(value) < 1 ? `${short(value * 1000)} ms` : `${short(value)} s`;
  if (unit === "1") return `${short(value * 100)} %`;
  if (unit === "By") {
    const steps = ["B", "KiB", "MiB", "GiB", "TiB"];
    let n = 0;
    while (Math.abs(value) >= 1024 && n < 4) { value /= 1024; n += 1; }
    return `${short(value)} ${steps[n]}`;
  }
  return `${short(value)} ${unit.replace(/[{}]/g, "")}`.trim();
}

/** The chart of one metric evidence. */
export function chart(evidence, alt) {
  const { series, points, expected, onset } = evidence.finding;
  const svg = node("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": alt });
  if (!points.length) return svg;
  const at = (p) => Date.parse(p.at);
  const [t0, t1] = [Date.parse(evidence.since), Math.max(at(points[points.length - 1]), Date.parse(evidence.since) + 1)];
  const values = points.map((p) => p.value).concat(expected ? [expected.low, expected.high] : []);
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low > 0 && low < high * 0.6) low = 0;
  if (high === low) high = low + 1;
  high += (high - low) * 0.06;
  const x = (t) => L + ((t - t0) / (t1 - t0)) * (W - L - R);
  const y = (v) => H - B - ((v - low) / (high - low)) * (H - T - B);
  svg.append(node("text", { x: L, y: 14 }, `${series.entity.replace(/^[^=]+=/, "")} · ${series.metric}`));
  for (let i = 0; i <= 4; i += 1) {
    const v = low + ((high - low) * i) / 4;
    svg.append(node("line", { class: "grid", x1: L, x2: W - R, y1: y(v), y2: y(v) }));
    svg.append(node("text", { x: L - 6, y: y(v) + 4, "text-anchor": "end" }, figure(v, series.unit)));
  }
  for (let i = 0; i <= 5; i += 1) {
    const t = t0 + ((t1 - t0) * i) / 5;
    const text = new Date(t).toISOString().slice(11, 16);
    svg.append(node("text", { x: x(t), y: H - 8, "text-anchor": "middle" }, text));
  }
  if (expected) {
    const top = y(Math.min(expected.high, high));
    const height = Math.max(1, y(Math.max(expected.low, low)) - top);
    svg.append(node("rect", { class: "band", x: L, width: W - L - R, y: top, height }));
  }
  // A hole in the data is a break in the line.
  const gap = Math.max(3 * (series.step_ms || 15000), (t1 - t0) / 40);
  let path = "";
  points.forEach((p, i) => {
    const broken = i === 0 || at(p) - at(points[i - 1]) > gap;
    path += `${broken ? "M" : "L"}${x(at(p)).toFixed(1)} ${y(p.value).toFixed(1)}`;
  });
  svg.append(node("path", { class: "line", d: path }));
  if (onset) {
    const t = x(Date.parse(onset));
    svg.append(node("line", { class: "onset", x1: t, x2: t, y1: T, y2: H - B }));
    svg.append(node("text", { x: t + 4, y: T + 8 }, `onset ${onset.slice(11, 19)}`));
  }
  return svg;
}
