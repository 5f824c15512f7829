import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { licenses } from "./licenses";

// A dashboard that runs, for `npm run dev`: the address that `oarlock dashboard` prints, or the fixture server.
const behind = process.env.OARLOCK_DASHBOARD ?? "http://127.0.0.1:4173";

export default defineConfig({
  plugins: [react(), licenses()],
  // Names are fixed (the server sends ETags), and two builds of one source are equal byte for byte.
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: ["chrome123", "firefox121", "safari17.5"],
    chunkSizeWarningLimit: 700,
    rollupOptions: {
      output: {
        entryFileNames: "assets/[name].js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  // The server behind wants to be asked by its own name, and from its own pages.
  server: {
    port: 5173,
    proxy: { "/api": { target: behind, changeOrigin: true, headers: { origin: behind } } },
  },
  test: { include: ["src/**/*.test.ts"], testTimeout: 60_000 }, // for machines that stall
});
