// The same as the canvas, as a list: for keys, and for those who hear the page. It shows while it has the focus, or when
// it is asked for.
import { useEffect, useMemo, useRef, useState } from "react";
import type { Selection } from "../shell/router";
import { LockIcon } from "../ui/LockIcon";
import { keyOf, namer, sentenceOf, type DrawnEdge, type DrawnNode, type Picture } from "./picture";
import type { Shown } from "./shown";
import type { Actions } from "./Toolbar";

interface Item {
  key: string;
  node?: DrawnNode;
  edge?: DrawnEdge;
}

/** Nodes from left to right and from top to bottom, mesh by mesh, each followed by where its edges lead. Pure. */
export function itemsOf(p: Picture, shown: Shown): Item[] {
  const leaving = new Map<string, DrawnEdge[]>();
  for (const e of p.edges) {
    if (shown.hidden.has(e.id)) continue;
    const list = leaving.get(e.from);
    if (list) list.push(e);
    else leaving.set(e.from, [e]);
  }
  const order = [...new Set(p.nodes.map((n) => n.mesh))];
  const nodes = p.nodes.filter((n) => !shown.hidden.has(n.id)).sort((a, b) => order.indexOf(a.mesh) - order.indexOf(b.mesh) || a.x - b.x || a.y - b.y);
  return nodes.flatMap((n): Item[] => [{ key: n.id, node: n }, ...(leaving.get(n.id) ?? []).map((e) => ({ key: e.id, edge: e }))]);
}

/** What an item is called: of an edge its ends. */
interface Called {
  ends: (e: DrawnEdge) => [string, string];
  /** Several namespaces, or meshes, are drawn: a name alone may be that of another node. */
  namespaces: boolean;
  meshes: boolean;
}

function calledIn(p: Picture): Called {
  const spaces = new Set(p.nodes.filter((n) => n.node.kind !== "namespace").map((n) => n.node.namespace ?? ""));
  spaces.delete("");
  return { ends: namer(p), namespaces: spaces.size > 1, meshes: new Set(p.nodes.map((n) => n.mesh)).size > 1 };
}

const kindOf = (n: DrawnNode) => (n.collapsed ? "group" : n.node.gateway ? "gateway" : n.node.kind);
const spaceOf = (n: DrawnNode) => (n.node.kind === "namespace" ? "" : (n.node.namespace ?? ""));

/** What is said of an item. */
function textOf(item: Item, called: Called): string {
  const n = item.node;
  const mesh = called.meshes ? `mesh ${(item.edge ?? n)?.mesh}` : "";
  if (item.edge) return [sentenceOf(item.edge, called.ends(item.edge)), mesh].filter(Boolean).join(", ");
  if (!n) return "";
  return [n.node.name, kindOf(n), spaceOf(n), n.node.version, n.marker, mesh].filter(Boolean).join(", ");
}

/** The faint words beside a node: where it is, where names alone do not tell. */
function whereOf(n: DrawnNode, called: Called): string {
  return [called.namespaces && spaceOf(n), called.meshes && n.mesh, kindOf(n)].filter(Boolean).join(" · ");
}

/** Rows that are made at once, and the height of each, in pixels. */
const page = 60;
const row = 28;

interface Props {
  picture: Picture;
  shown: Shown;
  selection: Selection | null;
  open: boolean;
  setOpen: (v: boolean) => void;
  onReveal: (key: string) => void;
  actions: Actions;
}

