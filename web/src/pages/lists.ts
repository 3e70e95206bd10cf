// Lists of features that one keeps: in this browser, and in the address for a colleague.
import type { Atlas } from "../atlas";
import { csv, h, num, save } from "../dom";
import { title } from "../parts";
import { keep, lists, to, type Route } from "../state";
import { Table } from "../table";
import { featureColumns } from "./features";

export function listsPage(atlas: Atlas, route: Route): Node {
  const all = lists();
  const shared = (route.query.get("features") ?? "").split(",").filter(Boolean).map(Number).filter((f) => Number.isInteger(f) && f >= 0 && f < atlas.index.n.features);
  if (shared.length && route.args[0]) all[route.args[0]] ??= shared;
  const name = route.args[0] ?? Object.keys(all)[0];
  const features = name !== undefined ? (all[name] ?? []).filter((f) => f < atlas.index.n.features) : [];
  const field = h("input", { placeholder: "12, 45, 301", "aria-label": "features of a new list" });
  const called = h("input", { placeholder: "name", "aria-label": "name of a new list" });
  const form = h("form", { class: "inline", onsubmit: (event: Event) => {
    event.preventDefault();
    const some = field.value.split(/[\s,]+/).filter(Boolean).map(Number).filter((f) => Number.isInteger(f) && f >= 0 && f < atlas.index.n.features);
    if (!called.value.trim()) return;
    keep({ ...lists(), [called.value.trim()]: some });
    location.hash = to("lists", called.value.trim());
  } }, called, field, h("button", { type: "submit" }, "keep"));
  const members = new Set(features);
  const body: Node[] = [];
  if (name !== undefined) {
    const table = new Table({ columns: featureColumns(atlas), rows: atlas.index.n.features, among: (f) => members.has(f), name, label: `list ${name}`, height: 420 });
    body.push(h("section", { class: "figure" }, h("header", {}, h("h2", {}, `${name}: ${num(features.length, "d")} features`), h("span", { class: "spacer" }),
      h("button", { type: "button", class: "quiet", onclick: () => save(`${name}.gmt`, gmt(atlas, name, features)) }, "GMT"),
      h("button", { type: "button", class: "quiet", onclick: () => save(`${name}.csv`, csv(["feature", "label"], features.map((f) => [f, atlas.label(f)])), "text/csv") }, "CSV"),
      h("button", { type: "button", class: "quiet", onclick: () => { const now = lists(); delete now[name]; keep(now); location.hash = to("lists"); } }, "remove")), table.element,
    h("p", { class: "note" }, "A link that holds this list: ", h("a", { href: `${to("lists", name)}?features=${features.join(",")}` }, "copy its address"))));
  }
  return h("div", {}, title("Lists", h("p", { class: "lead" }, "Lists stay in this browser. Add features with \u201ckeep in\u201d on their pages."), form,
    h("div", { class: "actions" }, Object.entries(all).map(([one, some]) => h("a", { class: "button", href: to("lists", one), "aria-current": one === name ? "page" : null }, `${one} (${some.length})`)))), body);
}

/** Each feature's strongest genes as a gene set. */
function gmt(atlas: Atlas, name: string, features: number[]): string {
  return features.map((f) => [`${atlas.index.run}-${f}`, `${name}: ${atlas.label(f)}`, ...atlas.text("genes", f).split(", ").filter(Boolean)].join("\t")).join("\n") + "\n";
}
