import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vite";

const OUT = "../src/cellprism/atlas/assets";

// SHA-256 of everything that the bundle is made from; a test compares it, so that a stale bundle is seen without Node.
function sources(): string {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((name) => /\.(ts|css)$/.test(name)).map((name) => `src/${name.replaceAll("\\", "/")}`);
  const hash = createHash("sha256");
  for (const name of [...files, "package-lock.json", "vite.config.ts"].sort()) hash.update(`${name}\n`).update(readFileSync(name));
  return hash.digest("hex");
}

// One classic script and one style sheet: modules do not load from a disk.
export default defineConfig(({ mode }) => ({
  plugins: [{ name: "sources", closeBundle() { if (mode === "production") writeFileSync(join(OUT, "sources.sha256"), `${sources()}\n`); } }],
  build: {
    lib: { entry: "src/main.ts", formats: ["iife"], name: "cellprismAtlas", fileName: () => "atlas.js", cssFileName: "atlas" },
    outDir: OUT,
    emptyOutDir: false,
    target: "es2022",
    minify: true,
    sourcemap: false,
  },
}));
