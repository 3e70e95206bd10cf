// One feature: what it is, where it fires, what it does, whether to believe it.
import type { Atlas } from "../atlas";
import { bars, histogram, lines } from "../charts";
import { load } from "../data";
import { h, num } from "../dom";
import { figure } from "../figure";
import { absentStudy, cellMap, facts, featureLink, keepButton, missing, small, words } from "../parts";
import { to, type Route } from "../state";
import type { DoseEntry, Fact, FeatureShard } from "../types";

export async function featurePage(atlas: Atlas, route: Route): Promise<Node> {
  const feature = Number(route.args[0]);
  const n = atlas.index.n.features;
  if (!Number.isInteger(feature) || feature < 0 || feature >= n) return missing(`There is no feature ${route.args[0] ?? ""}: this run's are numbered from 0 to ${n - 1}.`);
  const shard = await load<FeatureShard>(`features/${feature}`);
  const map = shard.cells ? await cellMap(atlas, {
    colour: route.query.get("colour") ?? `feature:${feature}`, label: "Where it is active", name: `feature-${feature}-cells`, height: 380,
  }) : null;
  return h("div", {}, head(atlas, shard),
    h("div", { class: "two" },
      genes(atlas, shard), map?.element ?? missing("This run has no matrix of cells."),
      types(atlas, shard), activation(shard),
      terms(atlas, shard), fired(atlas, shard)),
    doses(atlas, shard),
    causes(shard), neighbours(atlas, shard), card(atlas, shard));
}

function head(atlas: Atlas, shard: FeatureShard): HTMLElement {
  const f = shard.feature;
  const n = atlas.index.n.features;
  const chip = (name: string, key: string) => {
    const column = atlas.columns.get(key);
    return column && h("div", { class: "chip", title: [column.help, column.control, column.file].filter(Boolean).join("\n") }, h("span", {}, name), h("b", {}, atlas.shown(key, f)), column.control && h("small", {}, column.control.length > 64 ? `${column.control.slice(0, 62)}…` : column.control));
  };
  return h("div", { class: "title" },
    h("h1", {}, h("span", { class: "id" }, `${f}`), ` ${shard.label}`),
    h("p", { class: "lead" }, atlas.text("sign", f) === "low" ? "Strong in cells in which its own genes are low: the label names what it marks the absence of." : atlas.text("sign", f) === "high" ? "Strong in cells in which its own genes are high." : "Its activation follows its own genes in neither direction over cells."),
    h("div", { class: "actions" },
      h("a", { class: "button", href: to("feature", (f + n - 1) % n) }, "‹ previous"), h("a", { class: "button", href: to("feature", (f + 1) % n) }, "next ›"),
      atlas.index.live === "" && h("a", { class: "button", href: `${to("steer")}?f${f}=5` }, "steer it"),
      h("a", { class: "button", href: to("compare", f) }, "compare"),
      h("a", { class: "button", href: `features/${f}.json` }, "JSON"), keepButton(f)),
    h("div", { class: "chips" }, chip("fires at", "fires"), chip("best term, q", "padj"), chip("foretold by", "named"), chip("strongest in", "type"), chip("between types", "typed"), chip("stability", "grade"), chip("found again", "again"), chip("moves its genes", "response"), chip("state or gene", "state")));
}

function genes(atlas: Atlas, shard: FeatureShard): HTMLElement {
  const rows = shard.genes.slice(0, 20);
  if (!rows.length) return missing("It has no list of genes.");
  const byCells = rows.some((row) => row.r !== undefined);
  const known = byCells || shard.genes[0]?.mean !== undefined;
  const moved = rows.some((row) => row.effect !== undefined);
  return figure({
    title: "Its genes", name: `feature-${shard.feature}-genes`, file: byCells ? "programs/lists.parquet, cells.h5ad" : "programs/genes.h5ad, programs/lists.parquet",
    note: byCells ? "In the order of its list. Bars: correlation of its activation with the gene's counts (log1p CP10k) over cells." : "Mean activation at each gene's tokens over all cells.",
    control: `lists made by chance with any term at q < ${atlas.index.alpha}: ${atlas.index.nulls.map(([name, mean]) => `${name.replaceAll("_", " ")} ${num(mean, "%")}`).join(", ") || "not measured"}`,
    rows: () => ({ header: ["gene", "r", "mean", "frac", "max", "effect"], rows: shard.genes.map((row) => [row.gene, row.r, row.mean, row.frac, row.max, row.effect]) }),
  }, known ? bars(rows.map((row) => ({ text: row.gene, value: (byCells ? row.r : row.mean) ?? 0, href: to("gene", row.gene) })), "its genes", { right: 52, left: 108 })
    : h("p", {}, rows.map((row) => [h("a", { href: to("gene", row.gene) }, row.gene), " "])),
  moved ? small(rows.slice(0, 10).map((row) => [h("a", { href: to("gene", row.gene) }, row.gene), atlas.change(row.effect)]), ["gene", "change per unit of strength (screen/matrix.h5ad)"]) : h("span"));
}

