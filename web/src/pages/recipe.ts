// A recipe: the strengths that were found to move one cell type towards another, as a table that one can edit.
import type { Atlas } from "../atlas";
import { load } from "../data";
import { h, num, signed } from "../dom";
import { figure } from "../figure";
import { featureLink, missing, small, title } from "../parts";
import { note, to, type Route } from "../state";
import type { RecipeShard } from "../types";

export async function recipePage(atlas: Atlas, route: Route): Promise<Node> {
  if (!atlas.index.recipes.length) return h("div", {}, title("Recipes"), missing("This run has no recipe.", atlas.index.absent["contrast"] ?? "cellprism do contrast RUN"));
  const all = await load<RecipeShard[]>("recipes");
  const recipe = all.find((one) => one.objective === route.args[0]) ?? (all[0] as RecipeShard);
  return h("div", {}, title(`${recipe.source} to ${recipe.target}`, h("p", { class: "lead" }, `Strengths found by the objective ${recipe.objective}, read at ${recipe.read} genes; 1 leaves a feature alone. Edited strengths stand in the address.`),
    h("div", { class: "actions" }, all.map((one) => h("a", { class: "button", href: to("recipe", one.objective), "aria-current": one === recipe ? "page" : null }, one.objective)))),
    h("div", { class: "two" }, edited(atlas, recipe, route), scores(recipe)), genes(recipe));
}

/** The table; what one changes is kept in the address as feature:strength pairs. */
function edited(atlas: Atlas, recipe: RecipeShard, route: Route): HTMLElement {
  const changed = new Map<number, number>();
  for (const part of (route.query.get("edit") ?? "").split(",")) {
    const [f, strength] = part.split(":").map(Number);
    if (f !== undefined && strength !== undefined && Number.isInteger(f) && f >= 0 && f < atlas.index.n.features && Number.isFinite(strength)) changed.set(f, strength);
  }
  const found = new Map(recipe.rows.map((row) => [row[0] as number, row[1] as number]));
  const body = h("tbody");
  const live = h("a", { class: "button" }, "try it live");
  const at = (name: string) => recipe.columns.indexOf(name);
  const now = () => new Map([...found, ...changed]);
  const write = () => {
    note({ edit: [...changed].map(([f, strength]) => `${f}:${strength}`).join(",") || null });
    live.setAttribute("href", `${to("steer")}?${[...now()].filter(([, v]) => v !== 1).sort((a, b) => Math.abs(b[1] - 1) - Math.abs(a[1] - 1)).slice(0, 60).map(([f, v]) => `f${f}=${v}`).join("&")}`);
  };
  const draw = () => {
    const rows = [...now()].sort((a, b) => Math.abs(b[1] - 1) - Math.abs(a[1] - 1));
    body.replaceChildren(...rows.map(([f, strength]) => {
      const row = recipe.rows.find((one) => one[0] === f);
      const field: HTMLInputElement = h("input", { type: "number", step: "any", value: Number(strength.toPrecision(4)), "aria-label": `strength of feature ${f}`, onchange: () => {
        const value = Number(field.value);
        if (field.value === "" || !Number.isFinite(value)) return draw();
        changed.set(f, value);
        write();
        draw();
      } });
      return h("tr", { class: changed.has(f) ? "changed" : "" }, h("td", {}, featureLink(atlas, f)), h("td", {}, field), h("td", {}, num(found.get(f) ?? 1)), h("td", {}, num(row?.[at("edit_share")], "%")), h("td", {}, num(row?.[at("firing_rate")], "%")));
    }));
    write();
  };
  const add: HTMLInputElement = h("input", { type: "number", min: 0, max: atlas.index.n.features - 1, placeholder: "feature", "aria-label": "add a feature" });
  const form = h("form", { class: "inline", onsubmit: (event: Event) => { event.preventDefault(); const f = Number(add.value); if (add.value !== "" && Number.isInteger(f) && f >= 0 && f < atlas.index.n.features) { changed.set(f, 2); draw(); } } }, add, h("button", { type: "submit" }, "add"),
    h("button", { type: "button", onclick: () => { changed.clear(); draw(); } }, "as it was found"), atlas.index.live === "" && live);
  draw();
  return figure({
    title: "Strengths", name: `recipe-${recipe.objective}`, file: recipe.file, control: "the strength that was found, in the third column; share of the edit in the fourth",
    rows: () => ({ header: ["feature", "label", "strength", "found"], rows: [...now()].map(([f, v]) => [f, atlas.label(f), v, found.get(f) ?? 1]) }),
  }, form, h("div", { class: "scroll tall" }, h("table", { class: "small" }, h("thead", {}, h("tr", {}, ["feature", "strength", "found", "of the edit", "fires at"].map((text) => h("th", { scope: "col" }, text)))), body)));
}

function scores(recipe: RecipeShard): HTMLElement {
  const within = (value: number | null | undefined, low: number | null | undefined, high: number | null | undefined) =>
    typeof low === "number" && typeof high === "number" ? `${num(value)} (${num(low)} to ${num(high)})` : num(value);
  const range = (row: Record<string, number | null> | undefined) => (row ? within(row["mean"], row["low"], row["high"]) : "–");
  return figure({
    title: "What the recipe, as it was found, does to unseen cells", name: `recipe-${recipe.objective}-scores`, file: recipe.scores_file, control: "recipes searched for permuted labels, and random recipes of the same size",
  }, small(recipe.scores.map((row) => [row.name, within(row.value, row.low, row.high), range(row.controls["permuted_labels"]), range(row.controls["random_recipe"])]), ["score", "recipe", "permuted labels", "random recipes"]));
}

function genes(recipe: RecipeShard): HTMLElement {
  const number = (value: unknown) => (typeof value === "number" ? value : null);
  return figure({ title: "Genes that tell the two types apart", name: `recipe-${recipe.objective}-genes`, file: recipe.genes_file, control: "mean of the model's values in source and target cells", rows: () => ({ header: Object.keys(recipe.genes[0] ?? {}), rows: recipe.genes.map((row) => Object.values(row).map((v) => (typeof v === "boolean" ? String(v) : v))) }) },
    h("div", { class: "tall scroll" }, small(recipe.genes.map((row) => [h("a", { href: to("gene", String(row["gene"])) }, String(row["gene"])), String(row["direction"] ?? ""), num(number(row["source_mean"])), num(number(row["steered_mean"])), num(number(row["target_mean"])), signed(number(row["gap_fraction"]))]), ["gene", "wanted", "source", "steered", "target", "share of the gap closed"])));
}
