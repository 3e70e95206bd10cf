// Points on a plane, drawn into memory pixel by pixel: 100,000 of them in a few milliseconds, without WebGL, which remote desktops and
// virtual machines lack.
import { css } from "./colour";
import { h, save } from "./dom";

export interface ScatterOptions {
  label: string;
  name: string;
  onhover?: (point: number | null) => string;
  onclick?: (point: number) => void;
  onlasso?: (polygon: number[][] | null) => void;
  height?: number;
}

const GRID = 96;

export class Scatter {
  readonly element: HTMLElement;
  private readonly canvas: HTMLCanvasElement;
  private readonly tip: HTMLElement;
  private readonly buckets: Uint32Array[];
  private colours: Uint32Array;
  private order: Uint32Array;
  private dimmed: Uint8Array | null = null;
  private view = { x: 0, y: 0, size: 1 };
  private image: ImageData | null = null;
  private mode: "pan" | "lasso" = "pan";
  private path: number[][] = [];
  private polygon: number[][] | null = null;
  private arrow: [number, number, number, number] | null = null;
  private marked: number[] = [];
  private asked = 0;
  /** Milliseconds that the last drawing took. */
  took = 0;

  /** x and y: places from 0 to 1, y upwards. */
  constructor(private readonly x: Float32Array, private readonly y: Float32Array, private readonly options: ScatterOptions) {
    this.colours = new Uint32Array(x.length).fill(0xff888888);
    this.order = Uint32Array.from(x, (_, i) => i);
    this.canvas = h("canvas", { tabindex: 0, role: "img", "aria-label": options.label });
    this.tip = h("div", { class: "tip", hidden: true });
    this.canvas.style.height = `${options.height ?? 460}px`;
    this.element = h("div", {}, this.tools(), h("div", { class: "scatter" }, this.canvas, this.tip));
    this.buckets = this.bucketed();
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** A colour a point; `order`: the last ones lie on top. */
  paint(colours: Uint32Array, order?: Uint32Array): void {
    this.colours = colours;
    if (order) this.order = order;
    this.draw();
  }

  /** Draw points that are 1 here faintly; null: none. */
  dim(points: Uint8Array | null): void {
    this.dimmed = points;
    this.draw();
  }

  /** Ring some points. */
  mark(points: number[]): void {
    this.marked = points;
    this.draw();
  }

  /** An arrow from one place to another; null: none. */
  point(arrow: [number, number, number, number] | null): void {
    this.arrow = arrow;
    this.draw();
  }

  /** A lasso from elsewhere, such as the address. */
  lasso(polygon: number[][] | null): void {
    this.polygon = polygon;
    this.draw();
  }

  /** Drop the lasso and what it dims, when something else was chosen. */
  drop(): void {
    [this.polygon, this.dimmed] = [null, null];
    this.draw();
  }

  private tools(): HTMLElement {
    const button = (text: string, title: string, act: () => void, pressed?: () => boolean) => {
      const made = h("button", { type: "button", title, "aria-label": title, onclick: () => { act(); refresh(); } }, text);
      if (pressed) made.dataset["mode"] = "1";
      return { made, pressed };
    };
    const all = [
      button("Pan", "drag moves the map", () => (this.mode = "pan"), () => this.mode === "pan"),
      ...(this.options.onlasso ? [button("Lasso", "drag draws a line around points", () => (this.mode = "lasso"), () => this.mode === "lasso")] : []),
      button("+", "zoom in", () => this.zoom(1.5)),
      button("\u2212", "zoom out", () => this.zoom(1 / 1.5)),
      button("Reset", "show all, and drop the lasso", () => this.reset()),
      button("PNG", "save as a picture", () => this.png()),
      button("SVG", "save as vectors", () => this.svg()),
    ];
    const refresh = () => {
      for (const { made, pressed } of all) if (pressed) made.setAttribute("aria-pressed", String(pressed()));
      this.canvas.classList.toggle("drawing", this.mode === "lasso");
    };
    queueMicrotask(refresh);
    return h("div", { class: "tools" }, all.map((one) => one.made));
  }

  private bucketed(): Uint32Array[] {
    const lists: number[][] = Array.from({ length: GRID * GRID }, () => []);
    for (let i = 0; i < this.x.length; i++) {
      if (Number.isNaN(this.x[i])) continue;
      (lists[cell(this.y[i] as number) * GRID + cell(this.x[i] as number)] as number[]).push(i);
    }
    return lists.map((some) => Uint32Array.from(some));
  }

  private get scale(): { unit: number; left: number; top: number } {
    const { clientWidth: w, clientHeight: t } = this.canvas;
    const unit = Math.min(w, t) * 0.94 * this.view.size;
    return { unit, left: w / 2 - unit * (0.5 + this.view.x), top: t / 2 + unit * (0.5 + this.view.y) };
  }

  draw(): void {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      this.drawNow();
    });
  }

  private drawNow(): void {
    const began = performance.now();
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const width = Math.round(this.canvas.clientWidth * ratio);
    const height = Math.round(this.canvas.clientHeight * ratio);
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height || !this.image) {
      Object.assign(this.canvas, { width, height });
      this.image = new ImageData(width, height);
    }
    this.plot(new Uint32Array(this.image.data.buffer), width, height, ratio);
    const context = this.canvas.getContext("2d") as CanvasRenderingContext2D;
    context.putImageData(this.image, 0, 0);
    this.overlay(context, ratio);
    this.took = performance.now() - began;
  }

  private plot(pixels: Uint32Array, width: number, height: number, ratio: number): void {
    pixels.fill(0);
    const { unit, left, top } = this.scale;
    const radius = this.radius * ratio;
    const stamp = disc(radius);
    for (const pass of this.dimmed ? [1, 0] : [0]) {
      for (const i of this.order) {
        if ((this.dimmed ? (this.dimmed[i] as number) : 0) !== pass) continue;
        const px = Math.round((left + unit * (this.x[i] as number)) * ratio);
        const py = Math.round((top - unit * (this.y[i] as number)) * ratio);
        if (!(px >= -9 && py >= -9 && px < width + 9 && py < height + 9)) continue;
        const colour = pass ? ((this.colours[i] as number) & 0xffffff) | 0x30000000 : (this.colours[i] as number);
        for (let k = 0; k < stamp.length; k += 2) {
          const qx = px + (stamp[k] as number);
          const qy = py + (stamp[k + 1] as number);
          if (qx >= 0 && qy >= 0 && qx < width && qy < height) pixels[qy * width + qx] = colour;
        }
      }
    }
  }

  private get radius(): number {
    const n = this.x.length;
    return (n > 40_000 ? 0.8 : n > 8_000 ? 1.3 : n > 1_500 ? 2 : 3) * Math.min(2.5, Math.sqrt(this.view.size));
  }

  private overlay(context: CanvasRenderingContext2D, ratio: number): void {
    const style = getComputedStyle(this.element);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.strokeStyle = context.fillStyle = style.getPropertyValue("--ink");
    context.lineWidth = 1.5;
    const ring = this.polygon ? this.polygon.map(([x, y]) => this.shown(x as number, y as number)) : this.path;
    if (ring.length > 1) {
      context.beginPath();
      for (const [x, y] of ring) context.lineTo(x as number, y as number);
      if (this.polygon) context.closePath();
      context.setLineDash([4, 3]);
      context.stroke();
      context.setLineDash([]);
    }
    for (const i of this.marked) {
      const [x, y] = this.shown(this.x[i] as number, this.y[i] as number);
      context.beginPath();
      context.arc(x, y, 7, 0, 7);
      context.stroke();
    }
    if (this.arrow) this.drawArrow(context, this.arrow);
    context.setTransform(1, 0, 0, 1, 0, 0);
  }

  private drawArrow(context: CanvasRenderingContext2D, arrow: [number, number, number, number]): void {
    const [x0, y0] = this.shown(arrow[0], arrow[1]);
    const [x1, y1] = this.shown(arrow[2], arrow[3]);
    const angle = Math.atan2(y1 - y0, x1 - x0);
    context.lineWidth = 2.5;
    context.beginPath();
    context.arc(x0, y0, 5, 0, 7);
    context.stroke();
    if (Math.hypot(x1 - x0, y1 - y0) < 6) return;
    context.beginPath();
    context.moveTo(x0 + 5 * Math.cos(angle), y0 + 5 * Math.sin(angle));
    context.lineTo(x1, y1);
    for (const turn of [2.6, -2.6]) {
      context.moveTo(x1, y1);
      context.lineTo(x1 + 11 * Math.cos(angle + turn), y1 + 11 * Math.sin(angle + turn));
    }
    context.stroke();
  }

  private shown(x: number, y: number): [number, number] {
    const { unit, left, top } = this.scale;
    return [left + unit * x, top - unit * y];
  }

  private place(px: number, py: number): [number, number] {
    const { unit, left, top } = this.scale;
    return [(px - left) / unit, (top - py) / unit];
  }

  /** The point nearest to a place on the screen, within ten pixels. */
  private nearest(px: number, py: number): number | null {
    const [x, y] = this.place(px, py);
    const reach = 10 / this.scale.unit;
    let best: number | null = null;
    let least = reach * reach;
    for (let gy = cell(y - reach); gy <= cell(y + reach); gy++)
      for (let gx = cell(x - reach); gx <= cell(x + reach); gx++)
        for (const i of this.buckets[gy * GRID + gx] as Uint32Array) {
          const far = ((this.x[i] as number) - x) ** 2 + ((this.y[i] as number) - y) ** 2;
          if (far < least) [best, least] = [i, far];
        }
    return best;
  }

  private listen(): void {
    const { canvas } = this;
    let from: [number, number] | null = null;
    let moved = false;
    canvas.addEventListener("pointerdown", (event) => {
      from = [event.offsetX, event.offsetY];
      moved = false;
      canvas.setPointerCapture(event.pointerId);
      if (this.mode === "lasso") [this.path, this.polygon] = [[from], null];
    });
    canvas.addEventListener("pointermove", (event) => {
      const at: [number, number] = [event.offsetX, event.offsetY];
      if (!from) return this.hover(at);
      if (Math.hypot(at[0] - from[0], at[1] - from[1]) > 3) moved = true;
      if (this.mode === "lasso") this.path.push(at);
      else if (moved) {
        this.move(at[0] - from[0], at[1] - from[1]);
        from = at;
      }
      this.draw();
    });
    canvas.addEventListener("pointerup", (event) => {
      if (this.mode === "lasso" && this.path.length > 8) this.close();
      else if (!moved) {
        const hit = this.nearest(event.offsetX, event.offsetY);
        if (hit !== null) this.options.onclick?.(hit);
      }
      this.path = [];
      from = null;
      this.draw();
    });
    canvas.addEventListener("pointerleave", () => (this.tip.hidden = true));
    canvas.addEventListener("wheel", (event) => {
      if (!(event.ctrlKey || event.metaKey || document.activeElement === canvas)) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  private key(event: KeyboardEvent): void {
    const step: Record<string, () => void> = {
      ArrowLeft: () => this.move(40, 0), ArrowRight: () => this.move(-40, 0), ArrowUp: () => this.move(0, 40),
      ArrowDown: () => this.move(0, -40), "+": () => this.zoom(1.4), "-": () => this.zoom(1 / 1.4), "0": () => this.reset(),
    };
    const act = step[event.key];
    if (!act || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act();
  }

  private close(): void {
    const every = Math.max(1, Math.floor(this.path.length / 60));
    this.polygon = this.path.filter((_, i) => i % every === 0).map(([x, y]) => this.place(x as number, y as number));
    this.options.onlasso?.(this.polygon);
  }

  private hover(at: [number, number]): void {
    const hit = this.nearest(at[0], at[1]);
    const said = this.options.onhover?.(hit) ?? "";
    this.tip.hidden = !said || hit === null;
    this.tip.textContent = said;
    this.tip.style.left = `${Math.min(at[0] + 12, this.canvas.clientWidth - 180)}px`;
    this.tip.style.top = `${at[1] + 14}px`;
  }

  private move(dx: number, dy: number): void {
    this.view.x -= dx / this.scale.unit;
    this.view.y += dy / this.scale.unit;
    this.draw();
  }

  zoom(by: number, px = this.canvas.clientWidth / 2, py = this.canvas.clientHeight / 2): void {
    const before = this.place(px, py);
    this.view.size = Math.min(60, Math.max(0.5, this.view.size * by));
    const after = this.place(px, py);
    this.view.x += before[0] - after[0];
    this.view.y += before[1] - after[1];
    this.draw();
  }

  private reset(): void {
    this.view = { x: 0, y: 0, size: 1 };
    if (this.polygon) this.options.onlasso?.(null);
    this.polygon = null;
    this.draw();
  }

  private png(): void {
    this.canvas.toBlob((blob) => blob && save(`${this.options.name}.png`, blob));
  }

  private svg(): void {
    const [w, t] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${t}" viewBox="0 0 ${w} ${t}">`;
    const body = this.x.length > 20_000 ? `<image width="${w}" height="${t}" href="${this.canvas.toDataURL()}"/>` : this.circles();
    save(`${this.options.name}.svg`, `${head}${body}</svg>`, "image/svg+xml");
  }

  private circles(): string {
    const radius = this.radius;
    return [...this.order].filter((i) => !Number.isNaN(this.x[i])).map((i) => {
      const [x, y] = this.shown(this.x[i] as number, this.y[i] as number);
      const faint = this.dimmed?.[i] ? ' opacity=".2"' : "";
      return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${radius}" fill="${css(this.colours[i] as number)}"${faint}/>`;
    }).join("");
  }
}

function cell(value: number): number {
  return Math.min(GRID - 1, Math.max(0, Math.floor(value * GRID)));
}

const stamps = new Map<number, Int8Array>();

/** Pixels of a disc around its middle. */
function disc(radius: number): Int8Array {
  const key = Math.round(radius * 10);
  const before = stamps.get(key);
  if (before) return before;
  const reach = Math.ceil(radius);
  const some: number[] = [];
  for (let y = -reach; y <= reach; y++)
    for (let x = -reach; x <= reach; x++) if (x * x + y * y <= radius * radius + 0.25) some.push(x, y);
  const made = Int8Array.from(some.length ? some : [0, 0]);
  stamps.set(key, made);
  return made;
}

/** Which points lie inside a polygon. */
export function inside(polygon: number[][], x: Float32Array, y: Float32Array): Uint8Array {
  const found = new Uint8Array(x.length);
  for (let i = 0; i < x.length; i++) {
    let odd = false;
    for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a++) {
      const [xa, ya] = polygon[a] as [number, number];
      const [xb, yb] = polygon[b] as [number, number];
      if (ya > (y[i] as number) !== yb > (y[i] as number) && (x[i] as number) < ((xb - xa) * ((y[i] as number) - ya)) / (yb - ya) + xa) odd = !odd;
    }
    found[i] = odd ? 1 : 0;
  }
  return found;
}
