// Screenshots of views, for the eye: node dev/shots.mjs [--only NAME] [--base http://127.0.0.1:4173] into dev/shots.
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const flag = (name, value) => {
  const i = process.argv.indexOf("--" + name);
  return i < 0 ? value : process.argv[i + 1];
};
const base = flag("base", "http://127.0.0.1:4173");
const token = flag("token", "dev");
const only = flag("only", "");
const themes = flag("themes", "light,dark").split(",");
const widths = flag("widths", "1280,390").split(",").map(Number);
const out = fileURLToPath(new URL("shots/", import.meta.url));
mkdirSync(out, { recursive: true });

const m = "/meshes/jaunty-ferret";
const edge = "edge:workload/bookinfo/productpage-v1.Deployment>service/reviews.bookinfo.svc.cluster.local:9080";
const views = {
  overview: `${m}/overview`,
  graph: `${m}/graph`,
  "graph-edge": `${m}/graph?sel=${encodeURIComponent(edge)}`,
  "graph-plaintext": `${m}/graph?q=plaintext`,
  "graph-large": "/meshes/broad-heron/graph",
  "graph-all": "/graph",
  "graph-drawn": "/meshes/drawn-capybara/graph",
  "graph-away": "/meshes/jolly-bat/graph",
  table: `${m}/table`,
  security: `${m}/security`,
  changes: `${m}/changes`,
  nowhere: "/nowhere",
};

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
for (const theme of themes) {
  for (const width of widths) {
    const context = await browser.newContext({ viewport: { width, height: width > 700 ? 800 : 844 }, colorScheme: theme, hasTouch: width < 700, reducedMotion: "reduce" });
    const page = await context.newPage();
    page.on("console", (msg) => (msg.type() === "error" || msg.type() === "warning") && console.log(`${theme} ${width}: ${msg.text()}`));
    page.on("pageerror", (e) => console.log(`${theme} ${width}: ${e.message}`));
    if (!only || only.split(",").includes("login")) {
      await page.goto(base + "/");
      await page.waitForTimeout(400);
      await page.screenshot({ path: `${out}login-${theme}-${width}.png` });
    }
    await page.goto(`${base}/#token=${token}`);
    await page.waitForTimeout(600);
    for (const [name, path] of Object.entries(views)) {
      if (only && !only.split(",").includes(name)) continue;
      await page.goto(base + path);
      await page.waitForTimeout(Number(flag("wait", "1300")));
      await page.screenshot({ path: `${out}${name}-${theme}-${width}.png` });
    }
    await context.close();
  }
}
await browser.close();
