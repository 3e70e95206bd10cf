// Pieces that several pages share.
import { byAmount, byColumn, type Atlas, type Cells, type Colouring } from "./atlas";
import { integers, load } from "./data";
import { h, num } from "./dom";
import { figure } from "./figure";
import { Scatter } from "./scatter";
import { keep, lists, note, to } from "./state";
import type { Fact, FeatureShard } from "./types";

/** A link to a feature, with its number and label. */
export function featureLink(atlas: Atlas, feature: number, withLabel = true): HTMLElement {
  return h("a", { class: "feature", href: to("feature", feature) }, h("b", {}, feature), withLabel ? ` ${atlas.label(feature)}` : "");
}

export function title(text: string, ...more: (Node | string | false | null)[]): HTMLElement {
  return h("div", { class: "title" }, h("h1", {}, text), more.filter(Boolean) as Node[]);
}

export function missing(what: string, how?: string): HTMLElement {
  return h("section", { class: "figure absent" }, h("p", {}, what, how ? h("span", {}, " ", h("code", {}, how.replaceAll("`", ""))) : ""));
}

/** How a study that was not done is done. */
export function absentStudy(atlas: Atlas, study: string): string | undefined {
  return atlas.index.absent[study];
}

export interface CellMapOptions {
  colour: string;
  label: string;
  name: string;
  height?: number;
  onlasso?: (polygon: number[][] | null) => void;
  choices?: boolean;
  control?: string;
}

export interface CellMap {
  element: HTMLElement;
  scatter: Scatter;
  cells: Cells;
  /** Colours as they are chosen, after others were shown. */
  repaint: () => void;
}

/** The map of cells, coloured by what is known of them or by a feature (`feature:12`). */
export async function cellMap(atlas: Atlas, options: CellMapOptions): Promise<CellMap | null> {
  const cells = await atlas.cells();
  if (!cells) return null;
  let names: string[] | null = null; // asked for when one first points at a cell: those of many cells are long
  const first = cells.columns.find((column) => column.levels);
  const scatter = new Scatter(cells.x, cells.y, {
    label: `${options.label}: map of ${num(cells.n, "d")} cells`, name: options.name, height: options.height ?? 440,
    ...(options.onlasso ? { onlasso: options.onlasso } : {}),
    onhover: (i) => {
      if (i === null) return "";
      if (!names) void atlas.cellNames().then((some) => (names = some));
      return [names?.[i], first?.levels?.[first.values[i] as number]].filter(Boolean).join(" · ");
    },
  });
  const legend = h("div", { class: "legend" });
  const file = h("span");
  const paint = async (colour: string) => {
    const found = await colouring(atlas, cells, colour);
    if (!found) return;
    scatter.paint(found.colours, found.order);
    legend.replaceChildren(...legendOf(found));
    file.textContent = found.said;
  };
  const choose = h("select", { "aria-label": "colour cells by", onchange: () => { void paint(choose.value); note({ colour: choose.value }); } },
    ...cells.columns.map((column) => h("option", { value: column.name, selected: column.name === options.colour }, column.name)),
    ...(options.colour.startsWith("feature:") ? [h("option", { value: options.colour, selected: true }, options.colour.replace(":", " "))] : []));
  await paint(options.colour || cells.columns[0]?.name || "");
  const element = figure({
    title: options.label, name: options.name, file: cells.file, control: options.control ?? "",
    note: `${cells.method}. Places in 65,536 steps.`,
  }, options.choices === false ? h("span") : h("label", { class: "choose" }, "colour ", choose), scatter.element, legend, h("p", { class: "note" }, file));
  return { element, scatter, cells, repaint: () => void paint(choose.value) };
}

async function colouring(atlas: Atlas, cells: Cells, colour: string): Promise<(Colouring & { said: string }) | null> {
  if (colour.startsWith("feature:")) {
    const feature = Number(colour.slice(8));
    const shard = await load<FeatureShard>(`features/${feature}`);
    if (!shard.cells) return null;
    const { steps, largest, values } = shard.cells;
    const found = byAmount(await integers(values), steps, largest);
    return { ...found, said: `feature ${feature}: mean activation over a cell's ${atlas.index.tokens}, in ${steps} steps of its largest value (programs/cells.h5ad)` };
  }
  const column = cells.columns.find((one) => one.name === colour) ?? cells.columns[0];
  if (!column) return { ...byAmount(new Uint8Array(cells.n), 255), said: "nothing is known of these cells" };
  return { ...byColumn(column), said: column.levels ? "" : `${column.name}, in 255 steps` };
}

function legendOf(found: Colouring): Node[] {
  if (Array.isArray(found.legend))
    return found.legend.map(({ text, colour }) => h("span", { class: "key" }, h("i", { style: `background:${colour}` }), text));
  return [h("span", { class: "key" }, found.legend.low), h("i", { class: "ramp" }), h("span", { class: "key" }, found.legend.high)];
}

/** A table of what a card says, each fact with what stands beside it and its file. */
export function facts(some: Fact[], show: (fact: Fact) => Node | string): HTMLElement {
  return h("table", { class: "facts" }, h("tbody", {}, some.map((fact) =>
    h("tr", {}, h("th", { scope: "row" }, fact.name), h("td", {}, show(fact), fact.note && h("small", {}, ` ${fact.note}`)), h("td", {}, h("code", {}, fact.file))))));
}

/** A value of a card in words. */
export function words(value: unknown): string {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return num(value);
  if (Array.isArray(value)) return value.map((item) => (Array.isArray(item) ? `${words(item[0])} (${words(item[1])})` : words(item))).join(", ") || "–";
  return String(value);
}

/** A button that keeps a feature in a list of this browser. */
export function keepButton(feature: number): HTMLElement {
  const all = lists();
  const choose = h("select", { "aria-label": "keep in a list", onchange: () => {
    const now = lists();
    const name = choose.value === "+" ? (prompt("Name of the list") ?? "").trim() : choose.value;
    choose.value = "";
    if (!name) return;
    now[name] = [...new Set([...(now[name] ?? []), feature])];
    keep(now);
    choose.options[0]!.textContent = `kept in ${name}`;
  } }, h("option", { value: "" }, "keep in …"), Object.keys(all).map((name) => h("option", { value: name }, name)), h("option", { value: "+" }, "a new list"));
  return choose;
}

/** A small table. */
export function small(values: (string | Node)[][], header: string[]): HTMLElement {
  return h("div", { class: "scroll" }, h("table", { class: "small" }, h("thead", {}, h("tr", {}, header.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, values.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell)))))));
}
