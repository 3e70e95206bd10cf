// A line around features on their map: in which cells they are strong, beside as many features at random and beside other regions of the map.
import { byAmount, type Atlas, type Sketch } from "../atlas";
import { kindChance, kindMeans, seeded, totals, type KindChance } from "../difference";
import { h, num, signed } from "../dom";
import { figure } from "../figure";
import type { CellMap } from "../parts";
import { Table } from "../table";
import { featureColumns } from "./features";

/** Cells are coloured by how strong the features are in them; returns what stands below the maps. */
export async function chosenFeatures(atlas: Atlas, map: CellMap | null, chosen: number[], x: Float32Array, y: Float32Array): Promise<Node[]> {
  const members = new Set(chosen);
  const table = new Table({ columns: featureColumns(atlas), rows: atlas.index.n.features, among: (f) => members.has(f), name: "chosen-features", label: "chosen features", height: 340 });
  const list = h("section", { class: "figure" }, h("header", {}, h("h2", {}, `${num(chosen.length, "d")} chosen features`)), table.element);
  if (!map || !chosen.length) return [list];
  const sketch = await atlas.sketch();
  const all = totals(sketch.values, sketch.features);
  paint(map, sketch, chosen, all);
  const column = map.cells.columns.find((one) => one.levels);
  if (!column?.levels) return [list];
  const kinds = Uint16Array.from(sketch.rows, (row) => column.values[row] as number);
  const means = kindMeans(sketch.values, sketch.features, kinds, column.levels.length, all);
  const found = kindChance(means, sketch.features, chosen, x, y, seeded(23));
  return [where(column.name, column.levels, found, chosen.length), list];
}

function paint(map: CellMap, sketch: Sketch, chosen: number[], all: { sum: Float64Array; spread: Float64Array }): void {
  const score = Float32Array.from(sketch.rows, (_, i) => chosen.reduce((sum, f) => sum + (all.spread[f]! > 1e-9 ? ((sketch.values[i * sketch.features + f] as number) - all.sum[f]! / sketch.rows.length) / all.spread[f]! : 0), 0) / chosen.length);
  const most = score.reduce((a, b) => Math.max(a, b), 1e-9);
  const values = new Uint8Array(map.cells.n).fill(255); // a cell outside the sample is not known
  sketch.rows.forEach((row, i) => (values[row] = Math.round((Math.max(0, score[i]!) / most) * 254)));
  const { colours, order } = byAmount(values, 254);
  map.scatter.paint(colours, order);
}

function where(name: string, kinds: string[], found: KindChance, features: number): HTMLElement {
  const table = new Table({
    label: "where the chosen features are strong", name: "chosen-features-cells", rows: kinds.length, sort: "-mean", height: 300,
    columns: [
      { key: "type", name, width: 220, text: (k) => kinds[k] as string },
      { key: "mean", name: "mean of the features", width: 140, title: "in standard deviations from the mean cell", value: (k) => found.seen[k] as number, show: (k) => signed(found.seen[k]) },
      { key: "p", name: "p, random features", width: 130, form: "p", value: (k) => found.p[k] as number },
      { key: "regions", name: "regions alike", width: 110, form: "%", title: "share of regions of the map, of as many features, that lie as far from the mean cell", value: (k) => found.regions[k] as number },
    ],
  });
  return figure({
    title: `Where ${num(features, "d")} chosen features are strong`, name: "chosen-features", file: "programs/cells.h5ad",
    note: "The map of cells is coloured by their mean, in standard deviations from the mean cell.",
    control: `${num(found.draws, "d")} draws of as many features at random, and as many regions of as many features on their map: neighbours share cells, so random features are a low bar.`,
  }, table.element);
}
