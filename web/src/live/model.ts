// The part of a cell model behind the site, in plain typed arrays: blocks, norm and head as in cellprism.models.aido, the autoencoder's code
// and the edit as in cellprism.equations. Sums are taken in 64 bits and kept in 32.

export interface BlockWeights {
  norm1: Norm;
  query: Linear;
  key: Linear;
  value: Linear;
  out: Linear;
  norm2: Norm;
  gate: Linear;
  up: Linear;
  down: Linear;
}

export interface Linear {
  /** [out in] */
  weight: Float32Array;
  bias: Float32Array;
}

export interface Norm {
  weight: Float32Array;
  /** None: a norm by the root mean square. */
  bias: Float32Array | null;
}

export interface Suffix {
  d: number;
  heads: number;
  eps: number;
  blocks: BlockWeights[];
  finalNorm: Norm;
  dense: Linear;
  headNorm: Norm;
  decoder: Linear;
  /** Of each gene token, where the output is a rate: bias [gene] and readout [gene d]. */
  rates: { bias: Float32Array; readout: Float32Array } | null;
}

export interface Autoencoder {
  features: number;
  d: number;
  /** [feature d] */
  encoder: Float32Array;
  encoderBias: Float32Array;
  decoder: Float32Array;
  decoderBias: Float32Array;
  k: number;
  relu: boolean;
  threshold: Float32Array | null;
  slope: Float32Array | null;
  shift: Float32Array | null;
  /** [token d] taken off each token, or one row for all, or nothing. */
  centre: Float32Array | null;
}

export interface Code {
  values: Float32Array[];
  features: Int32Array[];
}

/** y = x W^T + b for n rows. */
export function linear(x: Float32Array, n: number, { weight, bias }: Linear): Float32Array {
  const outs = bias.length;
  const ins = weight.length / outs;
  const y = new Float32Array(n * outs);
  for (let t = 0; t < n; t++) {
    const at = t * ins;
    let o = 0;
    for (; o + 3 < outs; o += 4) {
      let [s0, s1, s2, s3] = [0, 0, 0, 0];
      const w0 = o * ins;
      const [w1, w2, w3] = [w0 + ins, w0 + 2 * ins, w0 + 3 * ins];
      for (let i = 0; i < ins; i++) {
        const v = x[at + i]!;
        s0 += v * weight[w0 + i]!;
        s1 += v * weight[w1 + i]!;
        s2 += v * weight[w2 + i]!;
        s3 += v * weight[w3 + i]!;
      }
      const to = t * outs + o;
      y[to] = s0 + bias[o]!;
      y[to + 1] = s1 + bias[o + 1]!;
      y[to + 2] = s2 + bias[o + 2]!;
      y[to + 3] = s3 + bias[o + 3]!;
    }
    for (; o < outs; o++) {
      let sum = bias[o]!;
      for (let i = 0; i < ins; i++) sum += x[at + i]! * weight[o * ins + i]!;
      y[t * outs + o] = sum;
    }
  }
  return y;
}

export function norm(x: Float32Array, n: number, d: number, { weight, bias }: Norm, eps: number): Float32Array {
  const y = new Float32Array(x.length);
  for (let t = 0; t < n; t++) {
    const at = t * d;
    let mean = 0;
    if (bias) {
      for (let i = 0; i < d; i++) mean += x[at + i]!;
      mean /= d;
    }
    let square = 0;
    for (let i = 0; i < d; i++) square += (x[at + i]! - mean) ** 2;
    const scale = 1 / Math.sqrt(square / d + eps);
    for (let i = 0; i < d; i++) y[at + i] = (x[at + i]! - mean) * scale * weight[i]! + (bias ? bias[i]! : 0);
  }
  return y;
}

