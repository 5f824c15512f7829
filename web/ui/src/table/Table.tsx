// Connections, services, workloads, namespaces and meshes as tables: sorted, filtered, copied as CSV.
import { useDeferredValue, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { ApiError } from "../api/client";
import { useEach } from "../api/resource";
import { LOCKS, type Lock, type Locks, type MeshEntry } from "../api/types";
import { Link } from "../shell/Link";
import { navigate, useParam, type Change } from "../shell/router";
import type { ViewProps } from "../shell/views";
import { announce } from "../ui/announce";
import { count, duration, percent, rate } from "../ui/format";
import { Icon } from "../ui/Icon";
import { LockIcon, LockTag } from "../ui/LockIcon";
import { Empty, Failure, Loading, Notice } from "../ui/States";
import { connectionsOf, csv, HEALTHS, LISTS, matches, rowsOf, sorted, worstLock, type Cell, type Connection, type List, type Row } from "./rows";
import "./table.css";

/** A column: what it shows, what it is sorted and copied by. */
interface Column<T> {
  name: string;
  title?: string;
  cell: (row: T) => Cell;
  show?: (row: T) => ReactNode;
  number?: boolean;
  /** Left out on narrow screens. */
  wide?: boolean;
  /** Breaks into lines where there is little room. */
  wraps?: boolean;
}

const NAMES: Record<List, string> = { connections: "Connections", services: "Services", workloads: "Workloads", namespaces: "Namespaces", meshes: "Meshes" };

export default function Table({ mesh, meshes, window }: ViewProps) {
  const [wanted, setList] = useParam("list");
  const [filter, setFilter] = useParam("q");
  const [lock, setLock] = useParam("lock");
  const list = LISTS.find((l) => l === wanted) ?? "connections";
  const names = useMemo(() => (mesh !== null ? [mesh] : meshes.filter((m) => !m.problem).map((m) => m.name)), [mesh, meshes]);
  const answers = useEach(list === "meshes" ? [] : names, "graph", { window, layout: "false", expand: "*" }, 2000);
  const words = useDeferredValue(filter);
  const failed = answers.find((a) => a.error);
  const waiting = list !== "meshes" && answers.some((a) => !a.data) && !failed;
  const lists = mesh === null ? LISTS : LISTS.filter((l) => l !== "meshes");
  const tabs = useRef<HTMLDivElement>(null);
  useEffect(() => {
    tabs.current?.querySelector(".choice-on")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [list]);
  return (
    <div className="table-view">
      <h1 className="hidden">Table</h1>
      <div className="table-bar">
        <div ref={tabs} className="choice" role="radiogroup" aria-label="What the rows are">
          {lists.map((l) => (
            <label key={l} className={l === list ? "choice-on" : ""}>
              <input type="radio" name="list" checked={l === list} onChange={() => setList(l === "connections" ? "" : l)} />
              {NAMES[l]}
            </label>
          ))}
        </div>
        <input className="field table-filter" type="search" placeholder="Filter: words, -words" aria-label="Filter rows" value={filter} onChange={(e) => setFilter(e.target.value)} />
        {list !== "meshes" && (
          <span className="select">
            <select aria-label="Only this lock" value={lock} onChange={(e) => setLock(e.target.value)}>
              <option value="">every lock</option>
              {LOCKS.map((l) => (
                <option key={l}>{l}</option>
              ))}
            </select>
            <Icon name="down" size={12} />
          </span>
        )}
      </div>
      {failed?.error && answers.some((a) => a.data) && <Notice tone="warning">This is how things were at the last answer. Since then: {failed.error.message}</Notice>}
      {waiting ? (
        <Loading what="the table" lines={10} />
      ) : failed && !answers.some((a) => a.data) ? (
        <Failure what="the table" error={failed.error ?? new ApiError(0, "")} />
      ) : list === "meshes" ? (
        <Rows columns={meshColumns} rows={meshes.filter((m) => matches(words, m.name, m.kind, m.mode, m.problem))} of={(m) => m.name} to={(m) => ({ mesh: m.name, view: "overview" })} what="mesh" whats="meshes" />
      ) : list === "connections" ? (
        <Connections answers={answers} names={names} words={words} lock={lock} several={mesh === null} />
      ) : (
        <Nodes answers={answers} names={names} list={list} words={words} lock={lock} several={mesh === null} />
      )}
    </div>
  );
}

type Answers = ReturnType<typeof useEach<"graph">>;

function Connections({ answers, names, words, lock, several }: { answers: Answers; names: readonly string[]; words: string; lock: string; several: boolean }) {
  const all = useMemo(() => answers.flatMap((a, i) => (a.data ? connectionsOf(names[i] ?? "", a.data) : [])), [answers, names]);
  const rows = useMemo(
    () => all.filter((c) => (!lock || c.edge.lock === lock) && matches(words, c.name, c.namespaces, c.edge.lock, c.edge.declared?.status, c.edge.reason, c.mesh, c.edge.weak ? "weak" : "")),
    [all, words, lock],
  );
  return (
    <Rows
      columns={several ? [meshColumn<Connection>(), ...connectionColumns] : connectionColumns}
      rows={rows}
      of={(c) => c.mesh + c.edge.id}
      to={(c) => ({ selection: { mesh: c.mesh, kind: "edge", id: c.edge.id } })}
      what="connection"
      first="Lock"
    />
  );
}

function Nodes({ answers, names, list, words, lock, several }: { answers: Answers; names: readonly string[]; list: "services" | "workloads" | "namespaces"; words: string; lock: string; several: boolean }) {
  const all = useMemo(() => answers.flatMap((a, i) => (a.data ? rowsOf(names[i] ?? "", a.data, list) : [])), [answers, names, list]);
  const rows = useMemo(
    () =>
      all.filter(
        (r) => (!lock || r.locks[lock as Lock] > 0) && matches(words, r.name, r.namespace, r.kind, r.mode, r.capture, r.version, r.mesh, r.health, ...r.callers, ...r.callees),
      ),
    [all, words, lock],
  );
  const alike = all.every((r) => r.kind === list.slice(0, -1) && (!r.capture || r.capture === "sidecar"));
  const columns = nodeColumns.filter((c) => (c.name !== "Namespace" || list !== "namespaces") && (c.name !== "Kind" || !alike));
  return (
    <Rows
      columns={several ? [meshColumn<Row>(), ...columns] : columns}
      rows={rows}
      of={(r) => r.mesh + r.id}
      to={(r) => ({ selection: { mesh: r.mesh, kind: "node", id: r.id } })}
      what={list.slice(0, -1)}
      first="Locks"
    />
  );
}

const meshColumn = <T extends { mesh: string }>(): Column<T> => ({ name: "Mesh", cell: (r) => r.mesh, show: (r) => <span className="mono">{r.mesh}</span> });

const rank = (l: Lock) => LOCKS.indexOf(l);

const connectionColumns: Column<Connection>[] = [
  { name: "Lock", title: "What the traffic was seen to be", cell: (c) => rank(c.edge.lock), show: (c) => <LockTag lock={c.edge.lock} share={c.edge.observed?.mtls} /> },
  { name: "Connection", wraps: true, cell: (c) => c.name, show: (c) => <b><Parts of={c.name} /></b> },
  { name: "Namespace", cell: (c) => c.namespaces, show: (c) => <Parts of={c.namespaces} />, wide: true, wraps: true },
  { name: "Declared", title: "What the policies say", cell: (c) => c.edge.declared?.status ?? null, show: (c) => <Declared of={c} /> },
  { name: "mTLS", title: "Share of mutual TLS that was seen", number: true, cell: (c) => (c.edge.observed && c.edge.observed.known > 0 ? c.edge.observed.mtls : null), show: (c) => (c.edge.observed && c.edge.observed.known > 0 ? percent(c.edge.observed.mtls) : "–") },
  { name: "Rate", title: "Requests and connections a second", number: true, cell: (c) => (c.edge.observed ? c.edge.observed.requests + c.edge.observed.connections : null), show: (c) => (c.edge.observed ? rate(c.edge.observed.requests + c.edge.observed.connections) : "–") },
  { name: "Errors", number: true, wide: true, cell: (c) => (c.edge.observed && c.edge.observed.requests > 0 ? c.edge.observed.errors / c.edge.observed.requests : null), show: (c) => (c.edge.observed && c.edge.observed.requests > 0 ? percent(c.edge.observed.errors / c.edge.observed.requests) : "–") },
  { name: "Failures", title: "Failed handshakes a second", number: true, wide: true, cell: (c) => c.edge.observed?.failures ?? null, show: (c) => (c.edge.observed ? (c.edge.observed.failures > 0 ? rate(c.edge.observed.failures) : "0") : "–") },
  { name: "p99", number: true, wide: true, cell: (c) => c.edge.observed?.p99 ?? null, show: (c) => (c.edge.observed?.p99 ? duration(c.edge.observed.p99) : "–") },
  { name: "Proven", wide: true, cell: (c) => c.edge.proven?.mode ?? null, show: (c) => c.edge.proven?.mode ?? "–" },
  { name: "Warnings", number: true, cell: (c) => c.warnings, show: (c) => <Warnings n={c.warnings} worst={c.worst} /> },
];

/** Names with an arrow between: lines break there alone. */
function Parts({ of }: { of: string }) {
  return of.split(" → ").map((name, i) => (
    <span key={i}>
      {i > 0 && " → "}
      <span className="table-whole">{name}</span>
    </span>
  ));
}

function Declared({ of }: { of: Connection }) {
  const d = of.edge.declared;
  if (!d) return <span className="faint">–</span>;
  return (
    <span title={d.cause}>
      <span className={`tag ${d.status === "CONFLICT" ? "tag-error" : ""}`}>{d.status}</span> <span className="faint">{d.server}</span>
    </span>
  );
}

function Warnings({ n, worst }: { n: number; worst: string }) {
  if (n === 0) return <span className="faint">0</span>;
  return <span className={`tag ${worst === "error" ? "tag-error" : "tag-warning"}`}>{n}</span>;
}

const nodeColumns: Column<Row>[] = [
  { name: "Locks", title: "Of its connections, worst first", cell: (r) => rank(worstLock(r.locks)), show: (r) => <LockCounts locks={r.locks} /> },
  { name: "Name", cell: (r) => r.name, show: (r) => <Name of={r} /> },
  { name: "Namespace", cell: (r) => r.namespace, wide: true },
  { name: "Kind", cell: (r) => r.kind, show: (r) => r.kind + (r.capture && r.capture !== "sidecar" ? " without a sidecar" : ""), wide: true },
  { name: "Mode", title: "What its servers take, as the policies say", cell: (r) => r.mode, show: (r) => (r.mode ? <span className="tag">{r.mode}</span> : "–") },
  { name: "Health", cell: (r) => HEALTHS.indexOf(r.health), show: (r) => <span className={`health health-${r.health}`}>{r.health}</span> },
  { name: "Rate", title: "What comes in, a second", number: true, cell: (r) => (r.health === "unknown" ? null : r.rate), show: (r) => (r.health === "unknown" ? "–" : rate(r.rate)) },
  { name: "Errors", number: true, wide: true, cell: (r) => r.errors, show: (r) => (r.errors === null ? "–" : percent(r.errors)) },
  { name: "mTLS", title: "Share of mutual TLS of what comes in", number: true, wide: true, cell: (r) => r.mtls, show: (r) => (r.mtls === null ? "–" : percent(r.mtls)) },
  { name: "Called by", cell: (r) => r.callers.join(" "), show: (r) => <Some names={r.callers} />, wide: true, wraps: true },
  { name: "Calls", cell: (r) => r.callees.join(" "), show: (r) => <Some names={r.callees} />, wide: true, wraps: true },
  { name: "Warnings", number: true, cell: (r) => r.warnings, show: (r) => <Warnings n={r.warnings} worst={r.worst} /> },
];

function Name({ of }: { of: Row }) {
  return (
    <>
      <b>{of.name}</b> {of.version && <span className="tag">{of.version}</span>}
    </>
  );
}

function Some({ names }: { names: readonly string[] }) {
  if (names.length === 0) return <span className="faint">–</span>;
  return (
    <span className="soft" title={names.join(", ")}>
      {names.slice(0, 3).join(", ")}
      {names.length > 3 && ` and ${names.length - 3} more`}
    </span>
  );
}

function LockCounts({ locks }: { locks: Locks }) {
  const some = LOCKS.filter((l) => locks[l] > 0);
  if (some.length === 0) return <span className="faint">none</span>;
  return (
    <span className="lock-counts">
      {some.map((l) => (
        <span key={l} title={`${locks[l]} ${l}`}>
          <LockIcon lock={l} size={14} label={`${locks[l]} ${l}`} />
          <span aria-hidden="true" className="number">
            {locks[l]}
          </span>
        </span>
      ))}
    </span>
  );
}

const meshColumns: Column<MeshEntry>[] = [
  { name: "Name", cell: (m) => m.name, show: (m) => <b className="mono">{m.name}</b> },
  { name: "Mode", cell: (m) => m.mode ?? null, show: (m) => (m.mode ? <span className="tag">{m.mode}</span> : "–") },
  { name: "Locks", cell: (m) => (m.locks ? rank(worstLock(m.locks)) : null), show: (m) => (m.locks ? <LockCounts locks={m.locks} /> : "–") },
  { name: "Pods", number: true, cell: (m) => m.status?.pods.length ?? null },
  { name: "Services", number: true, cell: (m) => m.status?.services ?? null },
  { name: "In force", cell: (m) => (m.status ? m.status.sync.inForce / Math.max(1, m.status.sync.total) : null), show: (m) => (m.status ? `${m.status.sync.inForce} of ${m.status.sync.total}` : "–") },
  { name: "Dialect", wide: true, cell: (m) => m.status?.dialect ?? null },
  { name: "Capture", wide: true, cell: (m) => m.status?.capture ?? null },
  { name: "Problem", cell: (m) => m.problem ?? "", show: (m) => m.problem ?? "" },
];

interface RowsProps<T> {
  columns: readonly Column<T>[];
  rows: readonly T[];
  /** A stable name of a row. */
  of: (row: T) => string;
  to: (row: T) => Change;
  /** A row, and several, in a word. */
  what: string;
  whats?: string;
  /** The column that orders rows until somebody chooses one; else the order is that of the data. */
  first?: string;
}

/** How many rows are drawn until somebody wants more. */
const page = 200;

function Rows<T>({ columns, rows, of, to, what, whats, first }: RowsProps<T>) {
  const [order, setOrder] = useParam("sort");
  const [shown, setShown] = useState(page);
  const down = order.startsWith("-");
  const by = columns.find((c) => c.name === order.replace(/^-/, "")) ?? columns.find((c) => c.name === first);
  const list = useMemo(() => (by ? sorted(rows, by.cell, down) : [...rows]), [rows, by, down]);
  const text = (c: Column<T>, r: T): Cell => (c.name === "Lock" || c.name === "Locks" || c.name === "Health" ? plain(c.show?.(r)) : c.cell(r));
  const copy = async () => {
    const all = csv(columns.map((c) => c.name), list.map((r) => columns.map((c) => text(c, r))));
    try {
      await navigator.clipboard.writeText(all);
      announce(`${count(list.length, what, whats)} copied as CSV`);
    } catch {
      save(all, `${whats ?? what + "s"}.csv`);
    }
  };
  return (
    <>
      <div className="table-sum">
        <span className="faint">{count(rows.length, what, whats)}</span>
        <button className="button-plain button-small" onClick={copy} disabled={rows.length === 0}>
          <Icon name="copy" size={14} /> Copy as CSV
        </button>
      </div>
      {rows.length === 0 ? (
        <Empty title={`No ${what} fits`} icon="table">
          <p>Nothing here has what the filter asks for.</p>
          <button className="button" onClick={() => navigate({ query: { q: null, lock: null } })}>
            Show all
          </button>
        </Empty>
      ) : (
        <div className="table-scroll">
          <table className="rows table-rows">
            <thead>
              <tr>
                {columns.map((c) => (
                  <th key={c.name} className={classes(c)} aria-sort={by === c ? (down ? "descending" : "ascending") : undefined}>
                    <button onClick={() => setOrder(by === c && !down ? "-" + c.name : c.name)} title={c.title}>
                      {c.name}
                      {by === c && <Icon name={down ? "down" : "up"} size={12} />}
                    </button>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {list.slice(0, shown).map((r) => (
                <tr key={of(r)}>
                  {columns.map((c) => (
                    <td key={c.name} className={classes(c)}>
                      {c.name === "Name" || c.name === "Connection" ? <Link to={to(r)}>{c.show?.(r)}</Link> : c.show ? c.show(r) : (c.cell(r) ?? "–")}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
          {list.length > shown && (
            <p className="table-more">
              <button className="button" onClick={() => setShown(shown + 5 * page)}>
                Show {Math.min(5 * page, list.length - shown)} more of {list.length - shown}
              </button>
            </p>
          )}
        </div>
      )}
    </>
  );
}

const classes = (c: { number?: boolean; wide?: boolean; wraps?: boolean }) => [c.number ? "number" : "", c.wide ? "table-wide" : "", c.wraps ? "table-wraps" : ""].join(" ").trim() || undefined;

/** The words of a cell that is drawn, for CSV. */
function plain(n: ReactNode): string {
  if (n === null || n === undefined || typeof n === "boolean") return "";
  if (typeof n === "string" || typeof n === "number") return String(n);
  if (Array.isArray(n)) return n.map(plain).join("");
  const props = (n as { props?: { lock?: Lock; locks?: Locks; children?: ReactNode } }).props ?? {};
  if (props.lock) return props.lock;
  if (props.locks) {
    const l = props.locks;
    return LOCKS.filter((k) => l[k] > 0)
      .map((k) => `${l[k]} ${k}`)
      .join(" ");
  }
  return plain(props.children);
}

/** Where the clipboard is out of reach, a file does as well. */
function save(text: string, name: string): void {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  a.download = name;
  a.click();
  URL.revokeObjectURL(a.href);
}
