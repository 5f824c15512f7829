// The graph on a canvas: Cytoscape draws nodes and lines where the server's layout puts them, and a second canvas above it
// the locks. It never lays anything out.
import cytoscape, { type Core, type EventObject } from "cytoscape";
import { onColours } from "../shell/theme";
import { elementsOf, MANY, stepsBetween, type Element } from "./elements";
import { drawOverlay } from "./glyphs";
import type { DrawnNode, Picture } from "./picture";
import type { Shown } from "./shown";
import { colours, stylesheet } from "./style";
import type { Selection } from "../shell/router";

export interface Viewport {
  zoom: number;
  pan: { x: number; y: number };
}

/** What happens on the canvas. Keys are those of the picture; "" is the ground. */
export interface Happenings {
  pick(key: string): void;
  /** A double click, or a double tap. */
  enter(key: string): void;
  hover(key: string, at: { x: number; y: number }): void;
  moved(v: Viewport): void;
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class GraphCanvas {
  private readonly cy: Core;
  private readonly overlay: HTMLCanvasElement;
  private readonly ends: (() => void)[] = [];
  private elements = new Map<string, Element>();
  private picture: Picture = { width: 0, height: 0, nodes: [], boxes: [], edges: [], links: [] };
  private shown: Shown = { hidden: new Set(), dim: new Set(), matches: -1 };
  private large = false;
  private moving = 0;
  private palette = colours();
  private frame = 0;
  private movingUntil = 0;

  constructor(
    private readonly host: HTMLElement,
    happenings: Happenings,
    ratio?: number,
  ) {
    adoptStyles();
    const box = document.createElement("div");
    box.className = "graph-cy";
    this.overlay = document.createElement("canvas");
    this.overlay.className = "graph-overlay";
    host.append(box, this.overlay);
    this.cy = cytoscape({
      container: box,
      style: stylesheet(this.palette, FONT, false),
      layout: { name: "preset" },
      minZoom: 0.03,
      maxZoom: 3,
      autoungrabify: true,
      autounselectify: true,
      boxSelectionEnabled: false,
      // For large graphs: a picture of the last frame is moved while one pans and zooms.
      textureOnViewport: true,
      hideLabelsOnViewport: false,
      pixelRatio: ratio ?? "auto",
    });
    this.listen(happenings);
    this.ends.push(onColours(() => this.restyle()));
    const size = new ResizeObserver(() => {
      this.cy.resize();
      this.paint();
    });
    size.observe(host);
    this.ends.push(() => size.disconnect());
    (host as HTMLElement & { graph?: GraphCanvas }).graph = this; // for measurements and tests of the page
  }

  private listen(h: Happenings): void {
    const key = (e: EventObject): string => (e.target === this.cy ? "" : (e.target as { id(): string }).id());
    const cy = this.cy;
    cy.on("tap", (e) => h.pick(key(e)));
    cy.on("dbltap", (e) => h.enter(key(e)));
    cy.on("mouseover", "node, edge", (e) => {
      (e.target as { addClass(c: string): void }).addClass("hover");
      h.hover(key(e), e.renderedPosition);
    });
    cy.on("mouseout", "node, edge", (e) => {
      (e.target as { removeClass(c: string): void }).removeClass("hover");
      h.hover("", e.renderedPosition);
    });
    cy.on("viewport", () => {
      if (this.large) {
        this.overlay.style.visibility = "hidden";
        window.clearTimeout(this.moving);
        this.moving = window.setTimeout(() => {
          this.overlay.style.visibility = "";
          this.paint();
        }, 140);
      }
      h.hover("", { x: 0, y: 0 });
      h.moved({ zoom: cy.zoom(), pan: { ...cy.pan() } });
    });
    cy.on("render", () => {
      if (!this.large) this.draw();
    });
  }

  /** Shows a picture: what is there already is changed in place, and nothing else moves. */
  show(picture: Picture, shown: Shown, selection: Selection | null): void {
    this.picture = picture;
    this.shown = shown;
    const large = picture.edges.length > MANY;
    if (large !== this.large) {
      this.large = large;
      this.cy.style(stylesheet(this.palette, FONT, large));
    }
    const next = elementsOf(picture, shown, selection);
    const steps = stepsBetween(this.elements, next);
    const first = this.elements.size === 0;
    this.elements = new Map(next.map((e) => [e.id, e]));
    if (steps.remove.length + steps.add.length + steps.update.length > 0) this.cy.batch(() => this.take(steps, first));
    this.paint();
  }

  private take(steps: ReturnType<typeof stepsBetween>, first: boolean): void {
    const cy = this.cy;
    for (const id of steps.remove) cy.getElementById(id).remove();
    if (steps.add.length > 0) {
      // Nodes before the edges that need them.
      const sorted = [...steps.add.filter((e) => e.group === "nodes"), ...steps.add.filter((e) => e.group === "edges")];
      cy.add(sorted.map((e) => ({ group: e.group, classes: e.classes, data: { ...e.data, id: e.id, source: e.source, target: e.target }, position: e.position && { ...e.position } })) as cytoscape.ElementDefinition[]);
    }
    for (const u of steps.update) {
      const e = cy.getElementById(u.id);
      if (u.classes !== undefined) e.classes(u.classes);
      if (u.data) e.data(u.data);
      if (!u.position) continue;
      if (first || this.large || calm()) e.position(u.position);
      else {
        e.animate({ position: u.position }, { duration: 280, easing: "ease-out" });
        this.movingUntil = performance.now() + 400;
      }
    }
  }

  private restyle(): void {
    this.palette = colours();
    this.cy.style(stylesheet(this.palette, FONT, this.large));
    this.paint();
  }

  /** Draws the overlay soon, once for however many wishes. */
  private paint(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = this.host.clientWidth;
    const height = this.host.clientHeight;
    if (this.overlay.width !== Math.round(width * ratio) || this.overlay.height !== Math.round(height * ratio)) {
      this.overlay.width = Math.round(width * ratio);
      this.overlay.height = Math.round(height * ratio);
    }
    const ctx = this.overlay.getContext("2d");
    if (!ctx) return;
    const zoom = this.cy.zoom();
    const pan = this.cy.pan();
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, this.overlay.width, this.overlay.height);
    ctx.setTransform(ratio * zoom, 0, 0, ratio * zoom, ratio * pan.x, ratio * pan.y);
    const moving = performance.now() < this.movingUntil;
    const place = (n: DrawnNode) => (moving ? this.cy.getElementById(n.id).position() : n);
    const view = { zoom, x1: -pan.x / zoom, y1: -pan.y / zoom, x2: (width - pan.x) / zoom, y2: (height - pan.y) / zoom, place };
    drawOverlay(ctx, { picture: this.picture, hidden: this.shown.hidden, dim: this.shown.dim, colours: this.palette, font: FONT }, view);
  }

