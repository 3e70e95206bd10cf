// What a worker is asked of a model: to take it, to take the rows of a cell, to steer them.
import { delta, encode, resume, type Autoencoder, type Code, type Suffix } from "./model";

export interface CellRows {
  /** Of each row: the residual stream [token d], and which tokens are open. */
  rows: { x: Float32Array; open: Uint8Array }[];
  tokens: number;
  genes: number;
}

export interface RowOutput {
  expression: Float32Array;
  embedding: Float32Array;
  /** Squared norms over open tokens. */
  edit: number;
  residual: number;
  /** Tokens that the edit touches. */
  touched: number;
}

export interface Steered {
  rows: RowOutput[];
  took: number;
}

let model: Suffix | null = null;
let sae: Autoencoder | null = null;
let cell: CellRows | null = null;
let codes: Code[] = [];

export function liveModel(given: { model: Suffix; sae: Autoencoder }): boolean {
  ({ model, sae } = given);
  return true;
}

/** Read a cell: its code. Returns how often, and how strongly in all, each feature fires in it. */
export function liveCell(given: CellRows): { count: Uint32Array; total: Float32Array } {
  cell = given;
  codes = given.rows.map((row) => encode(sae!, row.x, given.tokens, row.open));
  const count = new Uint32Array(sae!.features);
  const total = new Float32Array(sae!.features);
  for (const code of codes)
    code.features.forEach((features, t) => {
      for (let j = 0; j < features.length; j++) {
        if (!code.values[t]![j]) continue;
        count[features[j]!]!++;
        total[features[j]!]! += code.values[t]![j]!;
      }
    });
  return { count, total };
}

/** Steer the cell that was read. With `control`, every change of a token is turned into one random direction, its size kept. */
export function liveSteer(given: { strengths: [number, number][]; control: number }): Steered {
  const began = performance.now();
  const { rows, tokens, genes } = cell!;
  const strengths = new Map(given.strengths);
  const turned = given.control ? direction(sae!.d, given.control) : null;
  const out = rows.map((row, i): RowOutput => {
    const change = delta(sae!, codes[i]!, strengths);
    const x = row.x.slice();
    let edit = 0;
    for (const [t, sum] of change) {
      const size = sum.reduce((a, v) => a + v * v, 0);
      edit += size;
      for (let k = 0; k < sum.length; k++) x[t * sum.length + k]! += turned ? Math.sqrt(size) * turned[k]! : sum[k]!;
    }
    return { ...resume(model!, x, tokens, genes, row.open), edit, residual: squared(row.x, row.open, sae!.d), touched: change.size };
  });
  return { rows: out, took: performance.now() - began };
}

function squared(x: Float32Array, open: Uint8Array, d: number): number {
  let sum = 0;
  for (let t = 0; t < open.length; t++) if (open[t]) for (let i = 0; i < d; i++) sum += x[t * d + i]! ** 2;
  return sum;
}

/** A direction at random, of length 1. */
function direction(d: number, seed: number): Float64Array {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0;
  const random = () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) / 4294967296;
  };
  const found = Float64Array.from({ length: d }, () => Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random()));
  const size = Math.sqrt(found.reduce((a, v) => a + v * v, 0));
  return found.map((v) => v / size);
}
