import { LockTag } from "../ui/LockIcon";
import { duration, percent, rate } from "../ui/format";
import { rateOf } from "./facts";
import { namer, type Picture } from "./picture";

/** What is under the pointer, in a few lines. It takes no events, and those who hear the page have the list. */
export function HoverCard({ hover, picture }: { hover: { key: string; x: number; y: number }; picture: Picture }) {
  const e = picture.edges.find((x) => x.id === hover.key);
  const n = picture.nodes.find((x) => x.id === hover.key);
  if (!e && !n) return null;
  const ends = e && namer(picture)(e);
  const o = e?.edge.observed;
  return (
    <div className="graph-hover" aria-hidden="true" style={{ transform: `translate(min(${Math.round(hover.x) + 14}px, calc(var(--stage, 100vw) - 330px)), ${Math.round(hover.y) + 14}px)` }}>
      {e && (
        <>
          <div className="graph-hover-title">
            {ends?.join(" → ")}
            {e.edge.port ? `:${e.edge.port}` : ""}
          </div>
          <div>
            <LockTag lock={e.lock} share={o?.mtls} />
            {o && rateOf(o) > 0 && <> · {rate(rateOf(o))}</>}
            {o && o.errors > 0 && <> · {percent(o.errors / rateOf(o))} errors</>}
            {o && o.failures > 0 && <> · {rate(o.failures)} refused</>}
            {o?.p99 !== undefined && <> · p99 {duration(o.p99)}</>}
          </div>
          {e.edge.reason && <div className="soft">{e.edge.reason}</div>}
          {e.edge.changed && (
            <div className="soft">
              The policy changed: in force on {e.edge.changed.inForce} of {e.edge.changed.total}.
            </div>
          )}
        </>
      )}
      {n && (
        <>
          <div className="graph-hover-title">{n.node.name}</div>
          <div className="soft">
            {[n.collapsed ? "group" : n.node.gateway ? "gateway" : n.node.kind, n.node.kind === "namespace" ? "" : n.node.namespace, n.node.version, n.node.mode].filter(Boolean).join(" · ")}
          </div>
          {n.node.traffic && n.node.traffic.in > 0 && (
            <div>
              in {rate(n.node.traffic.in)}
              {n.node.traffic.inErrors > 0 && <> · {percent(n.node.traffic.inErrors / n.node.traffic.in)} errors</>}
            </div>
          )}
          {n.node.findings?.slice(0, 2).map((f) => (
            <div key={f.code + f.text} className="soft">
              {f.text}
            </div>
          ))}
        </>
      )}
    </div>
  );
}
