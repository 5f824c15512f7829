// The graph view: what is drawn, by what filter, and what can be done with it. Everything that it shows is in the URL.
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { ApiError } from "../api/client";
import { refresh, useEach } from "../api/resource";
import type { Graph } from "../api/types";
import { navigate, useParam, useRoute, type Selection } from "../shell/router";
import type { ViewProps } from "../shell/views";
import { announce } from "../ui/announce";
import { Empty, Failure, Loading } from "../ui/States";
import { GraphCanvas, type Viewport } from "./canvas";
import { changesBetween } from "./changed";
import { tryCompile, type Mode } from "./expression";
import { GraphList } from "./GraphList";
import { HoverCard } from "./HoverCard";
import { Counts, Notices } from "./Notices";
import { groupName, keyOf, LABELS, pictureOf, type DrawnNode, type Label, type Picture } from "./picture";
import { shownOf } from "./shown";
import { Near, Toolbar, type Actions } from "./Toolbar";
import "./graph.css";

/** How often to look even if no event comes, in milliseconds. */
const poll = 4000;

/** Where somebody has moved the view of each graph to: to come back there. */
const viewports = new Map<string, Viewport>();

export default function GraphView({ mesh, meshes, window }: ViewProps) {
  const names = useMemo(() => (mesh === null ? meshes.filter((m) => !m.problem).map((m) => m.name) : [mesh]), [mesh, meshes]);
  const [expand] = useParam("expand");
  const query = useMemo(() => ({ window, expand: expand ? expand.split(",") : undefined }), [window, expand]);
  const answers = useEach(names, "graph", query, poll);
  const kept = useKept(names, answers);
  const error = answers.find((a) => a.error)?.error;
  const away = meshes.filter((m) => m.problem && (mesh === null || m.name === mesh)).map((m) => `${m.name}: ${m.problem}`);
  if (names.length === 0) return <Empty title="No mesh answers" icon="graph" children={away.join("; ")} />;
  if (kept.length === 0) return error ? <Failure what="the graph" error={error} retry={() => refresh()} /> : <Skeleton />;
  return <Loaded graphs={kept} error={error} away={away} scope={mesh ?? ""} />;
}

interface Known {
  mesh: string;
  graph: Graph;
}

/** The graphs that came, and those before them while others are asked for: nothing flashes. */
function useKept(names: readonly string[], answers: readonly { data?: Graph }[]): readonly Known[] {
  const before = useRef<readonly Known[]>([]);
  return useMemo(() => {
    const next = names.flatMap((mesh, i) => {
      const graph = answers[i]?.data ?? before.current.find((k) => k.mesh === mesh)?.graph;
      return graph ? [{ mesh, graph }] : [];
    });
    const same = next.length === before.current.length && next.every((k, i) => k.graph === before.current[i]?.graph && k.mesh === before.current[i]?.mesh);
    if (!same) before.current = next;
    return before.current;
  }, [names, answers]);
}

function Skeleton() {
  return (
    <div className="graph">
      <Loading what="the graph" lines={4} />
    </div>
  );
}

interface LoadedProps {
  graphs: readonly Known[];
  error?: ApiError;
  away: readonly string[];
  /** The mesh, "" for all. */
  scope: string;
}

