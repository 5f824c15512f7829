// Mesh, namespaces, services and ports with the mode in force, where it comes from, and a way to set it.
import { useMemo, useState, type ReactNode } from "react";
import { useMesh } from "../api/resource";
import type { Graph, PortRow, Rule } from "../api/types";
import { LockCounts } from "../details/NodeView";
import { PlaceLink } from "../details/PlaceLink";
import { Link } from "../shell/Link";
import { useParam } from "../shell/router";
import type { ViewProps } from "../shell/views";
import { Icon } from "../ui/Icon";
import { Await, Empty } from "../ui/States";
import { ModeTag } from "./Mode";
import { ModeControl } from "./ModeControl";
import { build, countRows, filtered, same, type Row } from "./tree";
import { resourceWords } from "./words";

/** Namespaces are open from the start while there are no more rows than these. */
const manyRows = 60;

interface Props {
  mesh: string;
  window: ViewProps["window"];
  readOnly: boolean;
}

export function Modes({ mesh, window, readOnly }: Props) {
  const graph = useMesh(mesh, "graph", { window, layout: "false", expand: "*" }, 2000);
  const rules = useMesh(mesh, "mtls");
  const top = useMesh(mesh, "mtls", { resource: "mesh" });
  return (
    <Await of={rules} what="the policies">
      {(r) => (
        <Await of={top} what="the policy of the mesh">
          {(t) => (
            <Await of={graph} what="what is in the mesh">
              {(g) => <Tree mesh={mesh} graph={g} rules={r.rules} meshRule={t.rules[0]} readOnly={readOnly} />}
            </Await>
          )}
        </Await>
      )}
    </Await>
  );
}

function Tree({ mesh, graph, rules, meshRule, readOnly }: { mesh: string; graph: Graph; rules: readonly Rule[]; meshRule: Rule | undefined; readOnly: boolean }) {
  const [filter, setFilter] = useParam("q");
  const tree = useMemo(() => build(graph, rules, meshRule), [graph, rules, meshRule]);
  const shown = useMemo(() => filtered(tree, filter), [tree, filter]);
  const [open, setOpen] = useState<Record<string, boolean>>({});
  const few = countRows(tree) <= manyRows;
  const isOpen = (r: Row) => open[key(r)] ?? (r.kind === "mesh" || (r.kind === "namespace" && (few || filter !== "")));
  const toggle = (r: Row) => setOpen({ ...open, [key(r)]: !isOpen(r) });
  const rows: ReactNode[] = [];
  const walk = (r: Row, depth: number) => {
    const opened = isOpen(r);
    const can = r.children.length > 0 || r.kind === "service";
    rows.push(<ModeRow key={key(r)} mesh={mesh} row={r} depth={depth} readOnly={readOnly} open={can ? opened : undefined} toggle={() => toggle(r)} />);
    if (!opened) return;
    if (r.kind === "service") rows.push(<Ports key={key(r) + " ports"} mesh={mesh} row={r} depth={depth + 1} readOnly={readOnly} />);
    for (const c of r.children) walk(c, depth + 1);
  };
  if (shown) walk(shown, 0);
  return (
    <>
      <div className="security-bar">
        <input className="field" type="search" placeholder="Filter: name, STRICT, own…" aria-label="Filter rows" value={filter} onChange={(e) => setFilter(e.target.value)} />
        {!readOnly && <p className="faint security-hint">Every change is shown before it is made.</p>}
      </div>
      {shown ? (
        <div className="modes-table" role="region" aria-label="Modes of mesh, namespaces and services" tabIndex={-1}>
          <table role="table" className={readOnly ? "modes-rows modes-read" : "modes-rows"}>
            <thead role="rowgroup">
              <tr role="row">
                <th role="columnheader">Scope</th>
                <th role="columnheader">Mode in force</th>
                <th role="columnheader">Decided by</th>
                <th role="columnheader">Locks</th>
                {!readOnly && <th role="columnheader">Set</th>}
              </tr>
            </thead>
            <tbody role="rowgroup">{rows}</tbody>
          </table>
        </div>
      ) : (
        <Empty title="Nothing matches" icon="filter">
          <button type="button" className="button" onClick={() => setFilter("")}>
            Show all
          </button>
        </Empty>
      )}
    </>
  );
}

const key = (r: Row) => `${r.kind} ${r.namespace} ${r.name} ${r.id}`;

const icons = { mesh: "graph", namespace: "legend", service: "overview", workload: "more", selector: "filter" } as const;

