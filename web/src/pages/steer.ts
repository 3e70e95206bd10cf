// Live steering: the model's own part behind the site runs in the page. Sliders in, genes, cell type and place on the map out.
import type { Atlas } from "../atlas";
import { bars } from "../charts";
import { h, num, signed } from "../dom";
import { figure } from "../figure";
import { Session, type PortableShard, type Reading } from "../live/session";
import { cellMap, featureLink, missing, small, title } from "../parts";
import { note, to, type Route } from "../state";

const LOW = -5;
const HIGH = 10;
const CONTROLS = 5;

export async function steerPage(atlas: Atlas, route: Route): Promise<Node> {
  if (atlas.index.live !== "") return h("div", {}, title("Steer live"), missing(atlas.index.live, atlas.index.live.includes("too much for a page") || atlas.index.live.includes("family") ? `cellprism view ${atlas.index.run}` : undefined));
  const session = await Session.open();
  const page = new SteerPage(atlas, session, route);
  await page.begin();
  return page.element;
}

class SteerPage {
  readonly element: HTMLElement;
  private readonly strengths = new Map<number, number>();
  private readonly sliders = h("div", { class: "sliders" });
  private readonly out = h("div", { class: "two" });
  private readonly said = h("p", { class: "note", "aria-live": "polite" });
  private readonly mapPlace = h("div");
  private map: Awaited<ReturnType<typeof cellMap>> = null;
  private base: Reading | null = null;
  private cell: number;
  private asked = 0;
  private controls: Reading[] = [];

  constructor(private readonly atlas: Atlas, private readonly session: Session, route: Route) {
    for (const [name, value] of route.query) {
      const feature = Number(name.slice(1));
      if (/^f\d+$/.test(name) && feature < atlas.index.n.features && Number.isFinite(Number(value))) this.strengths.set(feature, Number(value));
    }
    const first = [...this.strengths.keys()][0];
    const cell = Number(route.query.get("cell") ?? (first === undefined ? 0 : session.bestCell(first)));
    this.cell = session.shard.cells[cell] ? cell : 0;
    this.element = h("div", {}, this.head(), this.sliders, this.said, this.out);
  }

  private head(): HTMLElement {
    const { shard } = this.session;
    const choose = h("select", { "aria-label": "cell", onchange: () => { this.cell = Number(choose.value); note({ cell: choose.value }); void this.taken(); } },
      shard.cells.map((cell, i) => h("option", { value: i, selected: i === this.cell }, [cell.type, cell.name].filter(Boolean).join(" · "))));
    const add = h("input", { type: "number", min: 0, max: this.atlas.index.n.features - 1, placeholder: "feature", "aria-label": "add a feature" });
    const form = h("form", { class: "inline", onsubmit: (event: Event) => {
      event.preventDefault();
      const f = Number(add.value);
      if (add.value === "" || !Number.isInteger(f) || f < 0 || f >= this.atlas.index.n.features) return;
      this.strengths.set(f, this.strengths.get(f) ?? 5);
      this.changed(true);
    } }, h("label", {}, "cell ", choose), add, h("button", { type: "submit" }, "add feature"), h("button", { type: "button", onclick: () => { this.strengths.clear(); this.changed(true); } }, "none"));
    const where = shard.read === "hidden"
      ? `This model was trained to fill in genes that it cannot see, so genes are read where they are hidden: the cell passes ${shard.folds} times, each time with another part of its genes hidden, features are turned at the genes that it sees, and each gene is read in the pass that hides it. The cell's place and type are means over the passes.`
      : this.whole ? "This model reads a cell as a whole, so features are turned in the cell's own vector."
        : "This model was trained to answer at genes that it sees, so genes are read there, in one pass; a gene at whose own token the feature fires is edited directly.";
    const who = shard.asked ? "Python steers it: the server that gave out this page has the model, and answers this page alone."
      : `What runs here is the model behind the site (${this.atlas.index.place}) and the autoencoder, in your browser, with weights in ${(shard as PortableShard).precision}; the cell's state at the site was computed by Python.`;
    return title("Steer live", h("p", { class: "lead" }, `${where} ${who}`), form);
  }

  async begin(): Promise<void> {
    this.map = await cellMap(this.atlas, { colour: "", label: "Place on the map of cells", name: "steered-cell", height: 360, control: `${num(this.session.shard.reference.cells, "d")} cells; the place is the mean of the ${this.session.shard.reference.near} nearest by the model's embedding` });
    if (this.map) this.mapPlace.replaceChildren(this.map.element);
    await this.taken();
  }

