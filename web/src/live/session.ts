// The model in the page: taken once, a cell at a time, its passes shared among workers.
import { floats, integers, load } from "../data";
import type { Packed } from "../types";
import { ask } from "../work";
import { askServer, type Answer } from "./server";
import type { Autoencoder, Linear, Norm, Suffix } from "./model";
import type { Steered } from "./tasks";

/** What every model that is steered has. */
export interface LiveShard {
  /** Python's server is asked; without it the page computes. */
  asked?: boolean;
  config: { d: number };
  sae: { features: number };
  tokens: number;
  genes: string[];
  read: string;
  folds: number;
  readout: null | { names: string[]; arrays: Record<"weight" | "bias", Packed>; accuracy: number; largest: number; cells: number };
  reference: { arrays: Record<"embedding" | "mean" | "scale" | "x" | "y", Packed>; near: number; cells: number };
  cells: { name: string; type: string; row: number }[];
  /** [cell feature] how much each feature fires: tokens, or steps of its strength. */
  fires: Packed;
}

/** And one that the page runs itself. */
export interface PortableShard extends LiveShard {
  config: { d: number; heads: number; eps: number; norm: string; blocks: number; rates: boolean };
  weights: Record<string, Packed>;
  sae: { features: number; k: number | null; relu: boolean; arrays: Record<string, Packed> };
  precision: string;
}

interface CellShard {
  x: Packed;
  open: Packed;
  fold: Packed | null;
  expression: Packed;
  embedding: Packed;
}

export interface Reading {
  expression: Float32Array;
  embedding: Float32Array;
  /** Size of the edit over that of the residual stream, root mean square over passes. */
  ratio: number;
  touched: number;
  types: { name: string; p: number }[];
  place: [number, number];
  /** Milliseconds, from asking to the answer. */
  took: number;
}

type Arrays = Record<string, Float32Array>;

export class Session {
  private fold: Uint8Array | null = null;
  private share = 1;
  private fires: Uint16Array = new Uint16Array(0);
  /** What Python's own pass gives for the cell as it is. */
  python: { expression: Float32Array; embedding: Float32Array } | null = null;
  private cell = 0;
  private fired: Answer["fires"] = [];
  private static coming: Promise<Session> | null = null;

  private constructor(readonly shard: LiveShard, private readonly reference: Arrays, private readonly readout: Arrays | null, private readonly workers: number) {}

  static open(): Promise<Session> {
    Session.coming ??= Session.make();
    Session.coming.catch(() => (Session.coming = null));
    return Session.coming;
  }

  private static async make(): Promise<Session> {
    const shard = await load<LiveShard>("live/model");
    const workers = shard.asked ? 0 : Math.max(1, Math.min(shard.folds, navigator.hardwareConcurrency || 2, 4));
    if (!shard.asked) {
      const whole = shard as PortableShard;
      const given = { model: suffix(whole, await unpacked(whole.weights)), sae: autoencoder(whole, await unpacked(whole.sae.arrays)) };
      await Promise.all(Array.from({ length: workers }, (_, i) => ask("live-model", given, i)));
    }
    const session = new Session(shard, await unpacked(shard.reference.arrays), shard.readout && (await unpacked(shard.readout.arrays)), workers);
    session.fires = (await integers(shard.fires)) as Uint16Array;
    return session;
  }

  /** Of the cells that are here, the one in which a feature fires at most genes. */
  bestCell(feature: number): number {
    const count = (cell: number) => this.fires[cell * this.shard.sae.features + feature]!;
    return this.shard.cells.reduce((best, _, cell) => (count(cell) > count(best) ? cell : best), 0);
  }

  /** Take a cell; returns how often each feature fires in it, and how strongly in all. */
  async take(i: number): Promise<{ count: Uint32Array; total: Float32Array }> {
    this.cell = i;
    if (this.shard.asked) {
      await this.steer([]);
      const found = { count: new Uint32Array(this.shard.sae.features), total: new Float32Array(this.shard.sae.features) };
      for (const [f, count, total] of this.fired) [found.count[f], found.total[f]] = [count, total];
      return found;
    }
    const cell = await load<CellShard>(`live/cell-${i}`);
    const { tokens, genes, folds, config } = this.shard;
    const [x, open] = [await floats(cell.x), (await integers(cell.open)) as Uint8Array];
    this.fold = cell.fold ? ((await integers(cell.fold)) as Uint8Array) : null;
    this.python = { expression: await floats(cell.expression), embedding: await floats(cell.embedding) };
    const size = tokens * config.d;
    const rows = Array.from({ length: folds }, (_, r) => ({ x: x.slice(r * size, (r + 1) * size), open: open.slice(r * tokens, (r + 1) * tokens) }));
    this.share = Math.ceil(folds / this.workers);
    const parts = await Promise.all(this.parts().map(([from, till], w) => ask<{ count: Uint32Array; total: Float32Array }>("live-cell", { rows: rows.slice(from, till), tokens, genes: genes.length }, w)));
    const first = parts[0]!;
    for (const part of parts.slice(1)) for (let f = 0; f < first.count.length; f++) [first.count[f], first.total[f]] = [first.count[f]! + part.count[f]!, first.total[f]! + part.total[f]!];
    return first;
  }

  private parts(): [number, number][] {
    const found: [number, number][] = [];
    for (let from = 0; from < this.shard.folds; from += this.share) found.push([from, Math.min(this.shard.folds, from + this.share)]);
    return found;
  }

