// The atlas of a run: what frames every page, and which page an address means.
import "./atlas.css";
import { Atlas } from "./atlas";
import { chance, difference, kindChance, kindMeans, seeded, totals } from "./difference";
import { h, nameTables, num } from "./dom";
import { current, to, type Route } from "./state";
import { isDark } from "./colour";
import { inside } from "./scatter";
import { searchField } from "./search";
import { about } from "./pages/about";
import { besidePage } from "./pages/beside";
import { comparePage } from "./pages/compare";
import { featurePage } from "./pages/feature";
import { featuresPage } from "./pages/features";
import { genePage, genesPage } from "./pages/gene";
import { listsPage } from "./pages/lists";
import { overview } from "./pages/overview";
import { recipePage } from "./pages/recipe";
import { steerPage } from "./pages/steer";
import { termPage, termsPage } from "./pages/term";
import { typePage, typesPage } from "./pages/type";

export type Page = (atlas: Atlas, route: Route) => Promise<Node> | Node;

const PAGES: Record<string, Page> = {
  overview, features: featuresPage, feature: featurePage, genes: genesPage, gene: genePage, terms: termsPage, term: termPage,
  types: typesPage, type: typePage, recipe: recipePage, steer: steerPage, compare: comparePage, beside: besidePage, lists: listsPage, about,
};

function navigation(atlas: Atlas): [string, string, string][] {
  const { index } = atlas;
  return ([
    ["overview", "Overview", to("overview")],
    ["feature features", "Features", to("features")],
    ["gene genes", "Genes", to("genes")],
    ["term terms", "Terms", to("terms")],
    index.type_names.length > 0 && ["type types", "Cell types", to("types")],
    index.recipes.length > 0 && ["recipe", "Recipes", to("recipe", index.recipes[0]!.objective)],
    ["steer", "Steer live", to("steer")],
    ["compare", "Compare", to("compare")],
    index.beside && ["beside", `Beside ${index.beside.run}`, to("beside")],
    ["lists", "Lists", to("lists")],
    ["about", "About", to("about")],
    ["", "Report", "report.html"],
  ] as ([string, string, string] | false | null)[]).filter((one): one is [string, string, string] => Boolean(one));
}

function frame(atlas: Atlas, main: HTMLElement): HTMLElement {
  const scheme = h("button", { type: "button", class: "quiet", "aria-label": "light or dark", onclick: () => {
    document.documentElement.dataset["scheme"] = isDark() ? "light" : "dark";
    void show(atlas, main);
  } }, "Light / dark");
  const random = h("button", { type: "button", class: "quiet", title: "a feature at random", onclick: () => {
    location.hash = to("feature", Math.floor(Math.random() * atlas.index.n.features));
  } }, "Random feature");
  const nav = h("nav", { "aria-label": "pages" }, navigation(atlas).map(([pages, text, href]) => h("a", { href, "data-pages": pages }, text)));
  return h("div", { class: "frame" },
    h("a", { class: "skip", href: "#main", onclick: (event: Event) => { event.preventDefault(); main.focus(); } }, "Skip to the page"),
    h("header", { class: "top" },
      h("div", { class: "name" }, h("a", { href: to("overview") }, h("b", {}, atlas.index.run)),
        h("span", {}, [atlas.index.model?.name, atlas.index.place, `${num(atlas.index.n.features, "d")} features`].filter(Boolean).join(" · "))),
      searchField(atlas), h("span", { class: "spacer" }), random, scheme),
    nav, main);
}

/** Milliseconds until a page that is not there yet says so. */
const PATIENCE = 250;
let asked = 0;

async function show(atlas: Atlas, main: HTMLElement): Promise<void> {
  const mine = ++asked;
  const route = current();
  const began = performance.now();
  delete document.body.dataset["ready"];
  for (const link of document.querySelectorAll<HTMLElement>("nav a")) {
    const here = link.dataset["pages"]?.split(" ").includes(route.page) ?? false;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const slow = setTimeout(() => main.replaceChildren(h("p", { class: "wait", role: "status" }, "reading what this page needs …")), PATIENCE);
  let made: Node;
  try {
    const page = PAGES[route.page];
    made = page ? await page(atlas, route) : h("p", { class: "wait" }, `There is no page ${route.page}. `, h("a", { href: to("overview") }, "Overview"));
  } catch (error) {
    made = h("p", { class: "wait" }, error instanceof Error ? error.message : String(error));
  }
  clearTimeout(slow);
  if (mine !== asked) return;
  main.replaceChildren(made);
  nameTables(main);
  document.body.dataset["ready"] = route.page;
  document.body.dataset["took"] = (performance.now() - began).toFixed(1);
  const title = main.querySelector("h1")?.textContent;
  document.title = `${title ? `${title} · ` : ""}${atlas.index.run} · cellprism atlas`;
}

async function start(): Promise<void> {
  const root = document.getElementById("atlas") as HTMLElement;
  if (typeof DecompressionStream === "undefined") {
    root.replaceChildren(h("p", { class: "wait" }, "This browser is too old for the atlas (it lacks DecompressionStream); every feature is also in features/NUMBER.json."));
    return;
  }
  try {
    const atlas = await Atlas.open();
    const main = h("main", { id: "main", tabindex: -1 });
    root.replaceChildren(frame(atlas, main));
    addEventListener("hashchange", () => {
      scrollTo(0, 0);
      void show(atlas, main);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => void show(atlas, main));
    await show(atlas, main);
  } catch (error) {
    root.replaceChildren(h("p", { class: "wait" }, error instanceof Error ? error.message : String(error)));
  }
}

// for programs and tests: what chance is computed with
window.cellprism.maths = { chance, difference, inside, kindChance, kindMeans, seeded, totals };
void start();
