// Small drawings as SVG: bars, lines, a histogram. They grow with the page and are saved as they are.
import { num, s, signed } from "./dom";

export interface Bar {
  text: string;
  value: number;
  /** A second, fainter bar: the control. */
  beside?: number;
  title?: string;
  href?: string;
  colour?: string;
  right?: string;
}

const ROW = 19;
const TEXT = 12;

/** As wide as the page has room for: a wider drawing would be scaled down with its letters. */
const room = () => Math.min(560, Math.max(280, innerWidth - 44));

function drawing(width: number, height: number, label: string, ...inner: SVGElement[]): SVGSVGElement {
  return s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart", style: `max-width:${width}px` }, inner) as SVGSVGElement;
}

function named(text: string, attributes: Record<string, unknown>, most = 30): SVGElement {
  const short = text.length > most ? `${text.slice(0, most - 1)}…` : text;
  return s("text", { class: "t", ...attributes }, short, s("title", {}, text));
}

/** Horizontal bars from 0, to both sides where values have both signs. */
export function bars(rows: Bar[], label: string, { width = room(), left: most = 130, right = 60, form = "g" } = {}): SVGSVGElement {
  const left = Math.min(most, 0.45 * width);
  const every = rows.flatMap((row) => [row.value, row.beside ?? 0]);
  const low = Math.min(0, ...every);
  const high = Math.max(0, ...every, low === 0 ? 1e-12 : 0);
  const at = (value: number) => left + ((value - low) / (high - low || 1)) * (width - left - right);
  const marks = rows.flatMap((row, i) => {
    const y = i * ROW + 4;
    const [from, till] = [at(0), at(row.value)];
    const name = named(row.text, { x: left - 6, y: y + TEXT, "text-anchor": "end" }, Math.floor(left / 6.2));
    return [
      row.href ? s("a", { href: row.href }, name) : name,
      row.beside === undefined ? s("g") : s("rect", { class: "control", x: Math.min(at(0), at(row.beside)), y: y + 11, width: Math.max(1, Math.abs(at(row.beside) - at(0))), height: 4 }),
      s("rect", { class: "bar", style: row.colour ? `fill:${row.colour}` : null, x: Math.min(from, till), y: y + 2, width: Math.max(1, Math.abs(till - from)), height: row.beside === undefined ? 11 : 8 }, s("title", {}, row.title ?? `${row.text}: ${num(row.value, form)}`)),
      s("text", { class: "n", x: width - right + 6, y: y + TEXT }, row.right ?? (low < 0 ? signed(row.value) : num(row.value, form))),
    ];
  });
  const zero = s("line", { class: "axis", x1: at(0), x2: at(0), y1: 0, y2: rows.length * ROW + 4 });
  return drawing(width, rows.length * ROW + 6, label, ...marks, zero);
}

export interface Line {
  name: string;
  points: [number, number][];
  class: string;
}

/** Lines over one axis, with a shaded band of what controls reach and a range of strengths that stay plausible. */
export function lines(
  all: Line[], label: string,
  { width = room(), height = 250, xname = "", yname = "", range = null as [number, number] | null, band = null as [number, number] | null } = {},
): SVGSVGElement {
  const points = all.flatMap((line) => line.points).filter(([, y]) => Number.isFinite(y));
  const [x0, x1] = ends(points.map((p) => p[0]), 0);
  const [y0, y1] = ends([...points.map((p) => p[1]), ...(band ?? []), 0], 0.06);
  const [left, right, top, bottom] = [58, 10, 24, 40];
  const px = (x: number) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
  const py = (y: number) => height - bottom - ((y - y0) / (y1 - y0)) * (height - top - bottom);
  const inner: SVGElement[] = [];
  const [within, reached] = [range, band];
  if (within) {
    const [a, b] = [px(Math.max(within[0], x0)), px(Math.min(within[1], x1))];
    inner.push(s("rect", { class: "plausible", x: a, y: top, width: Math.max(0, b - a), height: height - top - bottom }, s("title", {}, `strengths ${num(within[0])} to ${num(within[1])}: cells still look like cells`)));
  }
  if (reached) inner.push(s("rect", { class: "band", x: left, y: py(reached[1]), width: width - left - right, height: Math.max(1, py(reached[0]) - py(reached[1])) }, s("title", {}, "control features")));
  for (const y of ticks(y0, y1)) inner.push(s("line", { class: "grid", x1: left, x2: width - right, y1: py(y), y2: py(y) }), s("text", { class: "n", x: left - 5, y: py(y) + 4, "text-anchor": "end" }, num(y)));
  for (const x of ticks(x0, x1, 6)) inner.push(s("text", { class: "n", x: px(x), y: height - bottom + 15, "text-anchor": "middle" }, num(x)));
  inner.push(s("line", { class: "axis", x1: left, x2: width - right, y1: py(0), y2: py(0) }));
  for (const line of all) {
    const some = line.points.filter(([, y]) => Number.isFinite(y));
    inner.push(s("polyline", { class: `line ${line.class}`, points: some.map(([x, y]) => `${px(x)},${py(y)}`).join(" ") }));
    for (const [x, y] of some) inner.push(s("circle", { class: `dot ${line.class}`, cx: px(x), cy: py(y), r: 3 }, s("title", {}, `${line.name}, ${num(x)}: ${signed(y)}`)));
  }
  let at = left;
  for (const line of all) {
    inner.push(s("circle", { class: `dot ${line.class}`, cx: at + 4, cy: 10, r: 4 }), s("text", { class: "n", x: at + 12, y: 14 }, line.name));
    at += 24 + line.name.length * 6.4;
  }
  inner.push(s("text", { class: "n", x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xname));
  inner.push(s("text", { class: "n", transform: `translate(11,${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yname));
  return drawing(width, height, label, ...inner);
}

/** A histogram of what is above 0; how many are silent is said beside it. */
export function histogram(counts: number[], edges: number[], label: string, xname: string, { width = room(), height = 160 } = {}): SVGSVGElement {
  const [left, right, top, bottom] = [46, 10, 8, 34];
  const most = Math.max(1, ...counts);
  const [low, high] = [edges[0] ?? 0, edges[edges.length - 1] ?? 1];
  const px = (x: number) => left + ((x - low) / (high - low || 1)) * (width - left - right);
  const py = (n: number) => height - bottom - (n / most) * (height - top - bottom);
  const columns = counts.map((n, i) => {
    const [a, b] = [px(edges[i] as number), px(edges[i + 1] as number)];
    return s("rect", { class: "bar", x: a + 0.5, y: py(n), width: Math.max(1, b - a - 1), height: height - bottom - py(n) }, s("title", {}, `${num(edges[i])} to ${num(edges[i + 1])}: ${n} cells`));
  });
  const marks = ticks(low, high).map((x) => s("text", { class: "n", x: px(x), y: height - bottom + 14, "text-anchor": "middle" }, num(x)));
  const side = [0, most].map((n) => s("text", { class: "n", x: left - 5, y: py(n) + 4, "text-anchor": "end" }, num(n, "d")));
  const axis = s("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom });
  return drawing(width, height, label, ...columns, ...marks, ...side, axis, s("text", { class: "n", x: width / 2, y: height - 4, "text-anchor": "middle" }, xname));
}

function ends(values: number[], margin: number): [number, number] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = (high - low) * margin;
  return high > low ? [low - room, high + room] : [low - 1, high + 1];
}

function ticks(low: number, high: number, count = 4): number[] {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((one) => one >= rough) ?? rough;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}
