// How fast a large graph is drawn and panned: node dev/measure.mjs [--base http://127.0.0.1:4173] [--mesh broad-heron]
// It drives Chromium without a graphics card, as perf figures are given for.
import { chromium } from "playwright-core";

const flag = (name, value) => {
  const i = process.argv.indexOf("--" + name);
  return i < 0 ? value : process.argv[i + 1];
};
const base = flag("base", "http://127.0.0.1:4173");
const mesh = flag("mesh", "broad-heron");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
page.on("pageerror", (e) => console.log("error: " + e.message));
await page.goto(`${base}/#token=${flag("token", "dev")}`);
await page.waitForTimeout(500);

const system = await browser.newBrowserCDPSession();
/** Seconds of processor time of all renderers: what is left of a figure when the machine does other things as well. */
const busy = async () => (await system.send("SystemInfo.getProcessInfo")).processInfo.filter((p) => p.type === "renderer").reduce((s, p) => s + p.cpuTime, 0);
const before = await busy();

// From the address to a drawn graph: page, answer, elements, first frame.
await page.goto(`${base}/meshes/${mesh}/graph?expand=*`, { waitUntil: "commit" });
const drawn = await page.evaluate(
  () =>
    new Promise((done) => {
      const look = () => {
        const g = document.querySelector(".graph-host")?.graph;
        if (!g || g.picture.edges.length === 0 || g.cy.nodes().length === 0) return requestAnimationFrame(look);
        const end = () => requestAnimationFrame(() => done({ at: performance.now(), nodes: g.cy.nodes(".node").length, edges: g.picture.edges.length }));
        g.cy.one("render", end);
        g.cy.forceRender();
      };
      look();
    }),
);
const spent = (await busy()) - before;
const answer = await page.evaluate(() => performance.getEntriesByType("resource").filter((r) => r.name.includes("/graph?")).map((r) => ({ ms: Math.round(r.duration), end: Math.round(r.responseEnd), kB: Math.round(r.decodedBodySize / 1000) })));
console.log(`${drawn.nodes} nodes, ${drawn.edges} edges: drawn ${Math.round(drawn.at)} ms after the address was entered`);
console.log(`processor time of the page until then: ${Math.round(spent * 1000)} ms`);
console.log(`of that, until the answer was there: ${answer[0]?.end} ms (${answer[0]?.kB} kB); to draw it: ${Math.round(drawn.at - (answer[0]?.end ?? 0))} ms`);

/** Intervals between frames while something goes on, in milliseconds. */
async function frames(what) {
  await page.evaluate(() => {
    window.frames_ = [];
    let last = performance.now();
    const tick = (t) => {
      window.frames_.push(t - last);
      last = t;
      window.frameID = requestAnimationFrame(tick);
    };
    window.frameID = requestAnimationFrame(tick);
  });
  await what();
  const list = await page.evaluate(() => (cancelAnimationFrame(window.frameID), window.frames_.slice(2)));
  list.sort((a, b) => a - b);
  const at = (p) => list[Math.floor((list.length - 1) * p)]?.toFixed(1);
  return `median ${at(0.5)} ms, p90 ${at(0.9)} ms, longest ${at(1)} ms of ${list.length} frames`;
}

const drag = async () => {
  await page.mouse.move(640, 400);
  await page.mouse.down();
  for (let i = 0; i < 90; i++) await page.mouse.move(640 + 220 * Math.sin(i / 12), 400 + 140 * Math.cos(i / 9));
  await page.mouse.up();
};
await page.waitForTimeout(500);
console.log("pan, all in view:   " + (await frames(drag)));
await page.evaluate(() => document.querySelector(".graph-host").graph.zoomBy(6));
await page.waitForTimeout(600);
console.log("pan, near by:       " + (await frames(drag)));
console.log("zoom with a wheel:  " + (await frames(async () => {
  for (let i = 0; i < 24; i++) {
    await page.mouse.wheel(0, i < 12 ? 60 : -60);
    await page.waitForTimeout(30);
  }
})));
console.log("idle, with updates: " + (await frames(() => page.waitForTimeout(5000))));
await browser.close();