/** Genes at whose tokens it is strongest: another question than which genes go with it over cells. */
function fired(atlas: Atlas, shard: FeatureShard): HTMLElement {
  if (!shard.fired.length || atlas.index.tokens === "cells") return h("span");
  const own = new Set(shard.genes.map((row) => row.gene));
  return figure({
    title: "Where it fires", name: `feature-${shard.feature}-fires`, file: "programs/genes.h5ad",
    note: "Mean activation at each gene's tokens over all cells; at the right, the share of these tokens at which it fires. Genes of its list in the second colour.",
    control: `by chance it would fire at ${atlas.shown("fires", shard.feature)} of any gene's tokens`,
    rows: () => ({ header: ["gene", "mean", "frac", "max"], rows: shard.fired.map((row) => [row.gene, row.mean, row.frac, row.max]) }),
  }, bars(shard.fired.map((row) => ({ text: row.gene, value: row.mean ?? 0, href: to("gene", row.gene), right: num(row.frac, "%"), ...(own.has(row.gene) ? { colour: "var(--opposite)" } : {}) })), "where it fires", { right: 52, left: 108 }));
}

function types(atlas: Atlas, shard: FeatureShard): HTMLElement {
  if (!shard.types?.length) return missing("The cells have no types.");
  return figure({
    title: "By cell type", name: `feature-${shard.feature}-types`, file: "programs/cells.h5ad",
    note: "Mean of the type minus mean of all cells, in standard deviations over cells; at the right, the share of the type's cells in which it is active.",
    control: `${atlas.shown("typed", shard.feature)} of its variance lies between types; ${atlas.columns.get("typed")?.control ?? ""}`,
    rows: () => ({ header: ["type", "cells", "active", "mean", "standardised"], rows: shard.types ?? [] }),
  }, bars(shard.types.slice(0, 16).map(([name, n, share, , z]) => ({ text: name, value: z, href: to("type", name), right: num(share, "%"), title: `${name}: ${n} cells` })), "by cell type", { left: 140, right: 52 }));
}

function activation(shard: FeatureShard): HTMLElement {
  const { histogram: some, quantiles } = shard;
  if (!some || !quantiles) return missing("This run has no matrix of cells.");
  return figure({
    title: "Activation over cells, by quantile", name: `feature-${shard.feature}-activation`, file: "programs/cells.h5ad",
    note: `Mean activation over a cell's tokens; ${num(some.silent, "d")} cells in which it is silent are left out of the histogram.`,
    control: "in brackets, each type's share of all cells",
    rows: () => ({ header: ["quantile", "cells", "mean", "types"], rows: quantiles.map((row) => [row.name, row.cells, row.mean, row.types.map(([name, share]) => `${name} ${(100 * share).toFixed(0)} %`).join("; ")]) }),
  }, some.counts.length ? histogram(some.counts, some.edges, "activation over cells", "activation") : h("p", {}, "silent"),
    small(quantiles.map((row) => [row.name, num(row.cells, "d"), num(row.mean), row.types.map(([name, share, all]) => `${name} ${num(share, "%")} (${num(all, "%")})`).join(", ")]), ["of active cells", "cells", "mean", "types"]),
    h("details", {}, h("summary", {}, "strongest cells"), small((shard.top_cells ?? []).map(([name, kind, value]) => [name, kind, num(value)]), ["cell", "type", "activation"])));
}

function terms(atlas: Atlas, shard: FeatureShard): HTMLElement {
  if (!shard.terms.length) return missing("Its genes share none with any term of the collection.");
  const nulls = atlas.index.nulls.map(([name, mean]) => `${name.replaceAll("_", " ")} ${num(mean, "%")}`).join(", ");
  return figure({
    title: "Terms", name: `feature-${shard.feature}-terms`, file: "programs/enrichment.parquet",
    note: "Over-representation among its genes; q is corrected over the terms of the feature.",
    control: `lists made by chance with any term at q < ${atlas.index.alpha}: ${nulls}`,
    rows: () => ({ header: ["term", "overlap", "list", "term size", "p", "q"], rows: shard.terms.map((row) => [row.term, row.overlap, row.set_size, row.term_size, row.pvalue, row.padj]) }),
  }, small(shard.terms.slice(0, 12).map((row) => [h("a", { href: to("term", row.term) }, row.term), `${row.overlap ?? "–"} of ${row.set_size ?? "–"}`, num(row.term_size, "d"), num(row.padj, "p")]), ["term", "genes shared", "term's genes", "q"]));
}

function doses(atlas: Atlas, shard: FeatureShard): HTMLElement {
  const some = shard.doses.filter((entry) => entry.doses.length);
  if (!some.length) {
    const why = shard.doses.map((entry) => entry.summary.status).join("; ");
    return missing(why ? `Steering it was tried: ${why}.` : "It was not steered exactly in this run.", absentStudy(atlas, "steer") ?? `cellprism steer RUN --feature ${shard.feature}`);
  }
  return h("div", {}, some.map((entry) => dose(entry, shard.feature, atlas)));
}