function ModeRow({ mesh, row: r, depth, readOnly, open, toggle }: { mesh: string; row: Row; depth: number; readOnly: boolean; open?: boolean; toggle: () => void }) {
  const name = r.kind === "mesh" ? "The whole mesh" : r.name;
  return (
    <tr role="row" className={`modes-row modes-${r.kind} modes-depth-${depth}`}>
      <th scope="row" role="rowheader">
        <span className="modes-name">
          {open === undefined ? (
            <span className="modes-gap" />
          ) : (
            <button type="button" className="modes-toggle" aria-expanded={open} aria-label={`${open ? "Close" : "Open"} ${r.kind} ${r.name}`} onClick={toggle}>
              <Icon name={open ? "down" : "right"} size={12} />
            </button>
          )}
          <Icon name={icons[r.kind]} size={13} />
          {r.id ? <Link to={{ selection: { mesh, kind: "node", id: r.id } }}>{name}</Link> : <span>{name}</span>}
          <span className="hidden">{r.kind}</span>
        </span>
      </th>
      <td role="cell" className="modes-mode">
        <ModeTag mode={r.mode} />
        {r.effective && (
          <span className="tag" title="what its ports and workloads have in common is another than this scope says">
            {r.effective === "MIXED" ? "some differ" : `in effect ${r.effective}`}
          </span>
        )}
      </td>
      <td role="cell" className="modes-from">
        <Decided mesh={mesh} row={r} />
      </td>
      <td role="cell" className="modes-locks">
        <LockCounts locks={r.locks} />
      </td>
      {!readOnly && <td role="cell" className="modes-set">{r.resource && <ModeControl mesh={mesh} resource={r.resource} mode={r.mode} own={r.own} />}</td>}
    </tr>
  );
}

function Decided({ mesh, row: r }: { mesh: string; row: Row }) {
  if (r.kind === "workload") return <span className="faint">{r.mode ? "" : "nothing is enforced here"}</span>;
  if (r.policies.length > 1 && r.own) {
    return (
      <span>
        {r.place && <PlaceLink mesh={mesh} place={r.place}>{""}</PlaceLink>} <span className="tag tag-warning">{r.policies.length} policies</span>
      </span>
    );
  }
  if (r.place && (r.own || r.kind === "mesh")) return <PlaceLink mesh={mesh} place={r.place} />;
  if (r.kind === "mesh") return <span className="faint">no policy: the default of the dialect</span>;
  return (
    <span className="faint">
      inherited from {r.from === "mesh" ? "the mesh" : r.from}
      {r.policies.length > 0 && <span className="tag">a port has its own</span>}
    </span>
  );
}

/** The ports of a service, when it is open. */
function Ports({ mesh, row, depth, readOnly }: { mesh: string; row: Row; depth: number; readOnly: boolean }) {
  const answer = useMesh(mesh, "node", { id: row.id, window: "1m" });
  const ports = answer.data?.ports;
  const span = readOnly ? 4 : 5;
  if (!ports) {
    return (
      <tr role="row" className={`modes-row modes-depth-${depth}`}>
        <td role="cell" colSpan={span} className="faint modes-wait">
          {answer.error ? `Its ports are not known: ${answer.error.message}` : "…"}
        </td>
      </tr>
    );
  }
  if (ports.length === 0) {
    return (
      <tr role="row" className={`modes-row modes-depth-${depth}`}>
        <td role="cell" colSpan={span} className="faint modes-wait">
          It has no ports.
        </td>
      </tr>
    );
  }
  return ports.map((p) => <Port key={p.resource} mesh={mesh} port={p} row={row} depth={depth} readOnly={readOnly} />);
}

function Port({ mesh, port: p, row, depth, readOnly }: { mesh: string; port: PortRow; row: Row; depth: number; readOnly: boolean }) {
  const own = row.policies.find((r) => r.resource === p.resource);
  const udp = p.protocol === "UDP";
  return (
    <tr role="row" className={`modes-row modes-port modes-depth-${depth}`}>
      <th scope="row" role="rowheader">
        <span className="modes-name">
          <span className="modes-gap" />
          <span className="hidden">{resourceWords(p.resource)}</span>
          <span aria-hidden="true">:{p.port}</span> <span className="tag">{p.protocol}</span>
          {p.name && <span className="faint">{p.name}</span>}
        </span>
      </th>
      <td role="cell" className="modes-mode">
        <ModeTag mode={udp || p.server === "none" ? "" : p.server} />
      </td>
      <td role="cell" className="modes-from">
        {udp ? (
          <span className="faint">UDP is not captured</span>
        ) : own && p.policy ? (
          <PlaceLink mesh={mesh} place={p.policy} />
        ) : (
          <span className="faint">{own || !same(p.server, row.mode) ? "decided for its workloads" : row.own ? "inherited from the service" : `inherited from ${row.from === "mesh" ? "the mesh" : row.from}`}</span>
        )}
      </td>
      <td role="cell" className="modes-locks">
        <LockCounts locks={p.locks} />
      </td>
      {!readOnly && <td role="cell" className="modes-set">{!udp && <ModeControl mesh={mesh} resource={p.resource} mode={own?.mtlsMode ?? p.server} own={!!own} />}</td>}
    </tr>
  );
}
