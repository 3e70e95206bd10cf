// The frame of every figure and table: what it shows, the control beside it, the file that holds its numbers, and ways to take it along.
import { csv, h, nameTables, save } from "./dom";

export interface Frame {
  title: string;
  /** What chance, or something simpler, would give. */
  control?: string;
  file?: string;
  note?: string;
  /** Header and rows for a spreadsheet. */
  rows?: () => { header: string[]; rows: (string | number | null | undefined)[][] };
  name: string;
}

export function figure(frame: Frame, ...body: Node[]): HTMLElement {
  const drawing = body.find((node) => node instanceof SVGSVGElement) as SVGSVGElement | undefined;
  const buttons: HTMLElement[] = [];
  const button = (text: string, act: () => void) =>
    buttons.push(h("button", { type: "button", class: "quiet", "aria-label": `save ${frame.title} as ${text}`, onclick: act }, text));
  if (frame.rows) button("CSV", () => { const { header, rows } = frame.rows!(); save(`${frame.name}.csv`, csv(header, rows), "text/csv"); });
  if (drawing) {
    button("SVG", () => save(`${frame.name}.svg`, standalone(drawing), "image/svg+xml"));
    button("PNG", () => void png(drawing).then((blob) => save(`${frame.name}.png`, blob)));
  }
  const section = h(
    "section", { class: "figure" },
    h("header", {}, h("h2", {}, frame.title), h("span", { class: "spacer" }), buttons),
    frame.note && h("p", { class: "note" }, frame.note),
    body,
    (frame.control || frame.file) && h(
      "footer", {},
      frame.control && h("span", {}, h("b", {}, "beside "), frame.control),
      frame.file && h("code", { title: "file of the run folder" }, frame.file),
    ),
  );
  nameTables(section);
  return section;
}

const STYLE = ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-weight", "text-anchor", "opacity"];

/** A drawing with its colours written into it. */
export function standalone(drawing: SVGSVGElement): string {
  const copy = drawing.cloneNode(true) as SVGSVGElement;
  const from = [drawing, ...drawing.querySelectorAll<SVGElement>("*")];
  const into = [copy, ...copy.querySelectorAll<SVGElement>("*")];
  from.forEach((element, i) => {
    const style = getComputedStyle(element);
    into[i]?.setAttribute("style", STYLE.map((name) => `${name}:${style.getPropertyValue(name)}`).join(";"));
  });
  const { width, height } = drawing.viewBox.baseVal;
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", String(width));
  copy.setAttribute("height", String(height));
  copy.setAttribute("font-family", "sans-serif");
  const back = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  back.setAttribute("width", "100%");
  back.setAttribute("height", "100%");
  back.setAttribute("style", `fill:${getComputedStyle(document.documentElement).getPropertyValue("--card")}`);
  copy.prepend(back);
  return new XMLSerializer().serializeToString(copy);
}

async function png(drawing: SVGSVGElement): Promise<Blob> {
  const { width, height } = drawing.viewBox.baseVal;
  const picture = new Image();
  const loaded = new Promise((resolve, reject) => Object.assign(picture, { onload: resolve, onerror: reject }));
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(standalone(drawing))}`;
  await loaded;
  const canvas = Object.assign(document.createElement("canvas"), { width: width * 3, height: height * 3 });
  canvas.getContext("2d")?.drawImage(picture, 0, 0, width * 3, height * 3);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture")))));
}