export function GraphList({ picture, shown, selection, open, setOpen, onReveal, actions }: Props) {
  const items = useMemo(() => itemsOf(picture, shown), [picture, shown]);
  const picked = selection ? keyOf(selection.mesh, selection.id) : "";
  const [active, setActive] = useState("");
  const [top, setTop] = useState(0);
  const typed = useRef({ text: "", at: 0 });
  const box = useRef<HTMLDivElement>(null);
  const found = items.findIndex((i) => i.key === (active || picked));
  const at = Math.max(0, found);
  const first = Math.max(0, Math.floor(top / row) - 15);
  const called = useMemo(() => calledIn(picture), [picture]);

  const go = (to: number) => {
    const i = Math.max(0, Math.min(items.length - 1, to));
    const item = items[i];
    if (!item) return;
    setActive(item.key);
    onReveal(item.key);
    const b = box.current;
    if (b && (i * row < b.scrollTop || (i + 1) * row > b.scrollTop + b.clientHeight)) b.scrollTop = i * row - b.clientHeight / 2;
  };
  useEffect(() => {
    const i = items.findIndex((x) => x.key === picked);
    const b = box.current;
    if (i >= 0 && b && (i * row < b.scrollTop || (i + 1) * row > b.scrollTop + b.clientHeight)) b.scrollTop = i * row - b.clientHeight / 2;
    // The list follows the selection, not each picture.
  }, [picked, open]);

  const key = (e: React.KeyboardEvent) => {
    const item = items[at];
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === "ArrowDown") go(found < 0 ? 0 : at + 1);
    else if (e.key === "ArrowUp") go(at - 1);
    else if (e.key === "PageDown") go(at + 12);
    else if (e.key === "PageUp") go(at - 12);
    else if (e.key === "Home") go(0);
    else if (e.key === "End") go(items.length - 1);
    // Along an edge to its server, and back to the node that it leaves.
    else if (e.key === "ArrowRight" && item?.edge) go(items.findIndex((x) => x.key === item.edge?.to));
    else if (e.key === "ArrowLeft" && item?.edge) go(items.findIndex((x) => x.key === item.edge?.from));
    else if (e.key === "Enter" || e.key === " ") {
      if (item) actions.select(item.key);
    } else if (e.key === "Escape") {
      setOpen(false);
      (document.activeElement as HTMLElement | null)?.blur();
    } else if (e.key.length === 1) {
      const now = performance.now();
      typed.current = { text: (now - typed.current.at < 700 ? typed.current.text : "") + e.key.toLowerCase(), at: now };
      const t = typed.current.text;
      const order = [...items.keys()].map((i) => (i + at + (t.length === 1 ? 1 : 0)) % items.length);
      const hit = order.find((i) => items[i]?.node?.node.name.toLowerCase().startsWith(t));
      if (hit !== undefined) go(hit);
    } else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <div className={open ? "graph-list graph-list-open" : "graph-list"}>
      <div
        ref={box}
        role="listbox"
        tabIndex={0}
        aria-label="Nodes and edges. Arrows move, Enter shows details, right and left follow an edge."
        aria-activedescendant={items[at] ? `graph-item-${at}` : undefined}
        onKeyDown={key}
        onScroll={(e) => setTop(e.currentTarget.scrollTop)}
      >
        <div className="graph-list-room" style={{ height: items.length * row }}>
          {windowOf(items.length, first, at).map((i) => {
            const item = items[i];
            if (!item) return null;
            return (
              <div
                key={item.key}
                id={`graph-item-${i}`}
                role="option"
                aria-selected={item.key === picked}
                aria-setsize={items.length}
                aria-posinset={i + 1}
                className={`graph-item ${item.edge ? "graph-item-edge" : ""} ${i === at && found >= 0 ? "graph-item-active" : ""}`}
                style={{ top: i * row }}
                onClick={() => {
                  setActive(item.key);
                  actions.select(item.key);
                }}
              >
                <span className="hidden">{textOf(item, called)}</span>
                {item.edge ? (
                  <>
                    <LockIcon lock={item.edge.lock} size={13} label="" />
                    <span aria-hidden="true">
                      → {called.ends(item.edge)[1]}
                      {item.edge.edge.port ? `:${item.edge.edge.port}` : ""}
                    </span>
                    <small aria-hidden="true">{item.edge.label}</small>
                  </>
                ) : (
                  <>
                    <b aria-hidden="true">{item.node?.node.name}</b>
                    <small aria-hidden="true" title={item.node && whereOf(item.node, called)}>
                      {item.node && whereOf(item.node, called)}
                    </small>
                  </>
                )}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** The rows that are made: those that are seen, and the active one. */
function windowOf(length: number, first: number, active: number): number[] {
  const out = Array.from({ length: Math.max(0, Math.min(page, length - first)) }, (_, i) => first + i);
  if (active < length && !out.includes(active)) out.push(active);
  return out;
}
