import { defineConfig } from "vite";

// One classic script and one style sheet: modules do not load from a disk.
export default defineConfig({
  build: {
    lib: { entry: "src/main.ts", formats: ["iife"], name: "cellprismAtlas", fileName: () => "atlas.js", cssFileName: "atlas" },
    outDir: "../src/cellprism/atlas/assets",
    emptyOutDir: false,
    target: "es2022",
    minify: true,
    sourcemap: false,
  },
});