  /** Whether a cell is one vector, without tokens for genes. */
  private get whole(): boolean {
    return this.atlas.index.tokens === "cells";
  }

  /** What went wrong, where one looks. */
  private wrong(error: unknown): void {
    this.said.replaceChildren(h("b", {}, "No answer: "), error instanceof Error ? error.message : String(error));
    document.body.dataset["wrong"] = this.said.textContent ?? "";
  }

  private async taken(): Promise<void> {
    this.said.textContent = "reading the cell …";
    let fires: { count: Uint32Array; total: Float32Array };
    try {
      fires = await this.session.take(this.cell);
      this.base = await this.session.steer([]);
    } catch (error) {
      return this.wrong(error);
    }
    const offered = [...fires.total.keys()].sort((a, b) => fires.total[b]! - fires.total[a]!).slice(0, 12).filter((f) => fires.total[f]! > 0);
    if (!this.strengths.size && offered[0] !== undefined) this.strengths.set(offered[0], 1);
    this.draw(offered, fires.count);
    await this.update();
  }

  private draw(offered: number[], count: Uint32Array): void {
    this.offered = offered;
    this.count = count;
    const row = ([f, strength]: [number, number]) => {
      const shown = h("output", {}, num(strength));
      const slider: HTMLInputElement = h("input", { type: "range", min: Math.min(LOW, strength), max: Math.max(HIGH, strength), step: 0.1, value: strength, "aria-label": `strength of feature ${f}`, "data-feature": f, oninput: () => {
        this.strengths.set(f, Number(slider.value));
        shown.textContent = num(Number(slider.value));
        this.changed(false);
      } });
      return h("div", { class: "slider" }, featureLink(this.atlas, f), slider, shown,
        h("small", {}, count[f] ? (this.whole ? "fires in this cell" : `fires at ${num(count[f]! / this.session.shard.folds)} genes of this cell`) : "does not fire in this cell: a strength cannot switch it on"),
        h("button", { type: "button", class: "quiet", "aria-label": `leave feature ${f} alone`, onclick: () => { this.strengths.delete(f); this.changed(true); } }, "remove"));
    };
    this.sliders.replaceChildren(h("section", { class: "figure" }, h("header", {}, h("h2", {}, "Strengths"), h("span", { class: "note" }, "1 leaves a feature alone, 0 takes it out, a negative one turns it around")),
      ...[...this.strengths].map(row),
      h("p", { class: "note" }, "strongest in this cell: ", offered.filter((f) => !this.strengths.has(f)).map((f) => h("button", { type: "button", class: "quiet", title: this.atlas.label(f), onclick: () => { this.strengths.set(f, 5); this.changed(true); } }, `+ ${f}`)))));
  }

  private offered: number[] = [];
  private count: Uint32Array = new Uint32Array(0);

  private changed(rows: boolean): void {
    const changes: Record<string, string | null> = {};
    for (const name of new URLSearchParams(location.hash.split("?")[1] ?? "").keys()) if (/^f\d+$/.test(name)) changes[name] = null;
    for (const [f, strength] of this.strengths) changes[`f${f}`] = String(strength);
    note(changes);
    if (rows) this.draw(this.offered, this.count);
    void this.update();
  }

  private running: Promise<void> | null = null;

  /** One answer at a time: while one is computed, only the last of what is asked meanwhile is kept. */
  private async update(): Promise<void> {
    const mine = ++this.asked;
    if (this.running) await this.running;
    if (mine !== this.asked || !this.base) return;
    this.running = this.answer(mine).catch((error: unknown) => this.wrong(error));
    await this.running;
    this.running = null;
  }

