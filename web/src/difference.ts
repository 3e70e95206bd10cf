// Which features differ between some cells and the others, in the sample of cells that has all features: what is seen, and what chance gives.

export interface Difference {
  /** [feature] mean inside minus mean outside, in standard deviations over the sample. */
  d: Float32Array;
  inside: Float32Array;
  outside: Float32Array;
}

export interface Chance {
  draws: number;
  /** [feature] share of draws of as many cells at random that differ as much. */
  p: Float32Array;
  /** What the most different feature of a draw exceeds once in twenty draws. */
  limit: number;
  /** [feature] share of regions of the map, of as many cells, that differ as much. */
  regions: Float32Array;
  regionDraws: number;
}

export interface Totals {
  sum: Float64Array;
  spread: Float64Array;
}

export function totals(values: Uint8Array, features: number): Totals {
  const n = values.length / features;
  const sum = new Float64Array(features);
  const square = new Float64Array(features);
  for (let i = 0, at = 0; i < n; i++)
    for (let f = 0; f < features; f++, at++) {
      const v = values[at] as number;
      sum[f]! += v;
      square[f]! += v * v;
    }
  const spread = square.map((total, f) => Math.sqrt(Math.max(0, total / n - (sum[f]! / n) ** 2)));
  return { sum, spread };
}

/** `rows`: which cells of the sample are inside. */
export function difference(values: Uint8Array, features: number, rows: ArrayLike<number>, all: Totals): Difference {
  const n = values.length / features;
  const part = new Float64Array(features);
  for (let r = 0; r < rows.length; r++) {
    const at = (rows[r] as number) * features;
    for (let f = 0; f < features; f++) part[f]! += values[at + f] as number;
  }
  const m = rows.length;
  const d = new Float32Array(features);
  const inside = new Float32Array(features);
  const outside = new Float32Array(features);
  for (let f = 0; f < features; f++) {
    inside[f] = part[f]! / m;
    outside[f] = (all.sum[f]! - part[f]!) / Math.max(1, n - m);
    d[f] = all.spread[f]! > 1e-9 ? (inside[f]! - outside[f]!) / all.spread[f]! : 0;
  }
  return { d, inside, outside };
}

const WORK = 2.5e9; // additions that the draws may take

/** Cells dealt out at random, and regions of as many cells around cells at random. `random`: from 0 to 1. */
export function chance(
  values: Uint8Array, features: number, rows: ArrayLike<number>, all: Totals, x: Float32Array, y: Float32Array, random: () => number,
): Chance {
  const n = values.length / features;
  const m = rows.length;
  const seen = difference(values, features, rows, all).d;
  const draws = Math.max(39, Math.min(199, Math.floor(WORK / (m * features * 1.5))));
  const regionDraws = Math.min(99, draws);
  const [beyond, largest] = counted(draws, seen, features, () => dealt(n, m, random), values, all);
  const [near] = counted(regionDraws, seen, features, () => region(x, y, m, random), values, all);
  largest.sort((a, b) => a - b);
  return {
    draws, regionDraws,
    p: Float32Array.from(beyond, (count) => (1 + count) / (1 + draws)),
    limit: largest[Math.min(draws - 1, Math.ceil(0.95 * draws) - 1)] as number,
    regions: Float32Array.from(near, (count) => count / regionDraws),
  };
}

function counted(draws: number, seen: Float32Array, features: number, some: () => Uint32Array, values: Uint8Array, all: Totals): [Uint32Array, number[]] {
  const beyond = new Uint32Array(features);
  const largest: number[] = [];
  for (let draw = 0; draw < draws; draw++) {
    const { d } = difference(values, features, some(), all);
    let most = 0;
    for (let f = 0; f < features; f++) {
      const size = Math.abs(d[f] as number);
      if (size >= Math.abs(seen[f] as number)) beyond[f]!++;
      if (size > most) most = size;
    }
    largest.push(most);
  }
  return [beyond, largest];
}

/** [kind feature] mean activation of each feature in the cells of each kind, in standard deviations from the mean cell. */
export function kindMeans(values: Uint8Array, features: number, kinds: ArrayLike<number>, count: number, all: Totals): Float32Array {
  const n = values.length / features;
  const sums = new Float64Array(count * features);
  const cells = new Float64Array(count);
  for (let i = 0; i < n; i++) {
    const kind = kinds[i] as number;
    if (kind >= count) continue;
    cells[kind]!++;
    for (let f = 0; f < features; f++) sums[kind * features + f]! += values[i * features + f] as number;
  }
  return Float32Array.from(sums, (sum, at) => {
    const [kind, f] = [Math.floor(at / features), at % features];
    return cells[kind] && all.spread[f]! > 1e-9 ? (sum / cells[kind]! - all.sum[f]! / n) / all.spread[f]! : 0;
  });
}

export interface KindChance {
  draws: number;
  /** [kind] mean over the chosen features of their means in the kind. */
  seen: Float32Array;
  /** [kind] share of draws of as many features at random, and of regions of the map of features, that lie as far from 0. */
  p: Float32Array;
  regions: Float32Array;
}

/** In which kinds of cells some features are strong, beside as many at random and beside regions of as many on their map. */
export function kindChance(
  means: Float32Array, features: number, chosen: ArrayLike<number>, x: Float32Array, y: Float32Array, random: () => number, draws = 199,
): KindChance {
  const kinds = means.length / features;
  const average = (some: ArrayLike<number>) =>
    Float32Array.from({ length: kinds }, (_, kind) => {
      let sum = 0;
      for (let i = 0; i < some.length; i++) sum += means[kind * features + (some[i] as number)] as number;
      return sum / some.length;
    });
  const seen = average(chosen);
  const beyond = (draw: () => Uint32Array) => {
    const count = new Float32Array(kinds);
    for (let i = 0; i < draws; i++) average(draw()).forEach((v, kind) => { if (Math.abs(v) >= Math.abs(seen[kind] as number)) count[kind]!++; });
    return count;
  };
  return {
    draws, seen,
    p: beyond(() => dealt(features, chosen.length, random)).map((count) => (1 + count) / (1 + draws)),
    regions: beyond(() => region(x, y, chosen.length, random)).map((count) => count / draws),
  };
}

function dealt(n: number, m: number, random: () => number): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = 0; i < m; i++) {
    const j = i + Math.floor(random() * (n - i));
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order.subarray(0, m);
}

/** The m cells nearest, on the map, to a cell at random. */
export function region(x: Float32Array, y: Float32Array, m: number, random: () => number): Uint32Array {
  const middle = Math.floor(random() * x.length);
  const far = Float32Array.from(x, (v, i) => (v - (x[middle] as number)) ** 2 + ((y[i] as number) - (y[middle] as number)) ** 2);
  return Uint32Array.from({ length: x.length }, (_, i) => i).sort((a, b) => (far[a] as number) - (far[b] as number)).subarray(0, m);
}

/** Numbers from 0 to 1 from a seed (mulberry32): the same lasso gives the same draws. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
