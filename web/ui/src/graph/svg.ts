// The picture as SVG, from the same parts as the canvas. Pure.
import { LOCK_SHAPES } from "../ui/LockIcon";
import { linesOf } from "./elements";
import { curvesOf, endOf, HEIGHT, startOf, WIDTH, type Line, type Point } from "./paths";
import { glyphOf, lockInk, MARKS, tagOf } from "./glyphs";
import type { DrawnEdge, DrawnNode, Picture } from "./picture";
import type { Shown } from "./shown";
import { DASHES, WEAK_DASHES, type Colours } from "./style";

/** Escapes for text and attributes: names come from manifests, and may hold anything. */
export function escape(s: string): string {
  return s.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "\ufffd").replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

interface Words {
  /** Above the picture: the mesh, the window, the time. */
  title: string;
  font: string;
}

const n = (x: number) => String(Math.round(x * 100) / 100);

/** A whole document, with what is shown now and nothing that is hidden. */
export function svgOf(p: Picture, shown: Shown, c: Colours, words: Words): { text: string; width: number; height: number } {
  const pad = 24;
  const head = 34;
  const width = Math.max(320, p.width) + 2 * pad;
  const height = p.height + 2 * pad + head;
  const out: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${n(width)}" height="${n(height)}" viewBox="0 0 ${n(width)} ${n(height)}" font-family="${escape(words.font)}">`,
    `<title>${escape(words.title)}</title>`,
    `<rect width="100%" height="100%" fill="${c["--ground"]}"/>`,
    `<text x="${pad}" y="${pad + 4}" font-size="13" fill="${c["--text-soft"]}">${escape(words.title)}</text>`,
    `<g transform="translate(${pad} ${pad + head})" stroke-linecap="round" stroke-linejoin="round" fill="none">`,
  ];
  const alive = (id: string) => !shown.hidden.has(id);
  const fade = (id: string) => (shown.dim.has(id) ? ' opacity="0.15"' : "");
  for (const b of p.boxes) {
    if (!alive(b.id)) continue;
    out.push(`<rect x="${n(b.x)}" y="${n(b.y)}" width="${n(b.width)}" height="${n(b.height)}" rx="8" fill="${c["--surface"]}" fill-opacity="${b.node ? 0.55 : 0}" stroke="${c["--line"]}"/>`);
    out.push(`<text x="${n(b.x + 10)}" y="${n(b.y + 18)}" font-size="12" font-weight="600" fill="${c["--text-faint"]}">${escape(b.name)}</text>`);
  }
  for (const l of p.links) {
    if (!alive(l.id)) continue;
    const d = l.led ? pathOf(l.line) : `M${at(startOf(l.line.points))}L${at(endOf(l.line.points))}`;
    out.push(`<path d="${d}" stroke="${l.lock ? c[`--lock-${l.lock}`] : c["--line-strong"]}" stroke-dasharray="1.5 4"${fade(l.id)}/>`);
  }
  const tops: string[] = [];
  for (const e of p.edges) {
    if (!alive(e.id)) continue;
    out.push(`<g${fade(e.id)}>${stroke(e, c)}</g>`);
    tops.push(`<g${fade(e.id)}>${badge(e, e.at, c)}</g>`);
  }
  out.push(...tops);
  for (const x of p.nodes) if (alive(x.id)) out.push(`<g${fade(x.id)}>${node(x, c)}</g>`);
  out.push("</g></svg>");
  return { text: out.join("\n"), width, height };
}

const at = (p: Point) => `${n(p.x)} ${n(p.y)}`;

/** A line in the words of SVG. */
function pathOf(l: Line): string {
  return `M${at(startOf(l.points))}${curvesOf(l).map(([, bend, to]) => `Q${at(bend)} ${at(to)}`).join("")}`;
}

function stroke(e: DrawnEdge, c: Colours): string {
  const colour = c[`--lock-${e.lock}`];
  const end = endOf(e.line.points);
  const before = e.line.points[e.line.points.length - 2] ?? end;
  const dashes = e.weak ? WEAK_DASHES : DASHES[e.lock];
  const angle = (Math.atan2(end.y - before.y, end.x - before.x) * 180) / Math.PI;
  const tip = `<path d="M0 0l-8-4v8z" fill="${colour}" transform="translate(${at(end)}) rotate(${n(angle)})"/>`;
  return `<path d="${pathOf(e.line)}" stroke="${colour}" stroke-width="${n(e.width)}"${dashes.length ? ` stroke-dasharray="${dashes.join(" ")}" stroke-linecap="butt"` : ""}/>${tip}`;
}

