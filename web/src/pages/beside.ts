// Another run beside this one: features matched by genes and by cells, with what chance alone gives; and two of them side by side.
import type { Atlas } from "../atlas";
import { bars } from "../charts";
import { floats, integers, load, texts } from "../data";
import { h, num } from "../dom";
import { figure } from "../figure";
import { featureLink, missing, small, title } from "../parts";
import { note, to, type Route } from "../state";
import { Table, type TableColumn } from "../table";
import type { BesideShard, FeatureShard, MatchesShard } from "../types";

interface Matches {
  what: string;
  shard: MatchesShard;
  best: ArrayLike<number>;
  near: number;
  r: Float32Array;
  back: ArrayLike<number>;
  limit: Float32Array;
}

const CHANCE: Record<string, string> = {
  genes: "the other run's genes traded places among genes expressed in as many cells",
  cells: "the other run's cells traded places among those of the same type",
};

async function unpacked(atlas: Atlas, what: string, shard: MatchesShard | null): Promise<Matches | null> {
  if (!shard) return null;
  const best = await integers(shard.best);
  return { what, shard, best, near: best.length / atlas.index.n.features, r: await floats(shard.r), back: await integers(shard.back), limit: await floats(shard.limit) };
}

export async function besidePage(atlas: Atlas, route: Route): Promise<Node> {
  const { beside } = atlas.index;
  if (!beside) return h("div", {}, title("Two runs side by side"), missing("This atlas holds one run. To set another layer, model, training or donor beside it:", `cellprism atlas ${atlas.index.run} --beside OTHER`));
  const shard = await load<BesideShard>("beside");
  const labels = await texts(shard.labels);
  const ways = (await Promise.all([unpacked(atlas, "genes", shard.genes), unpacked(atlas, "cells", shard.cells)])).filter((one): one is Matches => one !== null);
  const [a, b] = route.args.map(Number);
  if (a !== undefined) return pair(atlas, labels, ways, a, b);
  const head = title(`${atlas.index.run} beside ${beside.run}`, h("p", { class: "lead" }, `${[beside.model, beside.place, `${num(beside.features, "d")} features`, `${num(beside.cells, "d")} cells of ${beside.source}`].filter(Boolean).join(", ")}. Features of two runs are alike where they say the same of the same genes, or of the same cells.`));
  if (!ways.length) return h("div", {}, head, missing("The two runs share too few genes and cells for their features to be matched."));
  const kinds = await texts(shard.types);
  const columns: TableColumn[] = [{ key: "feature", name: `feature of ${atlas.index.run}`, width: 250, text: (f) => `${f} ${atlas.label(f)}`, show: (f) => featureLink(atlas, f) }];
  for (const way of ways) columns.push(...columnsOf(way, labels, kinds));
  const table = new Table({
    label: "features and their matches", name: `${atlas.index.run}-beside-${beside.run}`, rows: atlas.index.n.features, height: 560, columns,
    sort: route.query.get("sort") ?? `-${ways[0]!.what}`, filter: route.query.get("filter") ?? "", onchange: ({ sort, filter }) => note({ sort, filter }),
  });
  return h("div", {}, head, ways.map((way) => summary(way, beside.draws)), figure({
    title: "Features and what is most like them", name: "beside", file: "programs/genes.h5ad, programs/cells.h5ad of both runs",
    control: "the limit in each row: what the best match exceeds in one draw of twenty. Any two dictionaries of such cells follow the same co-expression, so beyond chance is not yet found again by training: the study stability asks that.",
  }, table.element));
}

function summary(way: Matches, draws: number): HTMLElement {
  const { shard, what } = way;
  return h("p", { class: "chance" }, h("b", {}, num(shard.beyond, "%")), ` of features have a best match by ${what} beyond chance (${num(shard.shared, "d")} ${what} of both). `,
    h("span", {}, `By chance ${num(shard.chance, "%")} (up to ${num(shard.chance_high, "%")}): ${CHANCE[what]}, ${draws} times.`));
}

function columnsOf(way: Matches, labels: string[], kinds: string[]): TableColumn[] {
  const first = (f: number) => way.best[f * way.near] as number;
  const r = (f: number) => way.r[f * way.near] as number;
  return [
    { key: `by ${way.what}`, name: `most like it by ${way.what}`, width: 250, text: (f) => `${first(f)} ${labels[first(f)] ?? ""}`, show: (f) => h("a", { href: to("beside", f, first(f)) }, h("b", {}, first(f)), ` ${labels[first(f)] ?? ""}`) },
    { key: way.what, name: "r", width: 64, value: r },
    { key: `${way.what}limit`, name: "chance", width: 70, title: "what the best match exceeds in one draw of twenty", value: (f) => way.limit[f] as number },
    { key: `${way.what}mutual`, name: "mutual", width: 66, title: "each is most like the other", text: (f) => (way.back[first(f)] === f ? "yes" : "no") },
    { key: `${way.what}type`, name: "strongest in", width: 130, text: (f) => kinds[first(f)] ?? "" },
  ];
}