function dose(entry: DoseEntry, feature: number, atlas: Atlas): HTMLElement {
  const { summary } = entry;
  const sorted = [...entry.controls].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
  const band: [number, number] | null = sorted.length ? [at(0.025), at(0.975)] : null;
  return figure({
    title: `Turned up and down: ${entry.experiment}`, name: `feature-${feature}-doses`, file: entry.file,
    note: `Mean change of what the model says of genes${atlas.relative ? ", relative to 1 + counts per 10,000" : ` (${atlas.index.unit})`}, read at ${entry.read} genes, in ${num(summary.cells, "d")} cells; strength 1 leaves it alone. Shaded: strengths at which cells still look like cells to the model${summary.plausible ? `, ${num(summary.plausible[0])} to ${num(summary.plausible[1])}` : ""}.`,
    control: `response ${atlas.change(summary.response?.value)}; ${entry.controls.length} features of dictionaries that nobody trained, at equal size of the edit: ${band ? `${atlas.change(band[0])} to ${atlas.change(band[1])}` : "none"}; difference of means ${atlas.change(summary.response?.difference_of_means)} (steer/${entry.experiment}/nulls.parquet)`,
    rows: () => ({ header: ["alpha", "on_target", "off_target", "response", "edit_ratio"], rows: entry.doses.map((d) => [d.alpha, d.on_target, d.off_target, d.response, d.edit_ratio]) }),
  }, lines([
    { name: "its genes", class: "ours", points: entry.doses.map((d) => [d.alpha, atlas.onAxis(d.on_target)]) },
    { name: "other genes as high", class: "opposite", points: entry.doses.map((d) => [d.alpha, atlas.onAxis(d.off_target)]) },
  ], "dose curves", { xname: "strength", yname: atlas.relative ? "mean change, %" : "mean change", range: summary.plausible ?? null }),
    h("details", {}, h("summary", {}, `genes that move most at strength ${num(entry.moved[0]?.alpha)}`),
      small(entry.moved.map((row) => [h("a", { href: to("gene", row.gene) }, row.gene), atlas.change(row.effect), num(row.baseline), row.on_target ? "its own" : ""]), ["gene", "change", "unsteered", ""])));
}

function causes(shard: FeatureShard): HTMLElement {
  const some = [...(shard.card.facts["steer"] ?? []), ...(shard.card.facts["screen"] ?? [])];
  if (!some.length) return h("span");
  return h("section", { class: "figure" }, h("header", {}, h("h2", {}, "What it causes")), facts(some, (fact) => words(fact.value)));
}

function neighbours(atlas: Atlas, shard: FeatureShard): HTMLElement {
  const some = (shard.card.facts["map"] ?? []).filter((fact) => fact.name.startsWith("nearest"));
  if (!some.length) return missing("Its neighbours were not looked for.", absentStudy(atlas, "map"));
  return h("section", { class: "figure" }, h("header", {}, h("h2", {}, "Neighbours")),
    h("div", { class: "three" }, some.map((fact) => h("div", {}, h("h3", {}, fact.name), h("p", { class: "note" }, fact.note),
      h("ol", { class: "plainlist" }, pairs(fact).map(([f, value]) => h("li", {}, featureLink(atlas, f), h("small", {}, ` ${num(value)}`))))))),
    h("footer", {}, h("code", {}, some[0]?.file ?? "")));
}

function pairs(fact: Fact): [number, number][] {
  return Array.isArray(fact.value) ? (fact.value as [number, number][]) : [];
}

const SHOWN_ABOVE = new Set(["steer", "screen"]);

function card(atlas: Atlas, shard: FeatureShard): HTMLElement {
  const { facts: all, absent } = shard.card;
  const parts = Object.entries(all).filter(([study, some]) => some.length && !SHOWN_ABOVE.has(study));
  const confounds: Record<string, string> = { state: "Gene or state, and what goes with it (confounds)", programs: "Programs", stability: "Stability", map: "Place among the features", contrast: "In recipes" };
  return h("div", {}, parts.map(([study, some]) => h("details", { class: "figure", open: study === "state" || study === "stability" }, h("summary", {}, confounds[study] ?? study),
    facts(some, (fact) => (fact.name === "genes" && Array.isArray(fact.value) ? h("span", {}, (fact.value as string[]).map((gene) => [h("a", { href: to("gene", gene) }, gene), " "])) : words(fact.value))))),
    Object.keys(absent).length > 0 && h("section", { class: "figure absent" }, h("p", {}, "Not measured: ", Object.entries(absent).map(([study, how]) => [h("b", {}, study), " ", h("code", {}, how.split("`")[1] ?? how), " "]))),
    h("p", { class: "note" }, `${atlas.index.run} · ${shard.card.model} · ${shard.card.place}`));
}