function Loaded({ graphs, error, away, scope }: LoadedProps) {
  const here = useRoute();
  const [q] = useParam("q");
  const [as] = useParam("as");
  const [labelName] = useParam("label");
  const [near] = useParam("near");
  const [hops] = useParam("hops");
  const label: Label = Object.hasOwn(LABELS, labelName) ? (labelName as Label) : "mtls";
  const mode: Mode = as === "only" || as === "hide" ? as : "find";
  const picture = useMemo(() => pictureOf(graphs, label, innerWidth <= 760 ? 0.6 : 1.7), [graphs, label]);
  const compiled = useMemo(() => (q.trim() ? tryCompile(q) : {}), [q]);
  const shown = useMemo(
    () => shownOf(picture, { match: compiled.match, mode, near: near && picture.nodes.some((n) => n.id === near) ? { id: near, hops: hops === "2" ? 2 : 1 } : undefined }),
    [picture, compiled, mode, near, hops],
  );
  useChanges(picture);
  const canvas = useRef<GraphCanvas>(null);
  const [listed, setListed] = useState(false);
  const [hover, setHover] = useState<{ key: string; x: number; y: number } | null>(null);
  const actions = useActions(picture, canvas, scope);
  const [expand] = useParam("expand");
  const beside = useRef(listed);
  useEffect(() => {
    if (beside.current !== listed && !canvas.current?.byHand) canvas.current?.fit();
    beside.current = listed;
  }, [listed]);
  const host = useCanvas({ canvas, picture, shown, selection: here.selection, scope, near, expand, actions, setHover });
  useGraphKeys(actions, here.selection, setListed);
  const nothing = picture.nodes.length === 0;
  return (
    <div className="graph">
      <h1 className="hidden">Graph of {actions.name}</h1>
      <Toolbar q={q} mode={mode} label={label} error={compiled.error} matches={shown.matches} picture={picture} shown={shown} actions={actions} listed={listed} setListed={setListed} />
      <div className="graph-stage">
        <GraphList picture={picture} shown={shown} selection={here.selection} open={listed} setOpen={setListed} onReveal={(k) => canvas.current?.reveal(k)} actions={actions} />
        <div className="graph-host" ref={host} role="img" aria-label={`Graph of ${picture.nodes.length} nodes and ${picture.edges.length} edges. The list beside it has the same.`} />
        {nothing && (
          <div className="graph-none">
            <Empty title="There is nothing to draw" icon="graph">
              The manifests have no workload and no service yet.
            </Empty>
          </div>
        )}
        {!nothing && shown.matches === 0 && mode === "only" && (
          <div className="graph-none">
            <Empty title="Nothing matches" icon="filter">
              <p className="mono">{q}</p>
              <button className="button" onClick={() => actions.filter("", "find")}>
                Show all
              </button>
            </Empty>
          </div>
        )}
        {near && <Near near={near} hops={hops === "2" ? 2 : 1} picture={picture} actions={actions} />}
        <Notices graphs={graphs} error={error} away={away} />
        <Counts picture={picture} q={q} mode={mode} actions={actions} />
        {hover && <HoverCard hover={hover} picture={picture} />}
      </div>
    </div>
  );
}

/** Says which locks changed. */
function useChanges(picture: Picture): void {
  const before = useRef<Picture>(undefined);
  useEffect(() => {
    const text = before.current ? changesBetween(before.current, picture) : "";
    before.current = picture;
    if (text) announce(text);
  }, [picture]);
}

/** What can be done, wherever it is asked for: toolbar, keys, list and canvas. */
function useActions(picture: Picture, canvas: React.RefObject<GraphCanvas | null>, scope: string): Actions {
  const now = useRef(picture);
  now.current = picture;
  return useMemo(() => {
    const nodeOf = (key: string): DrawnNode | undefined => now.current.nodes.find((n) => n.id === key);
    const groups = (): string[] => (new URLSearchParams(location.search).get("expand") ?? "").split(",").filter(Boolean);
    const expand = (list: string[]) => navigate({ query: { expand: list.join(",") || null } });
    const around = (key: string) => {
      const now = new URLSearchParams(location.search);
      const more = now.get("near") === key && now.get("hops") !== "2";
      if (now.get("near") === key && !more) navigate({ query: { near: null, hops: null } });
      else navigate({ query: { near: key, hops: more ? "2" : null } });
    };
    return {
      select(key) {
        const selection = selectionOf(now.current, key);
        navigate({ selection });
      },
      filter: (q, mode) => navigate({ query: { q: q || null, as: q && mode !== "find" ? mode : null } }, { replace: true }),
      label: (label) => navigate({ query: { label: label === "mtls" ? null : label } }, { replace: true }),
      enter(key) {
        const n = nodeOf(key);
        const box = now.current.boxes.find((b) => b.id === key && b.node);
        if (n?.collapsed) expand([...groups(), groupName(n.node.id)]);
        else if (n) around(key);
        else if (box) expand(groups().filter((g) => g !== box.name && !g.startsWith(box.name + "/")));
      },
      around,
      everything: () => navigate({ query: { near: null, hops: null } }),
      expandAll: () => expand(now.current.nodes.some((n) => n.collapsed) ? ["*"] : []),
      fit: () => canvas.current?.fit(true),
      zoom: (factor) => canvas.current?.zoomBy(factor),
      pan: (x, y) => canvas.current?.panBy(x, y),
      name: scope || "all meshes",
    };
  }, [canvas, scope]);
}

/** From a key of the picture to what the URL says. */
function selectionOf(p: Picture, key: string): Selection | null {
  const n = p.nodes.find((x) => x.id === key);
  if (n) return { mesh: n.mesh, kind: "node", id: n.node.id };
  const b = p.boxes.find((x) => x.id === key);
  if (b?.node) return { mesh: b.mesh, kind: "node", id: b.node.id };
  const e = p.edges.find((x) => x.id === key);
  return e ? { mesh: e.mesh, kind: "edge", id: e.edge.id } : null;
}

interface CanvasWants {
  canvas: React.RefObject<GraphCanvas | null>;
  picture: Picture;
  shown: ReturnType<typeof shownOf>;
  selection: Selection | null;
  scope: string;
  near: string;
  /** The groups that the URL wants open. */
  expand: string;
  actions: Actions;
  setHover: (h: { key: string; x: number; y: number } | null) => void;
}

