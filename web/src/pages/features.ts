// The table of all features.
import type { Atlas, Column } from "../atlas";
import { h } from "../dom";
import { featureLink, title } from "../parts";
import { note, to, type Route } from "../state";
import { Table, type TableColumn } from "../table";

const HIDDEN = new Set(["label", "genes", "x", "y"]);
const WIDTHS: Record<string, number> = { sign: 54, grade: 60, type: 130, named: 210, terms: 64, fires: 74 };

export function featureColumns(atlas: Atlas): TableColumn[] {
  const shown = [...atlas.columns.values()].filter((column) => !HIDDEN.has(column.key));
  return [
    { key: "id", name: "#", width: 52, value: (f) => f, show: (f) => featureLink(atlas, f, false) },
    { key: "label", name: "label", width: 250, text: (f) => atlas.label(f), show: (f) => h("a", { href: to("feature", f) }, atlas.label(f)) },
    ...shown.map((column) => tableColumn(column)),
    { key: "genes", name: "strongest genes", width: 320, text: (f) => atlas.text("genes", f) },
  ];
}

function tableColumn(column: Column): TableColumn {
  const made: TableColumn = { key: column.key, name: column.name, title: [column.help, column.control, column.file].filter(Boolean).join("\n"), width: WIDTHS[column.key] ?? 92, form: column.form };
  if (column.texts) made.text = (f) => column.texts?.[f] || "–";
  else made.value = (f) => column.values?.[f] ?? NaN;
  return made;
}

export function featuresPage(atlas: Atlas, route: Route): Node {
  const table = new Table({
    columns: featureColumns(atlas), rows: atlas.index.n.features, name: `${atlas.index.run}-features`, label: "features", height: 620,
    sort: route.query.get("sort") ?? "padj", filter: route.query.get("filter") ?? "",
    onchange: ({ sort, filter }) => note({ sort, filter }),
  });
  const columns = [...atlas.columns.values()].filter((column) => !["x", "y"].includes(column.key));
  return h("div", {}, title("Features", h("p", { class: "lead" }, "Sort by a heading; filter by words, or by numbers with a column's key, as in ", h("code", {}, "padj<0.01 grade=A"), ".")),
    h("section", { class: "figure" }, table.element),
    h("details", { class: "figure" }, h("summary", {}, "What the columns mean, what stands beside them, and where they lie"),
      h("table", { class: "facts" }, h("tbody", {}, columns.map((column) => h("tr", {}, h("th", { scope: "row" }, column.name, h("small", {}, ` ${column.key}`)),
        h("td", {}, column.help, column.control && h("small", {}, ` beside: ${column.control}`)), h("td", {}, h("code", {}, column.file))))))));
}
