// The graph on a canvas: Cytoscape draws nodes and lines where the server's layout puts them, and a second canvas above it
// the locks. It never lays anything out.
import cytoscape, { type Core, type EventObject } from "cytoscape";
import { onColours } from "../shell/theme";
import { CROWD, elementsOf, MANY, stepsBetween, type Element } from "./elements";
import { LOCKS } from "../api/types";
import { drawOverlay } from "./glyphs";
import { Lines, placeOf } from "./lines";
import { HEIGHT, WIDTH } from "./paths";
import type { DrawnEdge, DrawnNode, Picture } from "./picture";
import type { Shown } from "./shown";
import { colours, stepOf, stylesheet } from "./style";
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
  /** Somebody moved the view by hand, or undefined: it is fitted, as it comes by itself. */
  moved(v: Viewport | undefined): void;
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';
/** The shortest rest after a movement, in milliseconds. */
const REST = 130;
/** The least zoom at which names can be read. */
const READABLE = 0.48;

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class GraphCanvas {
  private readonly cy: Core;
  private readonly overlay: HTMLCanvasElement;
  /** Below the nodes: the lines of a large graph. */
  private readonly underlay: HTMLCanvasElement;
  private readonly lines = new Lines();
  /** What the canvases of ours show, while the viewport moves. */
  private drawn: Viewport = { zoom: 1, pan: { x: 0, y: 0 } };
  private ordered: DrawnEdge[] = [];
  private picked = "";
  private hovered = "";
  private readonly ends: (() => void)[] = [];
  private elements = new Map<string, Element>();
  private picture: Picture = { width: 0, height: 0, nodes: [], boxes: [], edges: [], links: [] };
  private shown: Shown = { hidden: new Set(), dim: new Set(), matches: -1 };
  private large = false;
  private moving = 0;
  /** How long the viewport has to rest before it is drawn anew: where that takes long, dragging would wait for it. */
  private rest = REST;
  private palette = colours();
  private frame = 0;
  private movingUntil = 0;
  private step = 0;
  private crowd = false;
  /** Whether somebody moved the view: it is theirs then, until they have it fitted. */
  byHand = false;

  constructor(
    private readonly host: HTMLElement,
    private readonly happenings: Happenings,
    ratio?: number,
  ) {
    adoptStyles();
    const box = document.createElement("div");
    box.className = "graph-cy";
    this.overlay = document.createElement("canvas");
    this.overlay.className = "graph-overlay";
    this.underlay = document.createElement("canvas");
    this.underlay.className = "graph-underlay";
    host.append(this.underlay, box, this.overlay);
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
    const cy = this.cy;
    // In a large graph the lines are no elements: what is not a node may be a line.
    const key = (e: EventObject): string => {
      const id = e.target === cy ? "" : (e.target as { id(): string }).id();
      const line = this.large && (id === "" || cy.getElementById(id).hasClass("box")) ? this.lines.at(e.position.x, e.position.y, 7 / cy.zoom()) : "";
      return line || id;
    };
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
    cy.on("mousemove", (e) => this.large && this.overLine(e, key, h));
    cy.on("viewport", () => {
      if (this.large) this.follow();
      else if (stepOf(cy.zoom()) !== this.step) this.sheet();
      h.hover("", { x: 0, y: 0 });
      if (this.byHand) h.moved({ zoom: cy.zoom(), pan: { ...cy.pan() } });
    });
    cy.on("dragpan scrollzoom pinchzoom", () => {
      this.byHand = true;
      h.moved({ zoom: cy.zoom(), pan: { ...cy.pan() } });
    });
    cy.on("render", () => {
      if (!this.large) this.draw();
    });
  }

  private overLine(e: EventObject, key: (e: EventObject) => string, h: Happenings): void {
    if (this.moving) return;
    const at = key(e);
    if (at === this.hovered) return;
    this.hovered = at;
    h.hover(at, e.renderedPosition);
    this.paint();
  }

  /** Moves what is drawn along with the viewport, and draws it anew when that rests. */
  private follow(): void {
    const zoom = this.cy.zoom() / this.drawn.zoom;
    const pan = this.cy.pan();
    this.underlay.style.transform = `translate(${pan.x - this.drawn.pan.x * zoom}px, ${pan.y - this.drawn.pan.y * zoom}px) scale(${zoom})`;
    this.overlay.style.visibility = "hidden";
    window.clearTimeout(this.moving);
    this.moving = window.setTimeout(() => {
      this.moving = 0;
      this.paint();
    }, this.rest);
  }

  /** Shows a picture: what is there already is changed in place, and nothing else moves. */
  show(picture: Picture, shown: Shown, selection: Selection | null): void {
    this.picture = picture;
    this.shown = shown;
    this.ordered = worstFirst(picture, shown);
    const large = picture.edges.length > MANY;
    const crowd = picture.edges.length > CROWD;
    if (large !== this.large || crowd !== this.crowd) {
      this.large = large;
      this.crowd = crowd;
      this.sheet();
    }
    const next = elementsOf(picture, shown, selection);
    const steps = stepsBetween(this.elements, next);
    const first = this.elements.size === 0;
    this.elements = new Map(next.map((e) => [e.id, e]));
    this.picked = selection ? `${selection.mesh} ${selection.id}` : "";
    if (large) this.lines.set(picture, shown, this.palette);
    if (steps.remove.length + steps.add.length + steps.update.length > 0) this.cy.batch(() => this.take(steps, first));
    this.paint();
  }

  private take(steps: ReturnType<typeof stepsBetween>, first: boolean): void {
    const cy = this.cy;
    for (const id of steps.remove) cy.getElementById(id).remove();
    if (steps.add.length > 0) {
      // Nodes before the edges that need them.
      const sorted = [...steps.add.filter((e) => e.group === "nodes"), ...steps.add.filter((e) => e.group === "edges")];
      cy.add(sorted.map((e) => ({ group: e.group, classes: e.classes, pannable: true, data: { ...e.data, id: e.id, source: e.source, target: e.target }, position: e.position && { ...e.position } })) as cytoscape.ElementDefinition[]);
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
    this.sheet();
    if (this.large) this.lines.set(this.picture, this.shown, this.palette);
    this.paint();
  }

  private sheet(): void {
    this.step = this.large ? 0 : stepOf(this.cy.zoom());
    this.cy.style(stylesheet(this.palette, FONT, this.large, this.step, this.crowd));
  }

  /** Draws the overlay soon, once for however many wishes. */
  private paint(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      const begin = performance.now();
      this.draw();
      requestAnimationFrame(() => (this.rest = Math.min(1000, Math.max(REST, 2 * (performance.now() - begin)))));
    });
  }

  private draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const ratio = this.large ? 1 : Math.min(2, window.devicePixelRatio || 1);
    const width = this.host.clientWidth;
    const height = this.host.clientHeight;
    const zoom = this.cy.zoom();
    const pan = this.cy.pan();
    const begin = (canvas: HTMLCanvasElement): CanvasRenderingContext2D | null => {
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
      const ctx = canvas.getContext("2d");
      ctx?.setTransform(1, 0, 0, 1, 0, 0);
      ctx?.clearRect(0, 0, canvas.width, canvas.height);
      ctx?.setTransform(ratio * zoom, 0, 0, ratio * zoom, ratio * pan.x, ratio * pan.y);
      return ctx;
    };
    this.drawLines(begin);
    const ctx = begin(this.overlay);
    if (!ctx) return;
    this.overlay.style.visibility = "";
    const moving = performance.now() < this.movingUntil;
    const place = (n: DrawnNode) => (moving ? this.cy.getElementById(n.id).position() : n);
    const view = { zoom, x1: -pan.x / zoom, y1: -pan.y / zoom, x2: (width - pan.x) / zoom, y2: (height - pan.y) / zoom, place, moving };
    drawOverlay(ctx, { picture: this.picture, ordered: this.ordered, hidden: this.shown.hidden, dim: this.shown.dim, colours: this.palette, font: FONT }, view);
  }

  private drawLines(begin: (c: HTMLCanvasElement) => CanvasRenderingContext2D | null): void {
    this.underlay.hidden = !this.large;
    const ctx = this.large ? begin(this.underlay) : null;
    if (!ctx) return;
    const zoom = this.cy.zoom();
    this.drawn = { zoom, pan: { ...this.cy.pan() } };
    this.underlay.style.transform = "";
    this.lines.draw(ctx, zoom);
    for (const key of [this.picked, this.hovered]) if (key) this.lines.mark(ctx, key, this.palette["--accent"], zoom);
  }

  viewport(): Viewport {
    return { zoom: this.cy.zoom(), pan: { ...this.cy.pan() } };
  }

  /** Shows what somebody looked at by hand. */
  setViewport(v: Viewport): void {
    this.byHand = true;
    this.cy.viewport(v);
  }

  /** Fits what is shown, and grows it to no more than its natural size. The view is then nobody's. */
  fit(animate = false): void {
    const v = this.fitting();
    if (!v) return;
    this.byHand = false;
    this.happenings.moved(undefined);
    this.cy.stop();
    if (animate && !calm() && !this.large) this.cy.animate(v, { duration: 200 });
    else this.cy.viewport(v);
  }

  /** The first look: all of it, or, where that could not be read, what is selected or worst in the middle. */
  open(animate = false): void {
    const v = this.fitting();
    if (!v) return;
    const worst = this.ordered.find((e) => e.lock !== "locked" && !this.shown.hidden.has(e.id));
    const at = placeOf(this.picture, this.picked || (worst?.id ?? ""));
    if (v.zoom >= READABLE || this.picture.nodes.length > 150 || !at) return this.fit(animate);
    const zoom = READABLE * 1.15;
    const b = extentOf(this.picture, this.shown.hidden);
    // No farther than the border of the drawing.
    const pan = (middle: number, low: number, high: number, room: number) => Math.max(room - 24 - high * zoom, Math.min(24 - low * zoom, room / 2 - middle * zoom));
    this.cy.viewport({ zoom, pan: { x: b ? pan(at.x, b.x1, b.x2, this.host.clientWidth) : 0, y: b && b.h * zoom > this.host.clientHeight ? pan(at.y, b.y1, b.y2, this.host.clientHeight) : (this.host.clientHeight - 20) / 2 - ((b?.y1 ?? 0) + (b?.h ?? 0) / 2) * zoom } });
  }

  private fitting(): Viewport | undefined {
    const b = extentOf(this.picture, this.shown.hidden);
    const width = this.host.clientWidth;
    const height = this.host.clientHeight;
    if (!b || width === 0 || height === 0) return undefined;
    const edge = Math.min(24, width * 0.04);
    const zoom = Math.max(this.cy.minZoom(), Math.min((width - 2 * edge) / b.w, (height - 2 * edge - 44) / b.h, 1.15));
    return { zoom, pan: { x: width / 2 - ((b.x1 + b.x2) / 2) * zoom, y: (height - 20) / 2 - ((b.y1 + b.y2) / 2) * zoom } };
  }

  /** Whether nothing of what is shown is in the view. */
  blank(): boolean {
    const { zoom, pan } = this.viewport();
    const seen = (at: number, move: number, room: number) => at * zoom + move > 0 && at * zoom + move < room;
    return !this.picture.nodes.some((n) => !this.shown.hidden.has(n.id) && seen(n.x, pan.x, this.host.clientWidth) && seen(n.y, pan.y, this.host.clientHeight));
  }

  zoomBy(factor: number): void {
    this.byHand = true;
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: { x: this.host.clientWidth / 2, y: this.host.clientHeight / 2 } });
  }

  panBy(x: number, y: number): void {
    this.byHand = true;
    this.cy.panBy({ x, y });
  }

  /** Brings an element into the free part of the view, if it is not there. */
  reveal(key: string, free: { right: number; bottom: number } = { right: 0, bottom: 0 }): void {
    const at = this.shown.hidden.has(key) ? undefined : this.where(key);
    if (!at) return;
    const width = this.host.clientWidth - free.right;
    const height = this.host.clientHeight - free.bottom;
    const dx = at.x < 60 || at.x > width - 60 ? width / 2 - at.x : 0;
    const dy = at.y < 60 || at.y > height - 60 ? height / 2 - at.y : 0;
    if (dx === 0 && dy === 0) return;
    if (calm() || this.large) this.cy.panBy({ x: dx, y: dy });
    else this.cy.animate({ panBy: { x: dx, y: dy } }, { duration: 180 });
  }

  /** Where a picture's key is on the screen, within the host; null where it is not there. */
  where(key: string): { x: number; y: number } | null {
    const p = placeOf(this.picture, key);
    const { zoom, pan } = this.viewport();
    return p ? { x: p.x * zoom + pan.x, y: p.y * zoom + pan.y } : null;
  }

  destroy(): void {
    window.clearTimeout(this.moving);
    cancelAnimationFrame(this.frame);
    for (const end of this.ends) end();
    this.cy.destroy();
    this.host.replaceChildren();
  }
}