  private async answer(mine: number): Promise<void> {
    const strengths = [...this.strengths].filter(([, v]) => v !== 1);
    const now = await this.session.steer(strengths);
    this.controls = [];
    this.show(now);
    document.body.dataset["steered"] = JSON.stringify(strengths);
    document.body.dataset["steeredTook"] = now.took.toFixed(0);
    for (let i = 1; i <= CONTROLS && strengths.length; i++) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      if (mine !== this.asked) return;
      this.controls.push(await this.session.steer(strengths, i));
    }
    if (mine === this.asked && this.controls.length) this.show(now);
  }

  private show(now: Reading): void {
    const base = this.base as Reading;
    const { shard, python } = this.session;
    delete document.body.dataset["wrong"];
    const off = python ? base.expression.reduce((most, v, g) => Math.max(most, Math.abs(v - python.expression[g]!)), 0) : NaN;
    this.said.textContent = `${now.took.toFixed(0)} ms; the edit ${this.whole ? "" : `touches ${num(now.touched)} genes and `}is ${num(now.ratio, "%")} of the state's size.${python ? ` Unsteered, the page is within ${num(off)} of Python at every gene of this cell.` : ""}`;
    this.map?.scatter.point([...base.place, ...now.place]);
    const change = Float32Array.from(now.expression, (v, g) => v - base.expression[g]!);
    window.cellprismSteered = { genes: shard.genes, baseline: base.expression, steered: now.expression, embedding: now.embedding, types: now.types, place: now.place };
    this.out.replaceChildren(this.genes(change, base, now), h("div", {}, this.types(base, now), this.mapPlace));
  }

  private genes(change: Float32Array, base: Reading, now: Reading): HTMLElement {
    const { genes } = this.session.shard;
    if (!genes.length) return missing("This model has no decoder, so it says nothing of genes; its place and type are moved.");
    const order = [...change.keys()].filter((g) => !Number.isNaN(change[g]!) && change[g] !== 0).sort((a, b) => Math.abs(change[b]!) - Math.abs(change[a]!)).slice(0, 24);
    if (!order.length && [...this.strengths.values()].some((v) => v !== 1)) return missing("No gene moves: what is turned does not fire in this cell.");
    const control = this.controls.map((one) => one.expression.reduce((most, v, g) => Math.max(most, Math.abs(v - base.expression[g]!) || 0), 0));
    const beside = (g: number) => this.controls.reduce((sum, one) => sum + Math.abs(one.expression[g]! - base.expression[g]!), 0) / Math.max(1, this.controls.length);
    return figure({
      title: "Genes that move most", name: "steered-genes", note: `Change of what the model says of each gene${this.atlas.relative ? ", relative to 1 + counts per 10,000" : `, ${this.atlas.index.unit}`}.`,
      control: !this.strengths.size || ![...this.strengths.values()].some((v) => v !== 1) ? "nothing is turned"
        : control.length ? `${control.length} edits of the same size at the same genes along random directions: the gene that each moves most moves by ${this.atlas.change(Math.min(...control))} to ${this.atlas.change(Math.max(...control))}; grey: their mean absolute change at each gene` : "edits of the same size along random directions are computed …",
      file: `sae/ and ${this.atlas.index.model?.name ?? "the model"}, ${this.session.shard.asked ? "computed by Python" : "computed in this page"}`,
      rows: () => ({ header: ["gene", "before", "after", "change"], rows: genes.map((name, g) => [name, base.expression[g], now.expression[g], change[g]]) }),
    }, bars(order.map((g) => ({ text: genes[g] as string, value: change[g]!, ...(control.length ? { beside: Math.sign(change[g]!) * beside(g) } : {}), href: to("gene", genes[g] as string), right: this.atlas.change(change[g]), title: `${genes[g]}: ${num(base.expression[g])} → ${num(now.expression[g])}` })), "genes that move most", { right: 100, left: 90 }));
  }

  private types(base: Reading, now: Reading): HTMLElement {
    const { readout } = this.session.shard;
    if (!readout) return missing("The cells have no types, so none is read.");
    const order = now.types.map((_, k) => k).sort((a, b) => now.types[b]!.p - now.types[a]!.p);
    const beside = (k: number) => (this.controls.length ? num(this.controls.reduce((sum, one) => sum + one.types[k]!.p, 0) / this.controls.length, "%") : "…");
    return figure({
      title: "Cell type", name: "steered-type", note: "Probability of each type by a linear readout of the model's embedding.",
      control: `the readout is right for ${num(readout.accuracy, "%")} of cells that it has not seen (the most frequent type: ${num(readout.largest, "%")}); last column: mean of random directions`, file: "computed in this page",
    }, small(order.map((k) => [now.types[k]!.name, num(base.types[k]!.p, "%"), num(now.types[k]!.p, "%"), `${signed(100 * (now.types[k]!.p - base.types[k]!.p))} points`, beside(k)]), ["type", "before", "after", "change", "random"]));
  }
}

declare global {
  interface Window {
    /** The last answer, for programs and tests. */
    cellprismSteered?: { genes: string[]; baseline: Float32Array; steered: Float32Array; embedding: Float32Array; types: { name: string; p: number }[]; place: [number, number] };
  }
}
