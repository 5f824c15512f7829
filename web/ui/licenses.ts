// The licences of the libraries that a build has in it, as a file beside it: most of them ask for that.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Plugin } from "vite";

/** The folder of the package that a module of node_modules belongs to; undefined for our own. */
function packageOf(module: string): string | undefined {
  const at = module.replace(/^\0/, "").split("?")[0] ?? "";
  if (!at.includes("node_modules")) return undefined;
  for (let dir = dirname(at); dir !== dirname(dir); dir = dirname(dir)) {
    if (existsSync(join(dir, "package.json")) && "version" in JSON.parse(readFileSync(join(dir, "package.json"), "utf8"))) return dir;
  }
  return undefined;
}

function notice(dir: string): string {
  const p = JSON.parse(readFileSync(join(dir, "package.json"), "utf8")) as { name: string; version: string; license?: string };
  const file = readdirSync(dir).find((f) => /^(licen[cs]e|copying)/i.test(f));
  const text = file ? readFileSync(join(dir, file), "utf8").replaceAll("\r\n", "\n").trim() : "";
  return `${p.name} ${p.version} (${p.license ?? "no licence named"})\n\n${text}\n`;
}

export function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle(_, bundle) {
      const dirs = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        for (const module of Object.keys(chunk.modules)) {
          const dir = packageOf(module);
          if (dir) dirs.add(dir);
        }
      }
      const all = [...dirs].map(notice).sort();
      this.emitFile({ type: "asset", fileName: "assets/licenses.txt", source: all.join("\n" + "-".repeat(80) + "\n\n") });
    },
  };
}
