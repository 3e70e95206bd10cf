// The run, as every page sees it: the index unpacked once, cells and sample when they are first asked for.
import { isDark, kind, ramp, rgb, word } from "./colour";
import { floats, integers, load, texts } from "./data";
import { num, signed } from "./dom";
import type { CellsShard, Index, Packed, RawColumn, SketchShard } from "./types";

export interface Column extends Omit<RawColumn, "values"> {
  values?: Float32Array;
}

export interface CellColumnData {
  name: string;
  file: string;
  values: Uint8Array | Uint16Array | Uint32Array;
  levels?: string[];
  low?: number;
  high?: number;
}

export interface Cells {
  n: number;
  x: Float32Array;
  y: Float32Array;
  method: string;
  file: string;
  columns: CellColumnData[];
  low: [number, number];
  span: [number, number];
}

export interface Sketch {
  rows: Uint32Array;
  features: number;
  values: Uint8Array;
  largest: Float32Array;
}

export interface Colouring {
  colours: Uint32Array;
  order: Uint32Array;
  legend: { text: string; colour: string }[] | { low: string; high: string };
}

export class Atlas {
  readonly columns = new Map<string, Column>();
  readonly genePlace = new Map<string, number>();
  readonly termPlace = new Map<string, number>();
  private cellsComing: Promise<Cells | null> | null = null;
  private sketchComing: Promise<Sketch> | null = null;

  private constructor(readonly index: Index, columns: Column[], readonly genes: string[], readonly terms: string[]) {
    for (const column of columns) this.columns.set(column.key, column);
    genes.forEach((name, i) => this.genePlace.set(name, i));
    terms.forEach((name, i) => this.termPlace.set(name, i));
  }

  static async open(): Promise<Atlas> {
    const index = await load<Index>("index");
    const columns = await Promise.all(
      index.columns.map(async ({ values, ...rest }): Promise<Column> => (values ? { ...rest, values: await floats(values) } : rest)),
    );
    return new Atlas(index, columns, await texts(index.genes), await texts(index.terms));
  }

  label(feature: number): string {
    return this.columns.get("label")?.texts?.[feature] ?? "";
  }

  text(key: string, feature: number): string {
    return this.columns.get(key)?.texts?.[feature] ?? "";
  }

  value(key: string, feature: number): number {
    return this.columns.get(key)?.values?.[feature] ?? NaN;
  }

  /** A field of a feature as it is shown. */
  shown(key: string, feature: number): string {
    const column = this.columns.get(key);
    if (!column) return "–";
    return column.texts ? column.texts[feature] || "–" : num(column.values?.[feature], column.form);
  }

  /** Whether changes are of log(1 + counts per 10,000), so that they are shown relative to it. */
  get relative(): boolean {
    return this.index.unit === "log(1 + counts per 10,000)";
  }

  /** A change of what the model says of a gene: in per cent, in folds from a doubling on, or as it is where it is no amount. */
  change(value: unknown): string {
    if (!this.relative || typeof value !== "number" || Number.isNaN(value)) return signed(value);
    if (Math.abs(value) >= Math.LN2) return `${num(Number(Math.exp(Math.abs(value)).toPrecision(2)))}-fold ${value > 0 ? "up" : "down"}`;
    const percent = 100 * Math.expm1(value);
    if (value !== 0 && Math.abs(percent) < 0.01) return `${value > 0 ? "+" : "\u2212"}<0.01\u00a0%`;
    return `${signed(Number(percent.toPrecision(2)))}\u00a0%`;
  }

  /** A change as it is drawn: in per cent where it is relative. */
  onAxis(value: number): number {
    return this.relative ? 100 * Math.expm1(value) : value;
  }

  cells(): Promise<Cells | null> {
    this.cellsComing ??= this.index.has_cells ? load<CellsShard>("cells").then(unpackedCells) : Promise.resolve(null);
    return this.cellsComing;
  }

  sketch(): Promise<Sketch> {
    this.sketchComing ??= load<SketchShard>("sketch").then(async (shard) => ({
      rows: (await integers(shard.rows)) as Uint32Array,
      features: shard.features,
      values: (await integers(shard.values)) as Uint8Array,
      largest: await floats(shard.largest),
    }));
    return this.sketchComing;
  }

  async cellNames(): Promise<string[]> {
    return texts(await load<Packed>("cell-names"));
  }
}

async function unpackedCells(shard: CellsShard): Promise<Cells> {
  const [x, y] = await Promise.all([shard.places.x, shard.places.y].map(integers));
  const columns = await Promise.all(shard.columns.map(async (one): Promise<CellColumnData> => ({ ...one, values: await integers(one.values) })));
  const shares = (some: ArrayLike<number>) => Float32Array.from(some, (v) => v / 65535);
  return {
    n: shard.n, x: shares(x as Uint16Array), y: shares(y as Uint16Array), method: shard.method, file: shard.file, columns,
    low: shard.places.low, span: shard.places.span,
  };
}

/** Colours of cells by what is known of them. */
export function byColumn(column: CellColumnData): Colouring {
  if (column.levels) {
    const palette = column.levels.map((_, i) => word(rgb(kind(i))));
    const colours = Uint32Array.from(column.values, (v) => palette[v] ?? word([128, 128, 128]));
    const order = Uint32Array.from(column.values, (_, i) => i);
    return { colours, order, legend: column.levels.map((text, i) => ({ text, colour: kind(i) })) };
  }
  const found = byAmount(column.values, 254);
  return { ...found, legend: { low: num(column.low), high: num(column.high) } };
}

/** Colours by whole numbers from 0 to `steps`, the largest on top; 255 of 254 steps is a missing one. */
export function byAmount(values: ArrayLike<number>, steps: number, largest = NaN): Colouring {
  const palette = ramp().map((one) => word(one));
  const none = word(isDark() ? [40, 46, 56] : [235, 237, 241]);
  const n = values.length;
  const colours = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    const v = values[i] as number;
    colours[i] = v > steps ? none : (palette[Math.round((v / steps) * 255)] as number);
  }
  return { colours, order: ranked(values, steps), legend: { low: "0", high: num(largest) } };
}

/** Points in order of their value: counted, not compared. */
function ranked(values: ArrayLike<number>, steps: number): Uint32Array {
  const start = new Uint32Array(258);
  const level = (i: number) => ((values[i] as number) > steps ? 0 : Math.min(values[i] as number, 255));
  for (let i = 0; i < values.length; i++) start[level(i) + 1] = (start[level(i) + 1] as number) + 1;
  for (let v = 1; v < 258; v++) start[v] = (start[v] as number) + (start[v - 1] as number);
  const order = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const v = level(i);
    order[start[v] as number] = i;
    start[v] = (start[v] as number) + 1;
  }
  return order;
}
