// What this atlas was made from, and what is not in it.
import type { Atlas } from "../atlas";
import { h, num } from "../dom";
import { title } from "../parts";

export function about(atlas: Atlas): Node {
  const { index } = atlas;
  const rows: [string, string][] = [
    ["run", index.run], ["cells", `${num(index.n.cells, "d")}, ${index.source}`], ["model", index.model ? `${index.model.name} (${index.model.revision}), licence ${index.model.licence}` : "unknown"],
    ["trained on", index.model?.data ?? ""], ["site", index.place], ["features", num(index.n.features, "d")], ["genes", num(index.n.genes, "d")], ["collection of terms", index.collection],
    ["made by", `cellprism ${index.version}, ${index.made}`],
  ];
  return h("div", {}, title("About this atlas"),
    h("section", { class: "figure" }, h("table", { class: "facts" }, h("tbody", {}, rows.filter(([, value]) => value).map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)))))),
    index.model && index.model.limits.length > 0 && h("section", { class: "figure" }, h("header", {}, h("h2", {}, "What the model's card says that it cannot do")), h("ul", {}, index.model.limits.map((text) => h("li", {}, text)))),
    h("section", { class: "figure" }, h("header", {}, h("h2", {}, "How to read it")), h("ul", {},
      h("li", {}, "Every number stands with the file of the run folder that holds it, and with what chance or a simpler method gives. Nothing here is a verdict: those are on the run's report, with their tests."),
      h("li", {}, "Pictures are quantised: places of cells in 65,536 steps, activation in 255 or 15. Tables hold six digits. The files of the run hold everything."),
      h("li", {}, "The address holds what you see: send it, or keep it. Each feature is also plain JSON at features/NUMBER.json."),
      h("li", {}, "Nothing is asked of any other place: the folder can be copied, zipped, put on a server, or opened from a disk."))),
    Object.keys(index.absent).length > 0 && h("section", { class: "figure" }, h("header", {}, h("h2", {}, "Studies that were not done")), h("ul", {}, Object.entries(index.absent).map(([study, how]) => h("li", {}, h("b", {}, study), " ", h("code", {}, how.split("`")[1] ?? how))))));
}
