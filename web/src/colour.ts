// Colours of cells and features: of kinds, and of amounts; those of the report, distinct for every common form of colour blindness.

const KINDS = ["#0a78b8", "#d1590c", "#1a9070", "#b0619a", "#b58800", "#3f93c8", "#8c6bb1", "#7a8a3c", "#c2445d", "#5c7f8a", "#a06a3f", "#4f5fb5"];
const DARK_KINDS = ["#3c9fde", "#ec7f3b", "#35b892", "#cf86bb", "#d3a92b", "#7cc4f0", "#b096d6", "#a9bd5e", "#e77a8e", "#8fb4bf", "#cf9a6c", "#8c9be8"];

export function isDark(): boolean {
  const set = document.documentElement.dataset["scheme"];
  return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** The colour of the i-th kind; kinds beyond the palette share a grey. */
export function kind(i: number): string {
  const some = isDark() ? DARK_KINDS : KINDS;
  return some[i] ?? (isDark() ? "#767f8c" : "#9aa2ad");
}

function mix(low: number[], high: number[], at: number): number[] {
  return low.map((v, c) => v + ((high[c] as number) - v) * at);
}

const RAMP = { light: [[222, 226, 232], [120, 176, 214], [10, 120, 184], [6, 52, 92]], dark: [[46, 53, 64], [28, 92, 138], [60, 159, 222], [196, 230, 252]] };

/** 256 colours from nothing to the largest amount. */
export function ramp(): number[][] {
  const stops = isDark() ? RAMP.dark : RAMP.light;
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    return mix(stops[low] as number[], stops[low + 1] as number[], at - low);
  });
}

/** A colour as canvas memory has it. */
export function word(rgb: number[], alpha = 255): number {
  const [r, g, b] = rgb as [number, number, number];
  return ((alpha << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r)) >>> 0;
}

export function rgb(hex: string): number[] {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

export function css(colour: number): string {
  return `rgb(${colour & 255},${(colour >> 8) & 255},${(colour >> 16) & 255})`;
}