/** Attention of every token to every token, all heads; queries, keys and values are [token d], d divided among heads. */
export function attention(q: Float32Array, k: Float32Array, v: Float32Array, n: number, d: number, heads: number): Float32Array {
  const size = d / heads;
  const scale = 1 / Math.sqrt(size);
  const out = new Float32Array(n * d);
  const [keys, values] = [new Float32Array(n * size), new Float32Array(n * size)];
  const score = new Float64Array(n + 3);
  const sum = new Float64Array(size);
  for (let head = 0; head < heads; head++) {
    for (let j = 0; j < n; j++)
      for (let i = 0; i < size; i++) {
        keys[j * size + i] = k[j * d + head * size + i]!;
        values[j * size + i] = v[j * d + head * size + i]!;
      }
    for (let t = 0; t < n; t++) {
      scores(score, q, t * d + head * size, keys, n, size, scale);
      weighted(out, t * d + head * size, score, values, n, size, sum);
    }
  }
  return out;
}

function scores(score: Float64Array, q: Float32Array, at: number, keys: Float32Array, n: number, size: number, scale: number): void {
  let j = 0;
  for (; j + 3 < n; j += 4) {
    let [s0, s1, s2, s3] = [0, 0, 0, 0];
    const k0 = j * size;
    const [k1, k2, k3] = [k0 + size, k0 + 2 * size, k0 + 3 * size];
    for (let i = 0; i < size; i++) {
      const v = q[at + i]!;
      s0 += v * keys[k0 + i]!;
      s1 += v * keys[k1 + i]!;
      s2 += v * keys[k2 + i]!;
      s3 += v * keys[k3 + i]!;
    }
    score[j] = s0 * scale;
    score[j + 1] = s1 * scale;
    score[j + 2] = s2 * scale;
    score[j + 3] = s3 * scale;
  }
  for (; j < n; j++) {
    let s = 0;
    for (let i = 0; i < size; i++) s += q[at + i]! * keys[j * size + i]!;
    score[j] = s * scale;
  }
}

function weighted(out: Float32Array, to: number, score: Float64Array, values: Float32Array, n: number, size: number, sum: Float64Array): void {
  let most = -Infinity;
  for (let j = 0; j < n; j++) if (score[j]! > most) most = score[j]!;
  let total = 0;
  sum.fill(0);
  for (let j = 0; j < n; j++) {
    const p = Math.exp(score[j]! - most);
    total += p;
    const at = j * size;
    for (let i = 0; i < size; i++) sum[i]! += p * values[at + i]!;
  }
  for (let i = 0; i < size; i++) out[to + i] = sum[i]! / total;
}

/** The residual stream after one block. */
export function block(x: Float32Array, n: number, d: number, heads: number, eps: number, w: BlockWeights): Float32Array {
  const y = norm(x, n, d, w.norm1, eps);
  const a = linear(attention(linear(y, n, w.query), linear(y, n, w.key), linear(y, n, w.value), n, d, heads), n, w.out);
  const z = new Float32Array(x.length);
  for (let i = 0; i < x.length; i++) z[i] = x[i]! + a[i]!;
  const y2 = norm(z, n, d, w.norm2, eps);
  const [gate, up] = [linear(y2, n, w.gate), linear(y2, n, w.up)];
  for (let i = 0; i < gate.length; i++) gate[i] = (gate[i]! / (1 + Math.exp(-gate[i]!))) * up[i]!;
  const down = linear(gate, n, w.down);
  for (let i = 0; i < z.length; i++) z[i]! += down[i]!;
  return z;
}

export interface Output {
  /** [gene token], in the order of tokens. */
  expression: Float32Array;
  embedding: Float32Array;
}

/** The rest of the forward pass from the residual stream at the site: predictions at gene tokens (the first ones of the row), and the mean of
 * the final state over tokens that are open. */
export function resume(model: Suffix, residual: Float32Array, n: number, genes: number, open: Uint8Array): Output {
  const { d, eps } = model;
  let x = residual;
  for (const weights of model.blocks) x = block(x, n, d, model.heads, eps, weights);
  const last = norm(x, n, d, model.finalNorm, eps);
  const embedding = new Float64Array(d);
  let count = 0;
  for (let t = 0; t < n; t++) {
    if (!open[t]) continue;
    count++;
    for (let i = 0; i < d; i++) embedding[i]! += last[t * d + i]!;
  }
  const dense = linear(last.subarray(0, genes * d), genes, model.dense);
  for (let i = 0; i < dense.length; i++) dense[i] = gelu(dense[i]!);
  const said = linear(norm(dense, genes, d, model.headNorm, eps), genes, model.decoder);
  if (model.rates) rate(said, x, genes, d, model.rates);
  return { expression: said, embedding: Float32Array.from(embedding, (v) => v / Math.max(1, count)) };
}