/** The meshes of a picture, as one word. */
const meshesOf = (p: Picture): string => [...new Set(p.nodes.map((n) => n.mesh))].join("\n");

/** The collapsed groups of a picture, as one word. */
function groupsOf(p: Picture): string {
  return p.nodes
    .filter((n) => n.collapsed)
    .map((n) => n.id)
    .sort()
    .join("\n");
}

/** Makes the canvas once, and shows each picture on it. */
function useCanvas(w: CanvasWants) {
  const host = useRef<HTMLDivElement>(null);
  const { canvas } = w;
  const fitted = useRef("");
  const opened = useRef({ groups: "", meshes: "", expand: "" });
  const latest = useRef(w);
  latest.current = w;
  useEffect(() => {
    if (!host.current) return;
    const ratio = latest.current.picture.edges.length > 1200 ? 1 : undefined;
    const c = new GraphCanvas(
      host.current,
      {
        pick: (key) => latest.current.actions.select(key),
        enter: (key) => latest.current.actions.enter(key),
        hover: (key, at) => latest.current.setHover(key ? { key, x: at.x + (host.current?.offsetLeft ?? 0), y: at.y } : null),
        moved: (v) => (v ? viewports.set(latest.current.scope, v) : viewports.delete(latest.current.scope)),
      },
      ratio,
    );
    canvas.current = c;
    fitted.current = "";
    return () => {
      c.destroy();
      canvas.current = null;
    };
  }, [canvas]);
  useEffect(() => {
    const c = canvas.current;
    if (!c) return;
    c.show(w.picture, w.shown, w.selection);
    // It is fitted once, when another neighbourhood is looked at, and when groups open or close; never because something moved.
    const key = `${w.scope}|${w.near}|${w.picture.nodes.length > 0}`;
    const meshes = meshesOf(w.picture);
    const groups = groupsOf(w.picture);
    const before = opened.current;
    if (groups !== before.groups || meshes !== before.meshes) opened.current = { groups, meshes, expand: w.expand };
    if (fitted.current !== key) {
      const back = fitted.current === "" && !w.near ? viewports.get(w.scope) : undefined;
      if (back) c.setViewport(back);
      else c.open(fitted.current !== "");
      fitted.current = key;
      opened.current = { groups, meshes, expand: w.expand };
    } else if (meshes !== before.meshes && !c.byHand) {
      c.open(); // the graph of another mesh came, or one went
    } else if (groups !== before.groups && (!c.byHand || c.blank()) && (w.expand !== before.expand || (groups === "") !== (before.groups === ""))) {
      c.fit(true); // groups were opened or closed, and that is drawn now
    }
  }, [canvas, w.picture, w.shown, w.selection, w.scope, w.near, w.expand]);
  const picked = w.selection ? keyOf(w.selection.mesh, w.selection.id) : "";
  useEffect(() => {
    if (!picked) return;
    // The drawer opens in this frame: its room is known in the next.
    const t = window.setTimeout(() => canvas.current?.reveal(picked, { right: 0, bottom: innerWidth <= 760 ? (host.current?.clientHeight ?? 0) * 0.72 : 0 }), 60);
    return () => window.clearTimeout(t);
  }, [canvas, picked]);
  return host;
}

/** Keys of the view, where no field has the focus. */
function useGraphKeys(actions: Actions, selection: Selection | null, setListed: (f: (was: boolean) => boolean) => void): void {
  const key = useCallback(
    (e: KeyboardEvent) => {
      const on = e.target as HTMLElement;
      if (e.ctrlKey || e.metaKey || e.altKey || on.closest("input, textarea, select, [role=listbox], [contenteditable], .drawer, .menu-body")) return;
      const picked = selection ? keyOf(selection.mesh, selection.id) : "";
      const moves: Record<string, () => void> = {
        "+": () => actions.zoom(1.25), "=": () => actions.zoom(1.25), "-": () => actions.zoom(0.8), f: actions.fit, "0": actions.fit,
        ArrowLeft: () => actions.pan(60, 0), ArrowRight: () => actions.pan(-60, 0), ArrowUp: () => actions.pan(0, 60), ArrowDown: () => actions.pan(0, -60),
        l: () => setListed((was) => !was), a: actions.everything,
        n: () => selection?.kind === "node" && actions.around(picked),
        e: () => selection?.kind === "node" && actions.enter(picked),
      };
      const move = moves[e.key];
      if (!move || (e.key.startsWith("Arrow") && on.closest("a, button"))) return;
      e.preventDefault();
      move();
    },
    [actions, selection, setListed],
  );
  useEffect(() => {
    window.addEventListener("keydown", key);
    return () => window.removeEventListener("keydown", key);
  }, [key]);
}
