// Cell types: what fires in the cells of one.
import type { Atlas } from "../atlas";
import { h, num, signed } from "../dom";
import { figure } from "../figure";
import { cellMap, featureLink, missing, title } from "../parts";
import { note, to, type Route } from "../state";
import { Table } from "../table";
import { floats, load } from "../data";
import type { Packed } from "../types";

export async function typePage(atlas: Atlas, route: Route): Promise<Node> {
  const name = route.args[0] ?? "";
  const place = atlas.index.type_names.indexOf(name);
  if (place < 0) return h("div", {}, title(name), missing("There is no such cell type in this run."));
  const z = await floats((await load<{ z: Packed[] }>("types")).z[place] as Packed);
  const map = await cellMap(atlas, { colour: route.query.get("colour") ?? "cell type", label: "Its cells", name: `type-${name}`, height: 360 });
  const column = map?.cells.columns.find((one) => one.levels?.includes(name));
  if (map && column) {
    const wanted = column.levels!.indexOf(name);
    map.scatter.dim(Uint8Array.from(column.values, (v) => (v === wanted ? 0 : 1)));
  }
  const table = new Table({
    label: `features by ${name}`, name: `type-${name}`, rows: z.length, sort: route.query.get("sort") ?? "-z", filter: route.query.get("filter") ?? "", height: 520,
    onchange: ({ sort, filter }) => note({ sort, filter }),
    columns: [
      { key: "feature", name: "feature", width: 290, text: (f) => `${f} ${atlas.label(f)}`, show: (f) => featureLink(atlas, f) },
      { key: "z", name: "here, z", width: 80, value: (f) => z[f] as number, show: (f) => signed(z[f]) },
      { key: "typed", name: "between types", width: 110, form: "%", value: (f) => atlas.value("typed", f) },
      { key: "type", name: "strongest in", width: 150, text: (f) => atlas.text("type", f) },
      { key: "auroc", name: "AUROC there", width: 100, value: (f) => atlas.value("auroc", f) },
      { key: "grade", name: "grade", width: 70, text: (f) => atlas.text("grade", f) },
    ],
  });
  return h("div", {}, title(name, h("p", { class: "lead" }, `${num(atlas.index.types[name], "d")} of ${num(atlas.index.n.cells, "d")} cells.`)),
    h("div", { class: "wide" }, figure({
      title: "What is active here", name: `type-${name}`, file: "programs/types.parquet", note: "Mean of these cells minus mean of all cells, in standard deviations over cells.",
      control: atlas.columns.get("typed")?.control ?? "",
    }, table.element), map?.element ?? h("span")));
}

export function typesPage(atlas: Atlas): Node {
  const counts = atlas.index.types;
  const strongest = new Map<string, number>();
  for (const type of atlas.columns.get("type")?.texts ?? []) strongest.set(type, (strongest.get(type) ?? 0) + 1);
  return h("div", {}, title("Cell types"), h("section", { class: "figure" }, h("table", { class: "small" },
    h("thead", {}, h("tr", {}, ["type", "cells", "features strongest in it"].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, atlas.index.type_names.map((name) => h("tr", {}, h("td", {}, h("a", { href: to("type", name) }, name)), h("td", {}, num(counts[name], "d")), h("td", {}, num(strongest.get(name) ?? 0, "d"))))))));
}