  /** What the model says of the cell when features have these strengths; `control`: the number of a random direction, 0 for none. */
  async steer(strengths: [number, number][], control = 0): Promise<Reading> {
    const began = performance.now();
    if (this.shard.asked) {
      const found = await askServer({ cell: this.cell, strengths, control });
      this.fired = found.fires;
      const [expression, embedding] = [found.expression, found.embedding].map((some) => Float32Array.from(some, (v) => v ?? NaN)) as [Float32Array, Float32Array];
      return this.reading(expression, embedding, found.edit / found.residual, found.touched / this.shard.folds, began);
    }
    const parts = await Promise.all(this.parts().map((_, w) => ask<Steered>("live-steer", { strengths, control }, w)));
    const rows = parts.flatMap((part) => part.rows);
    const genes = this.shard.genes.length;
    const expression = Float32Array.from({ length: genes }, (_, g) => rows[this.fold ? this.fold[g]! : 0]!.expression[g]!);
    const embedding = Float32Array.from({ length: this.shard.config.d }, (_, i) => rows.reduce((sum, row) => sum + row.embedding[i]!, 0) / rows.length);
    const edit = rows.reduce((sum, row) => sum + row.edit, 0);
    const residual = rows.reduce((sum, row) => sum + row.residual, 0);
    return this.reading(expression, embedding, edit / residual, rows.reduce((sum, row) => sum + row.touched, 0) / rows.length, began);
  }

  /** `share`: of the squared size of the residual stream. */
  private reading(expression: Float32Array, embedding: Float32Array, share: number, touched: number, began: number): Reading {
    return { expression, embedding, ratio: Math.sqrt(share), touched, types: this.types(embedding), place: this.place(embedding), took: performance.now() - began };
  }

  private standard(embedding: Float32Array): Float64Array {
    return Float64Array.from(embedding, (v, i) => (v - this.reference["mean"]![i]!) / this.reference["scale"]![i]!);
  }

  /** Probabilities of cell types by the linear readout. */
  private types(embedding: Float32Array): { name: string; p: number }[] {
    if (!this.readout || !this.shard.readout) return [];
    const z = this.standard(embedding);
    const { weight, bias } = this.readout as { weight: Float32Array; bias: Float32Array };
    const score = Array.from(bias, (b, k) => z.reduce((sum, v, i) => sum + v * weight[k * z.length + i]!, b));
    const most = Math.max(...score);
    const odds = score.map((v) => Math.exp(v - most));
    const total = odds.reduce((a, b) => a + b, 0);
    return this.shard.readout.names.map((name, k) => ({ name, p: odds[k]! / total }));
  }

  /** Place on the map of cells: mean of the nearest reference cells, weighted by one over the squared distance. */
  private place(embedding: Float32Array): [number, number] {
    const z = this.standard(embedding);
    const { embedding: others, x, y } = this.reference as { embedding: Float32Array; x: Float32Array; y: Float32Array };
    const far = Float64Array.from(x, (_, c) => z.reduce((sum, v, i) => sum + (v - others[c * z.length + i]!) ** 2, 0));
    const near = Uint32Array.from(far.keys()).sort((a, b) => far[a]! - far[b]!).subarray(0, this.shard.reference.near);
    let [sx, sy, total] = [0, 0, 0];
    for (const c of near) {
      const weight = 1 / Math.max(far[c]!, 1e-9);
      [sx, sy, total] = [sx + weight * x[c]!, sy + weight * y[c]!, total + weight];
    }
    return [sx / total, sy / total];
  }
}

async function unpacked(packed: Record<string, Packed>): Promise<Arrays> {
  return Object.fromEntries(await Promise.all(Object.entries(packed).map(async ([name, one]) => [name, await floats(one)] as const)));
}

function suffix(shard: PortableShard, w: Arrays): Suffix {
  const { d, heads, eps, blocks, rates } = shard.config;
  const linear = (name: string): Linear => ({ weight: w[`${name}.weight`]!, bias: w[`${name}.bias`]! });
  const norm = (name: string): Norm => ({ weight: w[`${name}.weight`]!, bias: w[`${name}.bias`] ?? null });
  return {
    d, heads, eps, finalNorm: norm("final_norm"), dense: linear("head.dense"), headNorm: norm("head.norm"), decoder: linear("head.decoder"),
    rates: rates ? { bias: w["rates.bias"]!, readout: w["rates.readout"]! } : null,
    blocks: Array.from({ length: blocks }, (_, b) => ({
      norm1: norm(`blocks.${b}.norm1`), query: linear(`blocks.${b}.query`), key: linear(`blocks.${b}.key`), value: linear(`blocks.${b}.value`),
      out: linear(`blocks.${b}.out`), norm2: norm(`blocks.${b}.norm2`), gate: linear(`blocks.${b}.gate`), up: linear(`blocks.${b}.up`), down: linear(`blocks.${b}.down`),
    })),
  };
}

function autoencoder(shard: PortableShard, a: Arrays): Autoencoder {
  const { features, k, relu } = shard.sae;
  return {
    features, d: shard.config.d, encoder: a["encoder"]!, encoderBias: a["b_enc"]!, decoder: a["W_dec"]!, decoderBias: a["b_dec"]!, k: k ?? 0, relu,
    threshold: a["threshold"] ?? null, slope: a["slope"] ?? null, shift: a["shift"] ?? null, centre: a["centre"] ?? null,
  };
}
