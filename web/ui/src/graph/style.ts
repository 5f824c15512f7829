// Colours and shapes for Cytoscape, from the tokens of the page.
import type { StylesheetJson } from "cytoscape";
import type { Lock } from "../api/types";
import { HEIGHT, WIDTH } from "./paths";
import { coloursOf } from "../shell/theme";

const names = [
  "--ground", "--surface", "--raised", "--sunken", "--line", "--line-strong", "--text", "--text-soft", "--text-faint", "--accent", "--picked",
  "--lock-locked", "--lock-mixed", "--lock-open", "--lock-broken", "--lock-unknown", "--error", "--warning", "--good",
] as const;

export type Colours = Record<(typeof names)[number], string>;

export const colours = (): Colours => coloursOf(names);

/** Dashes of each lock, so that a line is told without its colour. */
export const DASHES: Record<Lock, readonly number[]> = { locked: [], mixed: [14, 5], open: [6, 4], broken: [10, 4, 2, 4], unknown: [] };
export const WEAK_DASHES: readonly number[] = [1.5, 4];

/** Names of Cytoscape's shapes, by kind of node. */
const SHAPES: Record<string, object> = {
  workload: { shape: "round-rectangle", "corner-radius": 7 },
  service: { shape: "round-rectangle", "corner-radius": HEIGHT / 2 },
  ingress: { shape: "round-tag" },
  egress: { shape: "cut-rectangle" },
  outside: { shape: "cut-rectangle", "border-style": "dashed" },
  namespace: { shape: "round-rectangle", "corner-radius": 7 },
};

const HEALTH = { good: "--good", some: "--warning", bad: "--error", idle: "--line-strong" } as const;

/** Sizes of names: they grow where one looks from afar. */
export const NAME_SIZES = [12.5, 13.5, 14] as const;
const LONG_SIZES = [11, 11.5, 11.5] as const;

/** The step of a zoom in NAME_SIZES. */
export const stepOf = (zoom: number): number => (zoom < 0.5 ? 2 : zoom < 0.8 ? 1 : 0);

export function stylesheet(c: Colours, font: string, large: boolean, step = 0, crowd = false): StylesheetJson {
  const style: { selector: string; style: Record<string, unknown> }[] = [
    {
      selector: "node.node",
      style: {
        width: WIDTH, height: HEIGHT, "background-color": c["--raised"], "border-width": 1.8, "border-color": c["--line-strong"],
        // The words begin right of the icon.
        label: "data(label)", "font-family": font, "font-size": NAME_SIZES[step] ?? 12.5, "font-weight": 500, color: c["--text"], "text-valign": "center", "text-halign": "right", "text-margin-x": 36 - WIDTH, "text-margin-y": 0.5,
        "text-wrap": "wrap", "text-max-width": `${WIDTH}px`, "text-justification": "left", "line-height": 1.1, "min-zoomed-font-size": large ? 7 : 5, "overlay-opacity": 0, "z-index": 10,
      },
    },
    { selector: "node.collapsed", style: { "border-style": large ? "solid" : "double", "border-width": large ? 3 : 5, "font-weight": 700 } },
    { selector: "node.long", style: { "font-size": LONG_SIZES[step] ?? 11 } },
    { selector: "node.bare", style: { "border-style": "dashed" } },
    {
      selector: "node.box",
      style: {
        shape: large ? "rectangle" : "round-rectangle", width: "data(w)", height: "data(h)", "background-color": c["--surface"], "background-opacity": 0.55, "border-width": 1, "border-color": c["--line"],
        "z-compound-depth": "bottom", "z-index": 1, "overlay-opacity": 0,
      },
    },
    { selector: "node.box-mesh", style: { "background-opacity": 0, "border-style": "dashed", "border-color": c["--line-strong"], "z-index": 0, events: "no" } },
    {
      selector: "edge",
      style: { width: 1, "line-color": c["--line-strong"], "curve-style": "straight", "target-arrow-shape": "none", "overlay-opacity": 0, "z-index": 5, "line-cap": "butt" },
    },
    { selector: "edge.link", style: { width: 1, "line-color": c["--line-strong"], "line-style": "dotted", events: "no", "z-index": 2 } },
    {
      selector: "edge.edge",
      style: {
        width: "data(w)", "target-arrow-shape": large ? "none" : "triangle", "arrow-scale": 0.85,
      },
    },
    { selector: "edge.edge, edge.led", style: { "curve-style": "unbundled-bezier", "control-point-weights": "data(cw)", "control-point-distances": "data(cd)", "edge-distances": "endpoints" } },
    { selector: "edge.forward", style: { "source-endpoint": "50% 0%", "target-endpoint": "-50% 0%" } },
    { selector: "edge.back", style: { "source-endpoint": "-50% 0%", "target-endpoint": "50% 0%" } },
    { selector: "edge.down", style: { "source-endpoint": "0% 50%", "target-endpoint": "0% -50%" } },
    { selector: "edge.round", style: { "source-endpoint": "50% 0%", "target-endpoint": "50% 0%" } },
    { selector: "edge.unknown", style: { "line-opacity": crowd ? 0.4 : 0.75 } },
  ];
  for (const [kind, shape] of Object.entries(SHAPES)) style.push({ selector: `node.${kind}`, style: { ...shape } });
  for (const [h, colour] of Object.entries(HEALTH)) style.push({ selector: `node.health-${h}`, style: { "border-color": c[colour] } });
  for (const [lock, dashes] of Object.entries(DASHES)) {
    const colour = c[`--lock-${lock as Lock}`];
    style.push({ selector: `edge.${lock}`, style: { "line-color": colour, "target-arrow-color": colour } });
    style.push({ selector: `edge.share-${lock}`, style: { "line-color": colour, width: 1.6 } });
    if (dashes.length > 0) style.push({ selector: `edge.${lock}`, style: { "line-style": "dashed", "line-dash-pattern": dashes } });
  }
  style.push(
    { selector: "edge.weak", style: { width: 1.4, "line-style": "dashed", "line-dash-pattern": WEAK_DASHES, "line-cap": "round" } },
    { selector: ".dim", style: { opacity: 0.13 } },
    { selector: "node.hover, edge.hover", style: { "overlay-color": c["--accent"], "overlay-opacity": 0.12, "overlay-padding": 5 } },
    { selector: "node.picked, edge.picked", style: { "overlay-color": c["--accent"], "overlay-opacity": 0.22, "overlay-padding": 6, opacity: 1, "z-index": 20 } },
    { selector: "node.box.picked, node.box.hover", style: { "overlay-opacity": 0, "border-color": c["--accent"], "border-width": 2 } },
    { selector: ".gone", style: { display: "none" } },
  );
  return style as unknown as StylesheetJson;
}