/** The edges in the order in which their locks get room: what matches before what is dimmed, then the worst. */
function worstFirst(p: Picture, shown: Shown): DrawnEdge[] {
  const rank = (e: DrawnEdge) => (shown.dim.has(e.id) ? 10 : 0) + LOCKS.indexOf(e.lock) - (e.marker ? 0.5 : 0);
  return p.edges.map((e) => [rank(e), e] as const).sort((a, b) => a[0] - b[0]).map(([, e]) => e);
}

/** The rectangle of what is shown; undefined without anything. */
function extentOf(p: Picture, hidden: ReadonlySet<string>): { x1: number; y1: number; x2: number; y2: number; w: number; h: number } | undefined {
  const b = { x1: Infinity, y1: Infinity, x2: -Infinity, y2: -Infinity };
  const take = (id: string, x1: number, y1: number, x2: number, y2: number) => {
    if (hidden.has(id)) return;
    b.x1 = Math.min(b.x1, x1);
    b.y1 = Math.min(b.y1, y1);
    b.x2 = Math.max(b.x2, x2);
    b.y2 = Math.max(b.y2, y2);
  };
  for (const n of p.nodes) take(n.id, n.x - WIDTH / 2, n.y - HEIGHT / 2, n.x + WIDTH / 2, n.y + HEIGHT / 2);
  for (const x of p.boxes) take(x.id, x.x, x.y, x.x + x.width, x.y + x.height);
  return b.x1 > b.x2 ? undefined : { ...b, w: Math.max(1, b.x2 - b.x1), h: Math.max(1, b.y2 - b.y1) };
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
