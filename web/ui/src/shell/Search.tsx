// The search box: jump to any node, from any view. "/" puts the focus there.
import { useEffect, useId, useMemo, useRef, useState } from "react";
import { useEach } from "../api/resource";
import type { GraphNode } from "../api/types";
import { Icon } from "../ui/Icon";
import { navigate, useRoute } from "./router";

interface Hit {
  mesh: string;
  node: GraphNode;
}

/** Nodes whose name, namespace or ID has all words: those that begin with the first come first. Pure. */
export function find(nodes: readonly Hit[], text: string, most = 12): Hit[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  const ranked = nodes.flatMap((h) => {
    const all = `${h.node.name} ${h.node.namespace ?? ""} ${h.node.id} ${h.node.kind} ${h.mesh}`.toLowerCase();
    if (!words.every((w) => all.includes(w))) return [];
    const name = h.node.name.toLowerCase();
    const first = words[0] ?? "";
    return [{ h, rank: name === first ? 0 : name.startsWith(first) ? 1 : name.includes(first) ? 2 : 3 }];
  });
  ranked.sort((a, b) => a.rank - b.rank || a.h.node.name.localeCompare(b.h.node.name) || a.h.node.id.localeCompare(b.h.node.id));
  return ranked.slice(0, most).map((r) => r.h);
}

export function Search({ meshes }: { meshes: readonly string[] }) {
  const here = useRoute();
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const asked = here.mesh === null ? meshes : [here.mesh];
  // All nodes, those in collapsed groups too.
  const graphs = useEach(open ? asked : [], "graph", { layout: false, expand: "*", window: here.window });
  const nodes = useMemo(() => graphs.flatMap((g, i) => (g.data?.nodes ?? []).map((node) => ({ mesh: asked[i] ?? "", node }))), [graphs, asked]);
  const hits = useMemo(() => find(nodes, text), [nodes, text]);

  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      const on = e.target as HTMLElement;
      if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || on.closest("input, textarea, [contenteditable]")) return;
      e.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    window.addEventListener("keydown", key);
    return () => window.removeEventListener("keydown", key);
  }, []);

  const go = (h: Hit | undefined) => {
    if (!h) return;
    const view = here.view === "table" || here.view === "security" ? here.view : "graph";
    navigate({ view, selection: { mesh: h.mesh, kind: "node", id: h.node.id } });
    setOpen(false);
    setText("");
    input.current?.blur();
  };
  const shown = open && text.trim() !== "";
  const loading = graphs.some((g) => g.data === undefined && !g.error);
  return (
    <div className="search" onBlur={(e) => !e.currentTarget.contains(e.relatedTarget) && setOpen(false)}>
      <Icon name="search" />
      <input
        ref={input}
        type="search"
        role="combobox"
        aria-label="Jump to a workload, service or namespace"
        aria-expanded={shown}
        aria-controls={id}
        aria-activedescendant={shown && hits[at] ? `${id}-${at}` : undefined}
        placeholder="Jump to…"
        autoComplete="off"
        spellCheck={false}
        value={text}
        onFocus={() => setOpen(true)}
        onChange={(e) => {
          setText(e.target.value);
          setOpen(true);
          setAt(0);
        }}
        onKeyDown={(e) => {
          if (e.key === "ArrowDown") setAt(Math.min(at + 1, hits.length - 1));
          else if (e.key === "ArrowUp") setAt(Math.max(at - 1, 0));
          else if (e.key === "Enter") go(hits[at]);
          else if (e.key === "Escape") {
            setText("");
            input.current?.blur();
          } else return;
          e.preventDefault();
        }}
      />
      <kbd aria-hidden="true">/</kbd>
      {shown && (
        <ul id={id} role="listbox" aria-label="Nodes" className="search-hits">
          {hits.map((h, i) => (
            <li key={h.mesh + " " + h.node.id} id={`${id}-${i}`} role="option" aria-selected={i === at} onPointerDown={(e) => e.preventDefault()} onClick={() => go(h)} onPointerMove={() => setAt(i)}>
              <span className="search-kind">{h.node.kind}</span>
              <span className="search-name">{h.node.name}</span>
              <span className="search-where">{[here.mesh === null ? h.mesh : "", h.node.kind === "namespace" ? "" : (h.node.namespace ?? "")].filter(Boolean).join(" · ")}</span>
            </li>
          ))}
          {hits.length === 0 && (
            <li role="option" aria-selected={false} aria-disabled="true" className="search-none">
              {loading ? "looking…" : `nothing is called “${text.trim()}”`}
            </li>
          )}
        </ul>
      )}
    </div>
  );
}