function badge(e: DrawnEdge, m: { x: number; y: number }, c: Colours): string {
  const { disc, ring, ink } = lockInk(e.lock, c);
  const s = LOCK_SHAPES[e.lock];
  const fill = [s.solid, s.half].filter(Boolean).map((d) => `<path d="${d}" fill="${ink}" stroke="none"/>`);
  const parts = [
    `<circle r="9" fill="${disc}" stroke="${ring}" stroke-width="1.2"/>`,
    `<g transform="translate(-6 -6.4) scale(.75)" stroke="${ink}" stroke-width="1.7">${fill.join("")}<path d="${s.lines}"/></g>`,
    e.marker ? mark(e.marker, 8, -8, c) : "",
    e.label ? `<text y="21" text-anchor="middle" font-size="10.5" fill="${c["--text-soft"]}" stroke="${c["--ground"]}" stroke-width="3" paint-order="stroke">${escape(e.label)}</text>` : "",
  ];
  return `<g transform="translate(${n(m.x)} ${n(m.y)})">${parts.join("")}</g>`;
}

function mark(kind: "error" | "warning", x: number, y: number, c: Colours): string {
  return `<path d="${MARKS[kind]}" transform="translate(${x} ${y})" fill="${c[kind === "error" ? "--error" : "--warning"]}" stroke="${c["--surface"]}" stroke-width="1.5" paint-order="stroke"/>`;
}

const BORDERS = { good: "--good", some: "--warning", bad: "--error", idle: "--line-strong" } as const;

function node(x: DrawnNode, c: Colours): string {
  const w = WIDTH / 2;
  const h = HEIGHT / 2;
  const dashed = x.node.kind === "outside" || x.node.capture === "none" ? ' stroke-dasharray="4 3"' : "";
  const border = `fill="${c["--raised"]}" stroke="${c[BORDERS[x.health]]}" stroke-width="${x.collapsed ? 3 : 1.8}"${dashed}`;
  const cut = `<path d="M${8 - w} ${-h}H${w - 8}L${w} ${8 - h}V${h - 8}L${w - 8} ${h}H${8 - w}L${-w} ${h - 8}V${8 - h}z" ${border}/>`;
  const shapes: Record<string, string> = {
    service: `<rect x="${-w}" y="${-h}" width="${WIDTH}" height="${HEIGHT}" rx="${h}" ${border}/>`,
    ingress: `<path d="M${-w} ${-h}H${w - 18}L${w} 0L${w - 18} ${h}H${-w}z" ${border}/>`,
    egress: cut,
    outside: cut,
  };
  const body = shapes[x.node.kind] ?? `<rect x="${-w}" y="${-h}" width="${WIDTH}" height="${HEIGHT}" rx="7" ${border}/>`;
  const tag = tagOf(x);
  const lines = linesOf(x.node.name).split("\n");
  return (
    `<g transform="translate(${n(x.x)} ${n(x.y)})"><title>${escape(`${x.node.kind} ${x.node.namespace ?? ""} ${x.node.name}`)}</title>${body}` +
    `<path d="${glyphOf(x)}" transform="translate(${11 - w} -9) scale(1.125)" stroke="${c["--accent"]}" stroke-width="1.3"/>` +
    lines.map((t, i) => `<text x="${36 - w}" y="${n(4.5 + (i - (lines.length - 1) / 2) * 14)}" font-size="${lines.length > 1 ? 11 : 12.5}" font-weight="500" fill="${c["--text"]}">${escape(t)}</text>`).join("") +
    (tag ? `<text x="${w - 12}" y="${h + 3.5}" text-anchor="end" font-size="9.5" font-weight="600" fill="${c["--text-soft"]}" stroke="${c["--raised"]}" stroke-width="5" paint-order="stroke">${escape(tag)}</text>` : "") +
    (x.marker ? mark(x.marker, w - 8, -h, c) : "") +
    "</g>"
  );
}

/** Gives a file to the browser's downloads. */
export function save(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The SVG as PNG, twice its size where a browser can hold that. */
export async function pngOf(svg: { text: string; width: number; height: number }): Promise<Blob> {
  const url = URL.createObjectURL(new Blob([svg.text], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const scale = Math.min(2, 12_000 / Math.max(svg.width, svg.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.ceil(svg.width * scale);
    canvas.height = Math.ceil(svg.height * scale);
    const ctx = canvas.getContext("2d");
    if (!ctx) throw new Error("draw PNG: this browser gives no canvas");
    ctx.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done, fail) => canvas.toBlob((b) => (b ? done(b) : fail(new Error("draw PNG: the picture is too large"))), "image/png"));
  } finally {
    URL.revokeObjectURL(url);
  }
}
