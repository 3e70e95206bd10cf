// The overview: cells, features, and what differs in the cells that one draws a line around.
import type { Atlas, Sketch } from "../atlas";
import { kind, rgb, word } from "../colour";
import { difference, totals, type Chance, type Difference, type Totals } from "../difference";
import { h, num, signed } from "../dom";
import { figure } from "../figure";
import { cellMap, featureLink, missing, title, type CellMap } from "../parts";
import { inside, Scatter } from "../scatter";
import { note, to, type Route } from "../state";
import { Table } from "../table";
import { ask } from "../work";
import { chosenFeatures } from "./chosen";

export async function overview(atlas: Atlas, route: Route): Promise<Node> {
  const { index } = atlas;
  const below = h("div", { class: "below" });
  const state: Crossfilter = { atlas, below, asked: 0 };
  const features = featureMap(atlas, (polygon) => {
    note({ features: polygon ? address(polygon) : null, lasso: null });
    void chosen(state, map, features, polygon);
  });
  const map = await cellMap(atlas, {
    colour: route.query.get("colour") ?? "", label: "Cells", name: `${index.run}-cells`,
    onlasso: (polygon) => {
      note({ lasso: polygon ? address(polygon) : null, features: null });
      features?.scatter.drop();
      void filtered(state, map, polygon);
    },
  });
  const before = polygonOf(route.query.get("lasso"));
  const around = polygonOf(route.query.get("features"));
  if (map && before) {
    map.scatter.lasso(before);
    await filtered(state, map, before);
  } else if (features && around) {
    features.scatter.lasso(around);
    await chosen(state, map, features, around);
  } else below.replaceChildren(strongest(atlas, Boolean(map)));
  return h("div", {},
    title(index.run, h("p", { class: "lead" }, `${num(index.n.cells, "d")} cells of ${index.source || "unknown origin"}, ${num(index.n.features, "d")} features of `,
      h("b", {}, index.model?.name ?? "a model"), index.place ? `, ${index.place}` : "", ". A feature is a direction of the model's inner state; its label is the gene program that its genes match best.")),
    chanceLine(atlas),
    h("div", { class: "two" }, map?.element ?? missing("This run has no matrix of cells, so no map of them."), features?.element ?? missing("This run has no map of features.", atlas.index.absent["map"])),
    below);
}

interface Crossfilter {
  atlas: Atlas;
  below: HTMLElement;
  asked: number;
  totals?: Totals;
}

function chanceLine(atlas: Atlas): HTMLElement | null {
  const { index } = atlas;
  if (index.observed === null) return null;
  return h("p", { class: "chance" }, h("b", {}, num(index.observed, "%")), ` of features match a program of ${index.collection} at q < ${index.alpha}. `,
    h("span", {}, "Lists made by chance: ", index.nulls.map(([name, mean, low, high]) => `${name.replaceAll("_", " ")} ${num(mean, "%")} (${num(low, "%")} to ${num(high, "%")})`).join(", "), ". "),
    h("code", {}, "programs/nulls.parquet"));
}

function polygonOf(text: string | null): number[][] | null {
  const flat = (text ?? "").split(",").map(Number);
  if (flat.length < 6 || flat.some(Number.isNaN)) return null;
  return Array.from({ length: Math.floor(flat.length / 2) }, (_, i) => [flat[2 * i] as number, flat[2 * i + 1] as number]);
}

function address(polygon: number[][]): string {
  return polygon.flat().map((v) => v.toFixed(3)).join(",");
}

interface FeatureMap {
  element: HTMLElement;
  scatter: Scatter;
  x: Float32Array;
  y: Float32Array;
}

/** The map of features, where the run has one. */
function featureMap(atlas: Atlas, onlasso: (polygon: number[][] | null) => void): FeatureMap | null {
  const [x, y] = [atlas.columns.get("x")?.values, atlas.columns.get("y")?.values];
  if (!x || !y) return null;
  const scaled = (values: Float32Array) => {
    const some = values.filter((v) => !Number.isNaN(v));
    const [low, high] = [some.reduce((a, b) => Math.min(a, b), Infinity), some.reduce((a, b) => Math.max(a, b), -Infinity)];
    return values.map((v) => (v - low) / (high - low || 1));
  };
  const types = atlas.index.type_names;
  const rank = new Map(Object.keys(atlas.index.types).map((name, i) => [name, i]));
  const [across, up] = [scaled(x), scaled(y)];
  const scatter = new Scatter(across, up, {
    onlasso,
    label: `map of ${num(atlas.index.n.features, "d")} features`, name: `${atlas.index.run}-features`, height: 440,
    onhover: (f) => (f === null ? "" : `${f} · ${atlas.label(f)}`), onclick: (f) => (location.hash = to("feature", f)),
  });
  const of = (f: number) => rank.get(atlas.text("type", f)) ?? types.indexOf(atlas.text("type", f));
  scatter.paint(Uint32Array.from(x, (_, f) => word(rgb(of(f) >= 0 ? kind(of(f)) : "#888f99"))));
  const element = figure({
    title: "Features", name: "features", file: "map/features.parquet", note: "Near ones write in nearly the same direction of the inner state; coloured by the cell type in which each is strongest. Click one for its page, or draw around some.",
    control: atlas.columns.get("module")?.control ?? "",
  }, scatter.element);
  return { element, scatter, x: across, y: up };
}

