// Search over all genes, terms, features and cell types; a name that is exactly what was typed comes first.
import type { Atlas } from "./atlas";
import { h } from "./dom";
import { to } from "./state";

interface Hit {
  kind: string;
  text: string;
  href: string;
}

const MOST = 12;

/** Names that are, begin with, or hold the words. */
export function hits(atlas: Atlas, words: string): Hit[] {
  const wanted = words.trim().toLowerCase();
  if (!wanted) return [];
  const found: Hit[][] = [[], [], []];
  const look = (text: string, hit: () => Hit) => {
    const name = text.toLowerCase();
    const rank = name === wanted ? 0 : name.startsWith(wanted) ? 1 : name.includes(wanted) ? 2 : 3;
    if (rank < 3 && found[rank]!.length < 200) found[rank]!.push(hit());
  };
  const number = /^(?:feature )?(\d+)$/.exec(wanted)?.[1];
  if (number !== undefined && Number(number) < atlas.index.n.features)
    found[0]!.push({ kind: "feature", text: `${number} · ${atlas.label(Number(number))}`, href: to("feature", Number(number)) });
  for (const name of atlas.genes) look(name, () => ({ kind: "gene", text: name, href: to("gene", name) }));
  for (const name of atlas.terms) look(name, () => ({ kind: "term", text: name, href: to("term", name) }));
  for (const name of atlas.index.type_names) look(name, () => ({ kind: "type", text: name, href: to("type", name) }));
  atlas.columns.get("label")?.texts?.forEach((label, f) => look(label, () => ({ kind: "feature", text: `${f} · ${label}`, href: to("feature", f) })));
  return found.flat();
}

export function searchField(atlas: Atlas): HTMLElement {
  const list = h("ul", { id: "hits", role: "listbox", "aria-label": "found", hidden: true });
  let chosen = -1;
  const options = () => [...list.querySelectorAll<HTMLAnchorElement>("a")];
  const choose = (i: number) => {
    const all = options();
    chosen = all.length ? (i + all.length) % all.length : -1;
    all.forEach((one, k) => one.parentElement!.setAttribute("aria-selected", String(k === chosen)));
  };
  const field: HTMLInputElement = h("input", {
    type: "search", role: "combobox", "aria-expanded": "false", "aria-controls": "hits", "aria-label": "search genes, terms, features, cell types",
    placeholder: "gene, term, feature, type", autocomplete: "off",
    oninput: () => {
      const all = hits(atlas, field.value);
      list.replaceChildren(...all.slice(0, MOST).map((hit) => h("li", { role: "option" }, h("a", { href: hit.href, tabindex: -1, onclick: () => close() }, h("span", {}, hit.kind), hit.text))),
        ...(all.length > MOST ? [h("li", { class: "more" }, `and ${all.length - MOST} more`)] : []),
        ...(field.value.trim() && !all.length ? [h("li", { class: "more" }, "no gene, term, feature or type of this run")] : []));
      list.hidden = !field.value.trim();
      field.setAttribute("aria-expanded", String(!list.hidden));
      choose(0);
    },
    onkeydown: (event: KeyboardEvent) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
      } else if (event.key === "Enter") {
        const link = options()[chosen];
        if (link) {
          location.hash = link.getAttribute("href") as string;
          close();
        }
      } else if (event.key === "Escape") close();
    },
    onblur: () => setTimeout(() => (list.hidden = true), 200),
  });
  const close = () => {
    field.value = "";
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
  };
  return h("div", { class: "search" }, field, list);
}
