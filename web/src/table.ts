// A table of any length: only the rows in sight are in the page. Sorted by any column, filtered by words and by numbers.
import { csv, h, num, save } from "./dom";

export interface TableColumn {
  key: string;
  name: string;
  title?: string;
  form?: string | undefined;
  width?: number;
  text?: (row: number) => string;
  value?: (row: number) => number;
  show?: (row: number) => Node | string;
}

export interface TableOptions {
  columns: TableColumn[];
  rows: number;
  name: string;
  label: string;
  height?: number;
  sort?: string;
  filter?: string;
  /** What words are looked for in, beside the texts of the columns. */
  words?: (row: number) => string;
  placeholder?: string;
  onchange?: (state: { sort: string; filter: string }) => void;
  among?: ((row: number) => boolean) | undefined;
}

const LINE = 27;

export class Table {
  readonly element: HTMLElement;
  private readonly body = h("tbody");
  private readonly box: HTMLElement;
  private readonly count = h("span", { class: "count", "aria-live": "polite" });
  private readonly heads = new Map<string, HTMLElement>();
  private order: Uint32Array = new Uint32Array(0);
  private sort: string;
  private filter: string;
  private first = -1;

  constructor(private readonly options: TableOptions) {
    this.sort = options.sort ?? "";
    this.filter = options.filter ?? "";
    const head = h("tr", {}, options.columns.map((column) => this.head(column)));
    this.box = h("div", { class: "rows", tabindex: 0, role: "region", "aria-label": options.label, style: `max-height:${options.height ?? 480}px`, onscroll: () => this.draw() },
      h("table", {}, h("colgroup", {}, options.columns.map((c) => h("col", { style: `width:${c.width ?? 90}px` }))), h("thead", {}, head), this.body));
    this.element = h("div", { class: "table" }, this.bar(), this.box);
    this.change();
  }

  private bar(): HTMLElement {
    const field = h("input", {
      type: "search", value: this.filter, placeholder: this.options.placeholder ?? "filter: words, or padj<0.01 grade=A",
      "aria-label": `filter ${this.options.label}`,
      oninput: () => { this.filter = field.value; this.change(); },
    });
    return h("div", { class: "bar" }, field, this.count, h("span", { class: "spacer" }),
      h("button", { type: "button", class: "quiet", onclick: () => this.save() }, "CSV"));
  }

  private head(column: TableColumn): HTMLElement {
    const made = h("th", { scope: "col", class: column.text ? "text" : "number" },
      h("button", { type: "button", title: column.title ?? "", onclick: () => this.by(column.key) }, column.name));
    this.heads.set(column.key, made);
    return made;
  }

  private by(key: string): void {
    const numeric = this.options.columns.find((column) => column.key === key)?.value !== undefined;
    const first = numeric ? `-${key}` : key;
    this.sort = this.sort === first ? (numeric ? key : `-${key}`) : first;
    this.change();
  }

  /** Choose rows anew, after something outside has changed. */
  change(): void {
    const { columns, rows, among } = this.options;
    const some = (passes: (row: number) => boolean) => [...Array(rows).keys()].filter((row) => (!among || among(row)) && passes(row));
    const together = some(predicate(this.filter, this.options, true));
    const found = together.length ? together : some(predicate(this.filter, this.options, false));
    const down = this.sort.startsWith("-");
    const column = columns.find((one) => one.key === this.sort.replace(/^-/, ""));
    if (column) found.sort(compare(column, down ? -1 : 1));
    this.order = Uint32Array.from(found);
    for (const [key, head] of this.heads) head.setAttribute("aria-sort", key !== column?.key ? "none" : down ? "descending" : "ascending");
    this.count.textContent = found.length === rows ? num(rows, "d") : `${num(found.length, "d")} of ${num(rows, "d")}`;
    this.first = -1;
    this.box.scrollTop = 0;
    this.draw();
    this.options.onchange?.({ sort: this.sort, filter: this.filter });
  }

  /** The rows that are shown, in their order. */
  get chosen(): Uint32Array {
    return this.order;
  }

  private draw(): void {
    const shown = Math.ceil((this.options.height ?? 480) / LINE) + 12;
    const first = Math.max(0, Math.min(Math.floor(this.box.scrollTop / LINE) - 6, this.order.length - shown));
    if (first === this.first) return;
    this.first = first;
    const some = this.order.subarray(first, first + shown);
    const space = (lines: number) => h("tr", { class: "space", "aria-hidden": "true", style: `height:${lines * LINE}px` });
    this.body.replaceChildren(space(first), ...[...some].map((row) => this.line(row)), space(Math.max(0, this.order.length - first - some.length)));
  }

  private line(row: number): HTMLElement {
    return h("tr", {}, this.options.columns.map((column) => {
      const shown = column.show?.(row) ?? column.text?.(row) ?? num(column.value?.(row), column.form);
      return h("td", { class: column.text ? "text" : "number", title: column.text?.(row) ?? null }, shown);
    }));
  }

  private save(): void {
    const { columns, name } = this.options;
    const cell = (column: TableColumn, row: number) => column.text?.(row) ?? column.value?.(row);
    save(`${name}.csv`, csv(columns.map((c) => c.key), [...this.order].map((row) => columns.map((c) => cell(c, row)))), "text/csv");
  }
}

function compare(column: TableColumn, way: number): (a: number, b: number) => number {
  const { value, text } = column;
  if (value)
    return (a, b) => {
      const [va, vb] = [value(a), value(b)];
      if (Number.isNaN(va) || Number.isNaN(vb)) return Number(Number.isNaN(va)) - Number(Number.isNaN(vb)) || a - b;
      return way * (va - vb) || a - b;
    };
  return (a, b) => way * (text?.(a) ?? "").localeCompare(text?.(b) ?? "") || a - b;
}

/** Comparisons such as `padj<0.01` or `grade=A`, and words that must all occur: `together`, as they stand, or each somewhere. */
function predicate(filter: string, options: TableOptions, together: boolean): (row: number) => boolean {
  const texts = options.columns.filter((one) => one.text);
  const has = (said: string) => {
    const word = said.toLowerCase();
    return (row: number) => texts.some((one) => one.text!(row).toLowerCase().includes(word)) || (options.words?.(row).toLowerCase().includes(word) ?? false);
  };
  const phrase: string[] = [];
  const tests = filter.trim().split(/\s+/).filter(Boolean).flatMap((part): ((row: number) => boolean)[] => {
    const [, key, sign, wanted] = /^(\w[\w ]*?)(<=|>=|<|>|=)(\S+)$/.exec(part) ?? [];
    const column = options.columns.find((one) => one.key.toLowerCase() === key?.toLowerCase());
    if (column && wanted !== undefined) {
      const limit = Number(wanted);
      if (column.value && !Number.isNaN(limit)) {
        const test = { "<": (v: number) => v < limit, ">": (v: number) => v > limit, "=": (v: number) => v === limit, "<=": (v: number) => v <= limit, ">=": (v: number) => v >= limit }[sign as "<"];
        return [(row) => test(column.value!(row))];
      }
      if (column.text) return [(row) => column.text!(row).toLowerCase() === wanted.toLowerCase()];
    }
    phrase.push(part);
    return [];
  });
  if (phrase.length) tests.push(...(together ? [phrase.join(" ")] : phrase).map(has));
  return (row) => tests.every((test) => test(row));
}