/** Where the features in a lasso are strong. */
async function chosen(state: Crossfilter, map: CellMap | null, features: FeatureMap | null, polygon: number[][] | null): Promise<void> {
  const mine = ++state.asked;
  if (!features) return;
  map?.scatter.drop();
  map?.repaint();
  if (!polygon) {
    features.scatter.dim(null);
    state.below.replaceChildren(strongest(state.atlas, Boolean(map)));
    return;
  }
  const within = inside(polygon, features.x, features.y);
  features.scatter.dim(within.map((v) => 1 - v));
  const some = [...within.keys()].filter((f) => within[f]);
  const made = await chosenFeatures(state.atlas, map, some, features.x, features.y);
  if (mine === state.asked) state.below.replaceChildren(...made);
}

function strongest(atlas: Atlas, canLasso: boolean): HTMLElement {
  const f = atlas.index.n.features;
  const order = Array.from({ length: f }, (_, i) => i).filter((i) => !Number.isNaN(atlas.value("padj", i))).sort((a, b) => atlas.value("padj", a) - atlas.value("padj", b)).slice(0, 12);
  return h("section", { class: "figure" }, h("header", {}, h("h2", {}, "Clearest programs"), h("span", { class: "spacer" }), h("a", { href: to("features") }, `all ${num(f, "d")} features`)),
    canLasso && h("p", { class: "note" }, "Choose Lasso above the map of cells and draw around some: this table then shows which features differ there, beside chance. On the map of features: in which cells the chosen ones are strong."),
    h("ol", { class: "plainlist" }, order.map((i) => h("li", {}, featureLink(atlas, i), h("small", {}, ` q ${atlas.shown("padj", i)} · ${atlas.shown("type", i)}${atlas.text("grade", i) ? ` · grade ${atlas.text("grade", i)}` : ""}`)))),
    h("footer", {}, h("span", {}, h("b", {}, "beside "), atlas.columns.get("padj")?.control ?? ""), h("code", {}, "programs/features.parquet")));
}

/** What differs in a lasso. The cells outside it are dimmed at once; what chance gives follows from a worker. */
async function filtered(state: Crossfilter, map: CellMap | null, polygon: number[][] | null): Promise<void> {
  const { atlas, below } = state;
  const mine = ++state.asked;
  if (!map) return;
  map.repaint();
  if (!polygon) {
    map.scatter.dim(null);
    below.replaceChildren(strongest(atlas, true));
    return;
  }
  const within = inside(polygon, map.cells.x, map.cells.y);
  map.scatter.dim(within.map((v) => 1 - v));
  const sketch = await atlas.sketch();
  if (mine !== state.asked) return;
  state.totals ??= totals(sketch.values, sketch.features); // once, when the sample comes
  const began = performance.now();
  const rows = Uint32Array.from(sketch.rows.keys()).filter((i) => within[sketch.rows[i] as number] === 1);
  if (rows.length < 5 || rows.length > sketch.rows.length - 5) {
    below.replaceChildren(missing(`The lasso holds ${rows.length} of the ${num(sketch.rows.length, "d")} cells with which it is asked what differs; at least 5 are needed inside and outside.`));
    return;
  }
  const found = difference(sketch.values, sketch.features, rows, state.totals);
  const total = within.reduce((a, b) => a + b, 0);
  below.replaceChildren(differing(atlas, sketch, found, null, total, rows.length));
  below.dataset["took"] = (performance.now() - began).toFixed(1);
  const x = Float32Array.from(sketch.rows, (row) => map.cells.x[row] as number);
  const y = Float32Array.from(sketch.rows, (row) => map.cells.y[row] as number);
  const drawn = await ask<Chance>("chance", { values: sketch.values, features: sketch.features, rows, x, y });
  if (mine === state.asked) below.replaceChildren(differing(atlas, sketch, found, drawn, total, rows.length));
}

function differing(atlas: Atlas, sketch: Sketch, found: Difference, drawn: Chance | null, cells: number, sampled: number): HTMLElement {
  const scale = (f: number) => (sketch.largest[f] as number) / 255;
  const table = new Table({
    label: "features that differ in the lasso", name: "lasso-features", rows: sketch.features, sort: "-size", height: 380,
    columns: [
      { key: "feature", name: "feature", width: 280, text: (f) => `${f} ${atlas.label(f)}`, show: (f) => featureLink(atlas, f) },
      { key: "difference", name: "difference", width: 90, title: "in standard deviations", value: (f) => found.d[f] as number, show: (f) => signed(found.d[f]) },
      { key: "size", name: "size", width: 70, value: (f) => Math.abs(found.d[f] as number) },
      { key: "inside", name: "inside", width: 80, value: (f) => (found.inside[f] as number) * scale(f) },
      { key: "outside", name: "outside", width: 80, value: (f) => (found.outside[f] as number) * scale(f) },
      { key: "p", name: "p, random cells", width: 110, form: "p", value: (f) => drawn?.p[f] ?? NaN },
      { key: "regions", name: "regions alike", width: 100, form: "%", title: "share of regions elsewhere on the map, of as many cells, that differ as much", value: (f) => drawn?.regions[f] ?? NaN },
    ],
  });
  const beyond = drawn ? [...found.d].filter((v) => Math.abs(v) > drawn.limit).length : 0;
  return figure({
    title: `What differs in ${num(cells, "d")} chosen cells`, name: "lasso", file: "programs/cells.h5ad",
    note: `Means over ${num(sampled, "d")} of them and ${num(sketch.rows.length - sampled, "d")} others, in a sample of ${num(sketch.rows.length, "d")} cells; values in 255 steps.`,
    control: drawn
      ? `${num(drawn.draws, "d")} draws of as many cells at random: the most different feature of a draw stays below ${num(drawn.limit)} in 95 % of them; ${num(beyond, "d")} features lie beyond. The cells were chosen on a map made of these features, so random cells are a low bar: see also the ${num(drawn.regionDraws, "d")} regions of as many cells elsewhere on it.`
      : "drawing cells at random …",
  }, table.element);
}