  viewport(): Viewport {
    return { zoom: this.cy.zoom(), pan: { ...this.cy.pan() } };
  }

  setViewport(v: Viewport): void {
    this.cy.viewport(v);
  }

  /** Fits what is shown, and grows it to no more than its natural size. */
  fit(animate = false): void {
    const eles = this.cy.elements().not(".gone");
    if (eles.empty()) return;
    const b = eles.boundingBox({ includeOverlays: false, includeLabels: false });
    const width = this.host.clientWidth;
    const height = this.host.clientHeight;
    if (width === 0 || height === 0) return;
    const edge = Math.min(48, width * 0.06);
    const zoom = Math.max(this.cy.minZoom(), Math.min((width - 2 * edge) / b.w, (height - 2 * edge - 30) / b.h, 1.15));
    const pan = { x: width / 2 - ((b.x1 + b.x2) / 2) * zoom, y: (height + 10) / 2 - ((b.y1 + b.y2) / 2) * zoom };
    if (animate && !calm() && !this.large) this.cy.animate({ zoom, pan }, { duration: 200 });
    else this.cy.viewport({ zoom, pan });
  }

  zoomBy(factor: number): void {
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: { x: this.host.clientWidth / 2, y: this.host.clientHeight / 2 } });
  }

  panBy(x: number, y: number): void {
    this.cy.panBy({ x, y });
  }

  /** Brings an element into the free part of the view, if it is not there. */
  reveal(key: string, free: { right: number; bottom: number } = { right: 0, bottom: 0 }): void {
    const e = this.cy.getElementById(key);
    if (e.empty() || e.hasClass("gone")) return;
    const b = e.renderedBoundingBox({ includeLabels: false });
    const width = this.host.clientWidth - free.right;
    const height = this.host.clientHeight - free.bottom;
    const cx = (b.x1 + b.x2) / 2;
    const cy = (b.y1 + b.y2) / 2;
    const dx = cx < 50 || cx > width - 50 ? width / 2 - cx : 0;
    const dy = cy < 60 || cy > height - 50 ? height / 2 - cy : 0;
    if (dx === 0 && dy === 0) return;
    if (calm() || this.large) this.cy.panBy({ x: dx, y: dy });
    else this.cy.animate({ panBy: { x: dx, y: dy } }, { duration: 180 });
  }

  /** Where a picture's key is on the screen, within the host; null where it is not there. */
  where(key: string): { x: number; y: number } | null {
    const e = this.cy.getElementById(key);
    if (e.empty()) return null;
    const at = e as unknown as { isNode(): boolean; renderedPosition(): { x: number; y: number }; renderedMidpoint(): { x: number; y: number } };
    return at.isNode() ? { ...at.renderedPosition() } : { ...at.renderedMidpoint() };
  }

  destroy(): void {
    window.clearTimeout(this.moving);
    cancelAnimationFrame(this.frame);
    for (const end of this.ends) end();
    this.cy.destroy();
    this.host.replaceChildren();
  }
}

/** Cytoscape adds a style element of its own unless one is there, and the page's policy forbids that without the nonce. */
function adoptStyles(): void {
  const id = "__________cytoscape_stylesheet";
  if (document.getElementById(id)) return;
  const style = document.createElement("style");
  style.id = id;
  style.nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
  style.textContent = ".__________cytoscape_container { position: relative; }";
  document.head.prepend(style);
}
