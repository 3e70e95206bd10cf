// What the exporter writes (src/cellprism/atlas); names are those of its files.

export interface Packed {
  $: "u8" | "u16" | "u32" | "i8" | "i16" | "i32" | "f16" | "f32" | "json";
  n: number;
  z: string;
}

export interface RawColumn {
  key: string;
  name: string;
  help: string;
  file: string;
  control: string;
  form?: string;
  texts?: string[];
  values?: Packed;
}

export interface Index {
  run: string;
  version: string;
  made: string;
  model: null | {
    name: string;
    revision: string;
    licence: string;
    predicts: string;
    tokens: string;
    limits: string[];
    data: string;
  };
  place: string;
  unit: string;
  tokens: string;
  source: string;
  n: { cells: number; genes: number; features: number };
  types: Record<string, number>;
  type_names: string[];
  alpha: number;
  collection: string;
  nulls: [string, number, number, number][];
  observed: number | null;
  columns: RawColumn[];
  block: number;
  has_cells: boolean;
  recipes: { objective: string; source: string; target: string }[];
  genes: Packed;
  terms: Packed;
  absent: Record<string, string>;
  live: string;
  /** The run beside which this one stands, if any. */
  beside: null | { run: string; model: string; place: string; source: string; features: number; cells: number; draws: number };
}

export interface MatchesShard {
  /** Genes or cells of both runs. */
  shared: number;
  /** Share of features whose best match lies beyond chance; the same in draws of chance, mean and 97.5 %. */
  beyond: number;
  chance: number;
  chance_high: number;
  /** [feature near] */
  best: Packed;
  r: Packed;
  /** [other feature] */
  back: Packed;
  limit: Packed;
}

export interface BesideShard {
  labels: Packed;
  types: Packed;
  genes: MatchesShard | null;
  cells: MatchesShard | null;
}

export interface CellColumn {
  name: string;
  file: string;
  values: Packed;
  levels?: string[];
  low?: number;
  high?: number;
}

export interface CellsShard {
  n: number;
  places: { x: Packed; y: Packed; low: [number, number]; span: [number, number] };
  method: string;
  file: string;
  columns: CellColumn[];
}

export interface SketchShard {
  rows: Packed;
  features: number;
  largest: Packed;
  values: Packed;
}

export interface Fact {
  name: string;
  value: unknown;
  file: string;
  note: string;
}

export interface GeneRow {
  gene: string;
  mean?: number;
  frac?: number;
  max?: number;
  /** Correlation over cells of the feature's activation with the gene. */
  r?: number | null;
  effect?: number;
}

export interface TermRow {
  term: string;
  overlap?: number;
  set_size?: number;
  term_size?: number;
  background_size?: number;
  pvalue?: number;
  padj: number;
}

export interface Dose {
  alpha: number;
  on_target: number;
  off_target: number;
  response: number;
  edit_ratio?: number | null;
  percentile?: number | null;
}

export interface DoseEntry {
  experiment: string;
  read: string;
  file: string;
  summary: {
    status: string;
    program: string;
    judged_at?: number;
    direction?: number;
    response?: { value: number | null; difference_of_means: number | null };
    plausible?: [number, number];
    cells?: number;
    cells_firing?: number;
  };
  doses: Dose[];
  controls: number[];
  moved: { alpha: number; gene: string; effect: number; direct: number; baseline: number; on_target: boolean }[];
}

export interface FeatureShard {
  feature: number;
  label: string;
  card: { feature: number; run: string; model: string; place: string; facts: Record<string, Fact[]>; absent: Record<string, string> };
  genes: GeneRow[];
  /** Genes at whose tokens it is strongest. */
  fired: GeneRow[];
  terms: TermRow[];
  doses: DoseEntry[];
  histogram?: { silent: number; counts: number[]; edges: number[] };
  quantiles?: { name: string; cells: number; mean: number; types: [string, number, number][] }[];
  types?: [string, number, number, number, number][];
  top_cells?: [string, string, number][];
  cells?: { largest: number; steps: number; values: Packed };
  decoder?: Packed;
}

export interface GeneShard {
  gene: string;
  fires: [number, number | null, number | null, number | null, number | null][];
  moved: [number, number, number][];
  steered: [string, number, number, number, number, number][];
}

export interface TermShard {
  term: string;
  source: string;
  columns: string[];
  tested: number;
  size: number | null;
  background: number | null;
  features: (number | null)[][];
  /** The term's genes among those of the run; none where the collection was not at hand. */
  genes: string[];
  /** Of each feature, the places in `genes` of those that its list holds. */
  shared: number[][];
}

export interface RecipeShard {
  objective: string;
  source: string;
  target: string;
  read: string;
  file: string;
  columns: string[];
  rows: number[][];
  scores: { name: string; value: number | null; low: number | null; high: number | null; controls: Record<string, Record<string, number | null>> }[];
  scores_file: string;
  genes: Record<string, number | string | boolean | null>[];
  genes_file: string;
}
