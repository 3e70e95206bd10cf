// Shards: scripts that call `cellprism.shard`, so that they load from a disk as well as from a server.
import type { Packed } from "./types";

type Waiting = { resolve: (value: unknown) => void; reject: (error: Error) => void };
const waiting = new Map<string, Waiting>();
const known = new Map<string, Promise<unknown>>();
const KEPT = 400; // shards in memory

declare global {
  interface Window {
    cellprism: { shard(name: string, value: unknown): void; maths?: Record<string, unknown> };
  }
}

window.cellprism = {
  shard(name, value) {
    waiting.get(name)?.resolve(value);
    waiting.delete(name);
  },
};

/** A shard by name, such as `features/12`; each is loaded once. */
export function load<T>(name: string): Promise<T> {
  const before = known.get(name);
  if (before) return before as Promise<T>;
  const coming = new Promise<unknown>((resolve, reject) => {
    waiting.set(name, { resolve, reject });
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.onload = () => {
      script.remove();
      if (waiting.delete(name)) reject(new Error(`data/${name}.js holds something else than ${name}`));
    };
    script.onerror = () => {
      script.remove();
      waiting.delete(name);
      reject(new Error(`data/${name}.js cannot be read; make the atlas again, or copy its whole folder`));
    };
    document.head.append(script);
  });
  known.set(name, coming);
  coming.catch(() => known.delete(name));
  if (known.size > KEPT) known.delete(known.keys().next().value as string);
  return coming as Promise<T>;
}

async function bytes(packed: Packed): Promise<ArrayBuffer> {
  const text = atob(packed.z);
  const data = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) data[i] = text.charCodeAt(i);
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

const KINDS = {
  u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, i8: Int8Array, i16: Int16Array, i32: Int32Array, f32: Float32Array,
} as const;

/** An array of whole numbers. */
export async function integers(packed: Packed): Promise<Uint8Array | Uint16Array | Uint32Array> {
  return new KINDS[packed.$ as "u8" | "u16" | "u32"](await bytes(packed));
}

/** An array of numbers as 32-bit floats; those of 16 bits are widened. */
export async function floats(packed: Packed): Promise<Float32Array> {
  const data = await bytes(packed);
  if (packed.$ === "f16") return widened(new Uint16Array(data));
  return packed.$ === "f32" ? new Float32Array(data) : Float32Array.from(new KINDS[packed.$ as "u8"](data));
}

/** A list of texts. */
export async function texts(packed: Packed): Promise<string[]> {
  return JSON.parse(new TextDecoder().decode(await bytes(packed))) as string[];
}

function widened(half: Uint16Array): Float32Array {
  const out = new Float32Array(half.length);
  for (let i = 0; i < half.length; i++) {
    const bits = half[i] as number;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction ? NaN : Infinity) : (1 + fraction / 1024) * 2 ** (exponent - 15);
    out[i] = bits & 32768 ? -size : size;
  }
  return out;
}
