import type { ApiError } from "../api/client";
import { LOCKS, type Graph } from "../api/types";
import { count } from "../ui/format";
import { LOCK_MEANS, LockIcon } from "../ui/LockIcon";
import { Notice } from "../ui/States";
import type { Mode } from "./expression";
import type { Picture } from "./picture";
import type { Actions } from "./Toolbar";

/** What is not known about what is drawn. It lies over the graph, so that nothing moves when it comes and goes. */
export function Notices({ graphs, error, away }: { graphs: readonly { mesh: string; graph: Graph }[]; error?: ApiError; away: readonly string[] }) {
  const many = graphs.length > 1;
  return (
    <div className="graph-notices">
      {error && error.status !== 0 && <Notice tone="warning">The graph is as it was at the last answer. Since then: {error.message}</Notice>}
      {away.map((a) => (
        <Notice key={a} tone="warning">
          Not drawn: {a}
        </Notice>
      ))}
      {graphs.map(
        ({ mesh, graph }) =>
          graph.trouble && (
            <Notice key={mesh} tone="warning">
              {many ? mesh + ": " : ""}Traffic is not known: {graph.trouble}. Locks that depend on it are unknown.
            </Notice>
          ),
      )}
      {graphs.map(
        ({ mesh, graph }) =>
          (graph.down?.length ?? 0) > 0 && (
            <Notice key={mesh + " down"} tone="note">
              {many ? mesh + ": " : ""}No metrics from {count(graph.down?.length ?? 0, "sidecar")}: {graph.down?.slice(0, 4).join(", ")}
              {(graph.down?.length ?? 0) > 4 && "…"}
            </Notice>
          ),
      )}
    </div>
  );
}

/** How many edges have each lock; a click shows only those. */
export function Counts({ picture, q, mode, actions }: { picture: Picture; q: string; mode: Mode; actions: Actions }) {
  return (
    <div className="graph-counts" role="group" aria-label="Edges by lock">
      {LOCKS.map((l) => {
        const n = picture.edges.filter((e) => e.lock === l).length;
        const on = q === `lock=${l}` && mode === "only";
        return (
          <button key={l} className={n === 0 ? "graph-count graph-count-none" : "graph-count"} aria-pressed={on} title={`${l}: ${LOCK_MEANS[l]}`} onClick={() => (on ? actions.filter("", "find") : actions.filter(`lock=${l}`, "only"))}>
            <LockIcon lock={l} size={14} label="" />
            <b>{n}</b> <span>{l}</span>
          </button>
        );
      })}
    </div>
  );
}
