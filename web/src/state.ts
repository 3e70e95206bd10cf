// What is shown stands in the address, behind the #: a link is what one sees.

export interface Route {
  page: string;
  args: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").filter(Boolean).map(unescaped);
  return { page: parts[0] ?? "overview", args: parts.slice(1), query: new URLSearchParams(query) };
}

function unescaped(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a stray per cent sign
  }
}

export function current(): Route {
  return parse(location.hash);
}

/** The address of a page. */
export function to(page: string, ...args: (string | number)[]): string {
  return `#/${[page, ...args].map((part) => encodeURIComponent(String(part))).join("/")}`;
}

/** Change what stands behind the ?; nothing is drawn again by this. null takes a name out. */
export function note(changes: Record<string, string | null>): void {
  const { query } = current();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const path = location.hash.split("?")[0] || "#/overview";
  const text = query.toString();
  history.replaceState(null, "", text ? `${path}?${text}` : path);
}

const KEY = "cellprism-lists";

/** Lists of features that one keeps, by name; they stay in this browser. */
export function lists(): Record<string, number[]> {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    if (typeof found !== "object" || found === null) return {};
    return Object.fromEntries(
      Object.entries(found).map(([name, some]) => [name, Array.isArray(some) ? some.filter(Number.isInteger) : []]),
    );
  } catch {
    return {};
  }
}

export function keep(all: Record<string, number[]>): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(all));
  } catch {
    // private windows keep nothing; the address of the list still holds it
  }
}
