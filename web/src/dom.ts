// Elements from text alone: nothing that comes from the data is ever read as HTML.

type Child = Node | string | number | null | undefined | false | Child[];
type Attributes = Record<string, unknown>;

function fill(element: Element, attributes: Attributes, children: Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value as EventListener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
}

function append(element: Element, children: Child[]): void {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child instanceof Node) element.append(child);
    else if (child !== null && child !== undefined && child !== false) element.append(String(child));
  }
}

/** An HTML element; attributes that begin with `on` are listeners. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

/** An SVG element. */
export function s(tag: string, attributes: Attributes = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, children);
  return element;
}

/** Name the tables of a page after what stands above them, for those who hear it. */
export function nameTables(place: HTMLElement): void {
  for (const table of place.querySelectorAll<HTMLElement>("table:not([aria-label])")) {
    const above = table.closest(".figure, details")?.querySelector("h2, summary") ?? document.querySelector("main h1");
    if (above?.textContent) table.setAttribute("aria-label", above.textContent);
  }
}

export const MINUS = "\u2212";

/** A number in few digits; a dash for none. `form`: g, d, % or p. */
export function num(value: unknown, form = "g"): string {
  if (value === null || value === undefined || typeof value !== "number" || Number.isNaN(value)) return "–";
  let text: string;
  if (form === "d") text = Math.round(value).toLocaleString("en");
  else if (form === "%") text = `${(100 * value).toPrecision(Math.abs(value) < 0.1 ? 2 : 3).replace(/\.?0+$/, (z) => (z.startsWith(".") ? "" : z))}\u00a0%`;
  else if (form === "p") text = value < 1e-3 ? value.toExponential(0) : value.toPrecision(2);
  else if (value === 0) text = "0";
  else if (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3) text = value.toExponential(1);
  else text = String(Number(value.toPrecision(3)));
  return text.replace(/^-/, MINUS).replace("e-", `e${MINUS}`).replace("e+", "e");
}

/** A number with its sign. */
export function signed(value: unknown): string {
  return typeof value === "number" && value > 0 ? `+${num(value)}` : num(value);
}

/** Give the browser a file to save. */
export function save(name: string, data: Blob | string, type = "text/plain"): void {
  const url = URL.createObjectURL(data instanceof Blob ? data : new Blob([data], { type }));
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 5000);
}

/** Rows as comma-separated values; a text that a spreadsheet would compute with is marked as text. */
export function csv(header: string[], rows: (string | number | null | undefined)[][]): string {
  const cell = (value: string | number | null | undefined): string => {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [header, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}