/** A feature of this run and one of the other. */
async function pair(atlas: Atlas, labels: string[], ways: Matches[], a: number, wanted: number | undefined): Promise<Node> {
  const beside = atlas.index.beside!;
  const b = wanted ?? (ways[0]?.best[a * (ways[0]?.near ?? 1)] as number | undefined) ?? 0;
  const ok = (f: number, n: number) => Number.isInteger(f) && f >= 0 && f < n;
  if (!ok(a, atlas.index.n.features) || !ok(b, beside.features)) return missing(`There is no feature ${ok(a, atlas.index.n.features) ? b : a}: ${atlas.index.run} has ${num(atlas.index.n.features, "d")}, ${beside.run} ${num(beside.features, "d")}.`);
  const [left, right] = await Promise.all([load<FeatureShard>(`features/${a}`), load<FeatureShard>(`beside/features/${b}`)]);
  const rows = ways.map((way) => {
    const place = Array.from({ length: way.near }, (_, i) => way.best[a * way.near + i] as number).indexOf(b);
    return [way.what, place < 0 ? `not among the ${way.near} most like it` : num(way.r[a * way.near + place]), num(way.limit[a]), way.back[b] === a ? "yes" : "no"];
  });
  const others = ways.map((way) => h("p", { class: "note" }, `most like ${a} by ${way.what}: `, Array.from({ length: way.near }, (_, i) => way.best[a * way.near + i] as number).map((f) => [h("a", { href: to("beside", a, f) }, `${f} ${labels[f] ?? ""}`), " "])));
  const both = new Set(right.genes.map((row) => row.gene));
  const shared = new Set(left.genes.map((row) => row.gene).filter((gene) => both.has(gene)));
  const sides: [string, FeatureShard][] = [[atlas.index.run, left], [beside.run, right]];
  return h("div", {}, title(`${a} of ${atlas.index.run} beside ${b} of ${beside.run}`, h("p", { class: "lead" }, featureLink(atlas, a), " · ", h("a", { href: `beside/features/${b}.json` }, `${b} ${right.label}`)),
    h("p", {}, h("a", { href: to("beside") }, "all features and their matches"))),
    figure({ title: "How alike", name: `beside-${a}-${b}`, file: "programs/ of both runs", control: ways.map((way) => CHANCE[way.what]).join("; ") },
      small(rows, ["by", "correlation", "chance, best of all", "most alike both ways"]), ...others),
    h("div", { class: "two" }, sides.map(([run, shard]) => genes(run, shard, shared)), sides.map(([run, shard]) => kinds(run, shard)), sides.map(([run, shard]) => terms(run, shard))));
}

function genes(run: string, shard: FeatureShard, shared: Set<string>): HTMLElement {
  const byCells = shard.genes.some((row) => row.r !== undefined);
  return figure({ title: `Genes of ${shard.feature}, ${run}`, name: `${run}-${shard.feature}-genes`, file: "programs/genes.h5ad", note: `${byCells ? "Correlation over cells with each gene of its list" : "Mean activation"}; the ${shared.size} genes of both lists in the second colour.` },
    bars(shard.genes.slice(0, 16).map((row) => ({ text: row.gene, value: (byCells ? row.r : row.mean) ?? 0, ...(shared.has(row.gene) ? { colour: "var(--opposite)" } : {}) })), "genes"));
}

function kinds(run: string, shard: FeatureShard): HTMLElement {
  if (!shard.types?.length) return missing(`The cells of ${run} have no types.`);
  return figure({ title: `By cell type, ${run}`, name: `${run}-${shard.feature}-types`, file: "programs/cells.h5ad", note: "Standard deviations from the mean cell; at the right, the share of cells in which it is active." },
    bars(shard.types.slice(0, 12).map(([name, , share, , z]) => ({ text: name, value: z, right: num(share, "%") })), "by cell type", { left: 140, right: 52 }));
}

function terms(run: string, shard: FeatureShard): HTMLElement {
  if (!shard.terms.length) return missing(`The genes of ${shard.feature} share none with any term.`);
  return figure({ title: `Terms, ${run}`, name: `${run}-${shard.feature}-terms`, file: "programs/enrichment.parquet" },
    small(shard.terms.slice(0, 8).map((row) => [row.term, `${row.overlap ?? "–"} of ${row.set_size ?? "–"}`, num(row.padj, "p")]), ["term", "genes shared", "q"]));
}
