// Terms: the features that match one, beside what chance matches.
import type { Atlas } from "../atlas";
import { load } from "../data";
import { h, num } from "../dom";
import { figure } from "../figure";
import { featureLink, missing, title } from "../parts";
import { note, to, type Route } from "../state";
import { Table } from "../table";
import type { TermShard } from "../types";

export async function termPage(atlas: Atlas, route: Route): Promise<Node> {
  const name = route.args[0] ?? "";
  const place = atlas.termPlace.get(name);
  if (place === undefined) return h("div", {}, title(name), missing(`No list of this run shares a gene with a term of this name.`));
  const shard = (await load<TermShard[]>(`terms/${Math.floor(place / atlas.index.block)}`))[place % atlas.index.block] as TermShard;
  const at = (key: string) => shard.columns.indexOf(key);
  const value = (row: number, key: string) => (shard.features[row]?.[at(key)] ?? NaN) as number;
  const feature = (row: number) => shard.features[row]?.[0] as number;
  const shared = (row: number) => (shard.shared[row] ?? []).map((i) => shard.genes[i] as string);
  const hits = shard.features.filter((row) => (row[at("padj")] ?? 1) < atlas.index.alpha).length;
  const table = new Table({
    label: `features of ${name}`, name: `term-${name}`, rows: shard.features.length, sort: "padj", height: 560,
    columns: [
      { key: "feature", name: "feature", width: 300, text: (row) => `${feature(row)} ${atlas.label(feature(row))}`, show: (row) => featureLink(atlas, feature(row)) },
      { key: "overlap", name: "genes shared", width: 100, form: "d", value: (row) => value(row, "overlap") },
      ...(shard.genes.length ? [{ key: "genes", name: "which", width: 260, text: (row: number) => shared(row).join(" "), show: (row: number) => h("span", {}, shared(row).map((gene) => [h("a", { href: to("gene", gene) }, gene), " "])) }] : []),
      { key: "list", name: "genes of its list", width: 110, form: "d", value: (row) => value(row, "set_size") },
      { key: "p", name: "p", width: 80, form: "p", value: (row) => value(row, "pvalue") },
      { key: "padj", name: "q", width: 80, form: "p", value: (row) => value(row, "padj") },
      { key: "type", name: "strongest in", width: 150, text: (row) => atlas.text("type", feature(row)) },
      { key: "grade", name: "grade", width: 70, text: (row) => atlas.text("grade", feature(row)) },
    ],
  });
  const nulls = atlas.index.nulls.map(([kind, mean]) => `${kind.replaceAll("_", " ")} ${num(mean, "%")}`).join(", ");
  return h("div", {}, title(name, h("p", { class: "lead" }, `${num(shard.size, "d")} of its genes are among the ${num(shard.background, "d")} of the background. ${hits} features match it at q < ${atlas.index.alpha}; ${num(shard.tested, "d")} share a gene with it.`), shard.source ? h("p", { class: "note" }, shard.source) : null),
    shard.genes.length > 0 && h("section", { class: "figure" }, h("header", {}, h("h2", {}, "Its genes in this run")), h("p", {}, shard.genes.map((gene) => [h("a", { href: to("gene", gene) }, gene), " "]))),
    figure({ title: "Features", name: `term-${name}`, file: "programs/enrichment.parquet", control: `lists made by chance that match any term: ${nulls} (programs/nulls.parquet)` }, table.element));
}

export function termsPage(atlas: Atlas, route: Route): Node {
  const best = new Map<string, number>();
  atlas.columns.get("label")?.texts?.forEach((label) => {
    const term = label.replace(/^low: /, "");
    best.set(term, (best.get(term) ?? 0) + 1);
  });
  const table = new Table({
    label: "terms", name: `${atlas.index.run}-terms`, rows: atlas.terms.length, height: 620, placeholder: "filter terms",
    sort: route.query.get("sort") ?? "-features", filter: route.query.get("filter") ?? "", onchange: ({ sort, filter }) => note({ sort, filter }),
    columns: [
      { key: "term", name: "term", width: 420, text: (row) => atlas.terms[row] as string, show: (row) => h("a", { href: to("term", atlas.terms[row] as string) }, atlas.terms[row]) },
      { key: "features", name: "features labelled by it", width: 160, form: "d", value: (row) => best.get(atlas.terms[row] as string) ?? 0 },
    ],
  });
  return h("div", {}, title("Terms", h("p", { class: "lead" }, `${num(atlas.terms.length, "d")} terms of ${atlas.index.collection} with which some feature's list shares a gene.`)), h("section", { class: "figure" }, table.element));
}
