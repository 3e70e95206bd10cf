// Genes: in which features one fires, and which features move it.
import type { Atlas } from "../atlas";
import { bars } from "../charts";
import { load } from "../data";
import { h, num } from "../dom";
import { figure } from "../figure";
import { absentStudy, featureLink, missing, small, title } from "../parts";
import { note, to, type Route } from "../state";
import { Table } from "../table";
import type { GeneShard } from "../types";

export async function genePage(atlas: Atlas, route: Route): Promise<Node> {
  const name = route.args[0] ?? "";
  const place = atlas.genePlace.get(name);
  if (place === undefined) {
    const near = atlas.genes.filter((gene) => gene.toLowerCase().startsWith(name.slice(0, 3).toLowerCase())).slice(0, 12);
    return h("div", {}, title(name), missing(`${name} is no gene of this run: features were read at ${num(atlas.genes.length, "d")} genes.`),
      near.length > 0 && h("p", {}, "Nearby: ", near.map((gene) => [h("a", { href: to("gene", gene) }, gene), " "])));
  }
  const shard = (await load<GeneShard[]>(`genes/${Math.floor(place / atlas.index.block)}`))[place % atlas.index.block] as GeneShard;
  return h("div", {}, title(name, h("p", { class: "lead" }, `At its tokens ${shard.fires.length >= 60 ? "60 features or more" : `${shard.fires.length} features`} fire; it is in the lists of ${shard.fires.filter((row) => row[4] !== null).length} of those shown.`)),
    h("div", { class: "two" }, fires(atlas, name, shard), moves(atlas, name, shard)));
}

function fires(atlas: Atlas, name: string, shard: GeneShard): HTMLElement {
  if (!shard.fires.length) return missing(`No feature fires at ${name}.`);
  const known = shard.fires.some((row) => row[1] !== null);
  return figure({
    title: "Features that fire at it", name: `${name}-features`, file: known ? "programs/genes.h5ad" : "programs/lists.parquet",
    note: "Mean activation at the gene's tokens over all cells, and the share of them at which the feature fires.",
    control: "the share of all tokens at which the feature fires stands in the fourth column",
    rows: () => ({ header: ["feature", "label", "mean", "frac", "max", "rank"], rows: shard.fires.map(([f, mean, frac, max, rank]) => [f, atlas.label(f), mean, frac, max, rank]) }),
  }, known ? bars(shard.fires.slice(0, 12).map(([f, mean]) => ({ text: `${f} ${atlas.label(f)}`, value: mean ?? 0, href: to("feature", f) })), "features that fire", { left: 210 }) : h("span"),
    small(shard.fires.map(([f, mean, frac, , rank]) => [featureLink(atlas, f), num(mean), num(frac, "%"), atlas.shown("fires", f), rank === null ? "" : `${rank + 1}`]), ["feature", "mean", "fires here", "fires anywhere", "place in its list"]));
}

function moves(atlas: Atlas, name: string, shard: GeneShard): HTMLElement {
  const parts: HTMLElement[] = [];
  if (shard.moved.length)
    parts.push(figure({
      title: "Features that move it", name: `${name}-movers`, file: "screen/matrix.h5ad", note: "Change of what the model says of it per unit of strength, by derivatives.",
      control: "in the third column, the size over that of the median feature at this gene",
      rows: () => ({ header: ["feature", "label", "change", "over_median"], rows: shard.moved.map(([f, change, over]) => [f, atlas.label(f), change, over]) }),
    }, small(shard.moved.slice(0, 20).map(([f, change, over]) => [featureLink(atlas, f), atlas.change(change), `${num(over)} ×`]), ["feature", "change per unit", "of the median"])));
  else parts.push(missing("How every feature moves it was not screened.", absentStudy(atlas, "screen")));
  if (shard.steered.length)
    parts.push(figure({
      title: "Moved by exact steering", name: `${name}-steered`, file: "steer/*/effects.parquet", note: `Change of what the model says of it${atlas.relative ? ", of 1 + counts per 10,000" : `, ${atlas.index.unit}`}, at the largest strength that was tried.`,
      control: "what control features do to whole lists stands on the feature's page",
    }, small(shard.steered.map(([, f, alpha, effect, , before]) => [featureLink(atlas, f), num(alpha), atlas.change(effect), num(before)]), ["feature", "strength", "change", "unsteered"])));
  return h("div", {}, parts);
}

export function genesPage(atlas: Atlas, route: Route): Node {
  const table = new Table({
    label: "genes", name: `${atlas.index.run}-genes`, rows: atlas.genes.length, height: 620, placeholder: "filter genes",
    filter: route.query.get("filter") ?? "", sort: route.query.get("sort") ?? "", onchange: ({ sort, filter }) => note({ sort, filter }),
    columns: [{ key: "gene", name: "gene", width: 240, text: (row) => atlas.genes[row] as string, show: (row) => h("a", { href: to("gene", atlas.genes[row] as string) }, atlas.genes[row]) }],
  });
  return h("div", {}, title("Genes", h("p", { class: "lead" }, `${num(atlas.genes.length, "d")} genes at which features were read.`)), h("section", { class: "figure" }, table.element));
}