function rate(said: Float32Array, x: Float32Array, genes: number, d: number, { bias, readout }: { bias: Float32Array; readout: Float32Array }): void {
  for (let g = 0; g < genes; g++) {
    let own = said[g]! + bias[g]!;
    for (let i = 0; i < d; i++) own += x[g * d + i]! * readout[g * d + i]!;
    said[g] = own > 20 ? own : Math.log1p(Math.exp(own));
  }
}

export function gelu(x: number): number {
  return 0.5 * x * (1 + erf(x / Math.SQRT2));
}

/** By its series near 0, by the continued fraction of its complement far from it; to about 1e-15. */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let [term, sum] = [x, x];
    for (let n = 1; n < 60; n++) {
      term *= (-x * x) / n;
      const part = term / (2 * n + 1);
      sum += part;
      if (Math.abs(part) < 1e-17) break;
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 40; n > 0; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / (Math.sqrt(Math.PI) * (z + fraction)));
}

/** Which features fire at each open token, and how strongly. */
export function encode(sae: Autoencoder, x: Float32Array, n: number, open: Uint8Array): Code {
  const { d, features, encoder } = sae;
  const values: Float32Array[] = [];
  const chosen: Int32Array[] = [];
  const y = new Float32Array(d);
  const h = new Float32Array(features);
  const centred = sae.centre && sae.centre.length > d;
  for (let t = 0; t < n; t++) {
    if (!open[t]) {
      values.push(new Float32Array(0));
      chosen.push(new Int32Array(0));
      continue;
    }
    for (let i = 0; i < d; i++) y[i] = x[t * d + i]! - (sae.centre ? sae.centre[centred ? t * d + i : i]! : 0) - sae.decoderBias[i]!;
    for (let f = 0; f < features; f++) {
      let sum = 0;
      const at = f * d;
      for (let i = 0; i < d; i++) sum += y[i]! * encoder[at + i]!;
      h[f] = sum + sae.encoderBias[f]!;
    }
    const [v, f] = sae.threshold ? above(h, sae) : largest(h, sae.k, sae.relu);
    values.push(v);
    chosen.push(f);
  }
  return { values, features: chosen };
}

function largest(h: Float32Array, k: number, relu: boolean): [Float32Array, Int32Array] {
  const values = new Float32Array(k).fill(-Infinity);
  const features = new Int32Array(k);
  for (let f = 0; f < h.length; f++) {
    const v = h[f]!;
    if (v <= values[k - 1]!) continue;
    let at = k - 1;
    for (; at > 0 && values[at - 1]! < v; at--) [values[at], features[at]] = [values[at - 1]!, features[at - 1]!];
    [values[at], features[at]] = [v, f];
  }
  if (relu) for (let i = 0; i < k; i++) values[i] = Math.max(0, values[i]!);
  return [values, features];
}

function above(h: Float32Array, sae: Autoencoder): [Float32Array, Int32Array] {
  const features: number[] = [];
  for (let f = 0; f < h.length; f++) if (h[f]! > sae.threshold![f]!) features.push(f);
  const { slope, shift } = sae;
  return [Float32Array.from(features, (f) => (slope && shift ? Math.max(0, h[f]! * slope[f]! + shift[f]!) : h[f]!)), Int32Array.from(features)];
}

/** What strengths add to each token: ((alpha - 1) z) W_dec. Tokens at which nothing changes are left out. */
export function delta(sae: Autoencoder, code: Code, strengths: Map<number, number>): Map<number, Float64Array> {
  const found = new Map<number, Float64Array>();
  code.features.forEach((features, t) => {
    for (let j = 0; j < features.length; j++) {
      const alpha = strengths.get(features[j]!);
      const weight = ((alpha ?? 1) - 1) * code.values[t]![j]!;
      if (weight === 0) continue;
      const sum = found.get(t) ?? new Float64Array(sae.d);
      for (let i = 0; i < sae.d; i++) sum[i]! += weight * sae.decoder[features[j]! * sae.d + i]!;
      found.set(t, sum);
    }
  });
  return found;
}
