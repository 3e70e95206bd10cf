// Two features side by side.
import { floats, integers, load } from "../data";
import type { Atlas } from "../atlas";
import { bars } from "../charts";
import { h, num } from "../dom";
import { figure } from "../figure";
import { cellMap, featureLink, small, title } from "../parts";
import { to, type Route } from "../state";
import type { FeatureShard } from "../types";

export async function comparePage(atlas: Atlas, route: Route): Promise<Node> {
  const n = atlas.index.n.features;
  const [a, b] = route.args.map(Number);
  const ok = (f: number | undefined): f is number => f !== undefined && Number.isInteger(f) && f >= 0 && f < n;
  const fields = [a, b].map((f, i) => h("input", { type: "number", min: 0, max: n - 1, value: ok(f) ? f : "", "aria-label": `${i ? "second" : "first"} feature`, placeholder: "feature" }));
  const form = h("form", { class: "inline", onsubmit: (event: Event) => { event.preventDefault(); location.hash = to("compare", fields[0]!.value, fields[1]!.value); } }, fields, h("button", { type: "submit" }, "compare"));
  const head = title("Compare two features", h("p", { class: "lead" }, "Direction, genes and cells of two features, beside what two features at random share."), form);
  if (!ok(a) || !ok(b)) return h("div", {}, head);
  const [left, right] = await Promise.all([a, b].map((f) => load<FeatureShard>(`features/${f}`))) as [FeatureShard, FeatureShard];
  const other = Array.from({ length: 24 }, (_, i) => Math.floor(((i + 0.5) / 24) * n)).filter((f) => f !== a && f !== b);
  const random = await Promise.all(other.map((f) => load<FeatureShard>(`features/${f}`)));
  const ours = await alike(left, right);
  const chance = (await Promise.all(random.map((one) => alike(left, one))));
  const middle = (key: keyof Alike) => chance.map((one) => one[key]).filter((v) => !Number.isNaN(v)).sort((x, y) => x - y);
  const between = (key: keyof Alike) => { const some = middle(key); return some.length ? `${num(some[0])} to ${num(some[some.length - 1])}` : "–"; };
  const maps = await Promise.all([left, right].map((shard) => cellMap(atlas, { colour: `feature:${shard.feature}`, label: `${shard.feature} ${shard.label}`, name: `feature-${shard.feature}`, height: 320, choices: false })));
  const keys = [...atlas.columns.values()].filter((column) => !["x", "y", "label"].includes(column.key));
  return h("div", {}, head,
    figure({ title: "How alike", name: `compare-${a}-${b}`, file: "sae/, programs/", control: `feature ${a} and ${other.length} features spread over the dictionary: lowest to highest` },
      small([["cosine of decoder rows", num(ours.cosine), between("cosine")], ["genes of their lists shared (Jaccard)", num(ours.genes), between("genes")], ["correlation over cells", num(ours.cells), between("cells")]], ["", "these two", "others"])),
    h("div", { class: "two" }, maps.map((map) => map?.element ?? h("span")),
      [left, right].map((shard) => figure({ title: `Genes of ${shard.feature}`, name: `feature-${shard.feature}-genes`, file: "programs/lists.parquet", note: "Correlation over cells with each gene of its list, where the counts were at hand, else mean activation; those of both in the second colour." },
        bars(shard.genes.slice(0, 16).map((row) => ({ text: row.gene, value: (row.r ?? row.mean) ?? 0, href: to("gene", row.gene), ...(shared(left, right).has(row.gene) ? { colour: "var(--opposite)" } : {}) })), "genes")))),
    h("section", { class: "figure" }, h("header", {}, h("h2", {}, "Numbers")), h("div", { class: "scroll" }, h("table", { class: "small" }, h("thead", {}, h("tr", {}, h("th", {}, ""), h("th", {}, featureLink(atlas, a)), h("th", {}, featureLink(atlas, b)), h("th", {}, "beside"))),
      h("tbody", {}, keys.map((column) => h("tr", {}, h("th", { scope: "row" }, column.name), h("td", {}, atlas.shown(column.key, a)), h("td", {}, atlas.shown(column.key, b)), h("td", {}, h("small", {}, column.control)))))))));
}

interface Alike {
  cosine: number;
  genes: number;
  cells: number;
}

function shared(a: FeatureShard, b: FeatureShard): Set<string> {
  const names = new Set(b.genes.map((row) => row.gene));
  return new Set(a.genes.map((row) => row.gene).filter((gene) => names.has(gene)));
}

async function alike(a: FeatureShard, b: FeatureShard): Promise<Alike> {
  const both = shared(a, b).size;
  const either = a.genes.length + b.genes.length - both;
  return {
    cosine: a.decoder && b.decoder ? correlation(await floats(a.decoder), await floats(b.decoder), false) : NaN,
    genes: either ? both / either : NaN,
    cells: a.cells && b.cells ? correlation(await integers(a.cells.values), await integers(b.cells.values), true) : NaN,
  };
}

/** Pearson's correlation; without centring, the cosine. */
function correlation(a: ArrayLike<number>, b: ArrayLike<number>, centred: boolean): number {
  const n = a.length;
  let [ma, mb] = [0, 0];
  if (centred) {
    for (let i = 0; i < n; i++) [ma, mb] = [ma + (a[i] as number), mb + (b[i] as number)];
    [ma, mb] = [ma / n, mb / n];
  }
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [x, y] = [(a[i] as number) - ma, (b[i] as number) - mb];
    [ab, aa, bb] = [ab + x * y, aa + x * x, bb + y * y];
  }
  return ab / Math.sqrt(aa * bb);
}
