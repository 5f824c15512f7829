import { useEffect, useState } from "react";
import { Icon } from "../ui/Icon";
import { Menu } from "../ui/Menu";
import { count } from "../ui/format";
import { ExpressionHelp } from "./ExpressionHelp";
import { PRESETS, type ExpressionError, type Mode } from "./expression";
import { Legend } from "./Legend";
import { LABELS, type Label, type Picture } from "./picture";
import type { Shown } from "./shown";
import { colours } from "./style";
import { pngOf, save, svgOf } from "./svg";

/** What can be done with the graph. Keys are those of the picture. */
export interface Actions {
  /** "" selects nothing. */
  select(key: string): void;
  filter(q: string, mode: Mode): void;
  label(label: Label): void;
  /** Opens a collapsed group, closes a box, or looks around a node. */
  enter(key: string): void;
  around(key: string): void;
  everything(): void;
  expandAll(): void;
  fit(): void;
  zoom(factor: number): void;
  pan(x: number, y: number): void;
  /** For file names. */
  name: string;
}

interface Props {
  q: string;
  mode: Mode;
  label: Label;
  error?: ExpressionError;
  matches: number;
  picture: Picture;
  shown: Shown;
  actions: Actions;
  listed: boolean;
  setListed: (v: boolean) => void;
}

export function Toolbar(p: Props) {
  const collapsed = p.picture.nodes.some((n) => n.collapsed);
  const expanded = new URLSearchParams(location.search).has("expand");
  return (
    <div className="graph-tools" role="group" aria-label="Graph tools">
      <button className="button-plain" aria-pressed={p.listed} title="List of nodes and edges (l)" aria-label="List of nodes and edges" onClick={() => p.setListed(!p.listed)}>
        <Icon name="list" />
      </button>
      <Find {...p} />
      <div className="graph-presets">
        {PRESETS.map((x) => {
          const on = x.q === p.q && x.mode === p.mode;
          return (
            <button key={x.name} className="button button-small" aria-pressed={on} onClick={() => (on ? p.actions.filter("", "find") : p.actions.filter(x.q, x.mode))}>
              {x.name}
            </button>
          );
        })}
      </div>
      <div className="graph-tools-end">
        {(collapsed || expanded) && (
          <button className="button button-small" onClick={p.actions.expandAll}>
            {collapsed ? "Expand all" : "Collapse"}
          </button>
        )}
        <label className="select" title="What stands at each edge">
          <span className="hidden">Edge label</span>
          <select value={p.label} onChange={(e) => p.actions.label(e.target.value as Label)}>
            {Object.entries(LABELS).map(([k, v]) => (
              <option key={k} value={k}>
                {v}
              </option>
            ))}
          </select>
          <Icon name="down" size={12} />
        </label>
        <Menu align="end" className="button-plain" label="Legend" button={<Icon name="legend" />}>
          {() => <Legend />}
        </Menu>
        <Export picture={p.picture} shown={p.shown} name={p.actions.name} />
        <span className="graph-zoom">
          <button className="button-plain" aria-label="Zoom out" title="Zoom out (-)" onClick={() => p.actions.zoom(0.8)}>
            <Icon name="minus" />
          </button>
          <button className="button-plain" aria-label="Zoom in" title="Zoom in (+)" onClick={() => p.actions.zoom(1.25)}>
            <Icon name="plus" />
          </button>
        </span>
        <button className="button-plain" aria-label="Fit the graph into the view" title="Fit (f)" onClick={p.actions.fit}>
          <Icon name="fit" />
        </button>
      </div>
    </div>
  );
}

/** The field of the expression. What is typed counts after a moment, and not while it cannot be read. */
function Find({ q, mode, error, matches, actions }: Props) {
  const [text, setText] = useState(q);
  useEffect(() => setText(q), [q]);
  useEffect(() => {
    if (text === q) return;
    const t = window.setTimeout(() => actions.filter(text, mode), 250);
    return () => window.clearTimeout(t);
  }, [text, q, mode, actions]);
  return (
    <div className="graph-find">
      <label className="select">
        <span className="hidden">What to do with matches</span>
        <select value={mode} onChange={(e) => actions.filter(text, e.target.value as Mode)}>
          <option value="find">Find</option>
          <option value="only">Only</option>
          <option value="hide">Hide</option>
        </select>
        <Icon name="down" size={12} />
      </label>
      <div className="graph-find-field">
        <input
          className="field mono"
          aria-label="Expression"
          aria-invalid={error ? true : undefined}
          aria-describedby="graph-find-says"
          placeholder="lock!=locked and ns=shop"
          spellCheck={false}
          autoComplete="off"
          autoCapitalize="off"
          value={text}
          onChange={(e) => setText(e.target.value)}
          onKeyDown={(e) => {
            if (e.key === "Enter") actions.filter(text, mode);
            if (e.key === "Escape") actions.filter("", mode);
          }}
        />
        <span id="graph-find-says" className={error ? "graph-find-says graph-find-wrong" : "graph-find-says"} role="status">
          {error ? error.message : matches >= 0 ? count(matches, "match", "matches") : ""}
        </span>
        {text && (
          <button className="button-plain graph-find-clear" aria-label="Clear the expression" onClick={() => actions.filter("", "find")}>
            <Icon name="close" size={12} />
          </button>
        )}
      </div>
      <Menu className="button-plain" label="How expressions are written" button={<Icon name="help" />}>
        {(close) => (
          <ExpressionHelp
            use={(e) => {
              actions.filter(e, mode);
              close();
            }}
          />
        )}
      </Menu>
    </div>
  );
}

/** Says that only a neighbourhood is drawn. It lies over the graph: nothing moves for it. */
export function Near({ near, hops, picture, actions }: { near: string; hops: number; picture: Picture; actions: Actions }) {
  const name = picture.nodes.find((n) => n.id === near)?.node.name;
  return (
    <span className="graph-near">
      <Icon name="near" />
      {name ? `${hops === 1 ? "1 hop" : "2 hops"} around ${name}` : "that node is not drawn now"}
      {name && (
        <button className="button button-small" onClick={() => actions.around(near)} title="n">
          {hops === 1 ? "2 hops" : "1 hop less"}
        </button>
      )}
      <button className="button-plain" aria-label="Show everything again" title="Show everything again (a)" onClick={actions.everything}>
        <Icon name="close" size={12} />
      </button>
    </span>
  );
}

function Export({ picture, shown, name }: { picture: Picture; shown: Shown; name: string }) {
  const [problem, setProblem] = useState("");
  const draw = () => svgOf(picture, shown, colours(), { title: `${name} · ${new Date().toISOString().replace("T", " ").slice(0, 19)} UTC`, font: "system-ui, sans-serif" });
  const file = name.replace(/[^\w-]+/g, "-");
  return (
    <Menu align="end" className="button-plain" label="Export" button={<Icon name="download" />}>
      {(close) => (
        <ul className="menu-list">
          <li>
            <button
              onClick={() => {
                save(`${file}.svg`, new Blob([draw().text], { type: "image/svg+xml" }));
                close();
              }}
            >
              <span>SVG</span>
            </button>
          </li>
          <li>
            <button
              onClick={() => {
                pngOf(draw()).then(
                  (b) => {
                    save(`${file}.png`, b);
                    close();
                  },
                  (e: unknown) => setProblem(String(e)),
                );
              }}
            >
              <span>PNG</span>
            </button>
          </li>
          {problem && <li className="menu-problem">{problem}</li>}
        </ul>
      )}
    </Menu>
  );
}
