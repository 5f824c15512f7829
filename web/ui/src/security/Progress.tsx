// How far a snapshot is, as it happens: events tell, and a question that waits for the answer where no stream is open.
import { useEffect, useState } from "react";
import { get } from "../api/client";
import { latest } from "../api/events";
import { refresh } from "../api/resource";
import { useSignal } from "../api/signal";
import type { Coverage } from "../api/types";
import { announce } from "../ui/announce";
import { duration } from "../ui/format";
import { Icon } from "../ui/Icon";

interface Far extends Coverage {
  elapsed: number;
  missing: readonly string[];
  /** It was published so long ago, or replaced so soon, that nobody counts. */
  unknown?: boolean;
}

/** How long one question waits, and how often there are such, until nobody looks any more. */
const wait = "5s";
const rounds = 24;

function useFar(mesh: string, snapshot: string): Far | undefined {
  const [far, setFar] = useState<Far>();
  const event = useSignal(latest(mesh, "sync"));
  useEffect(() => {
    if (event?.snapshot !== snapshot || !event.sync) return;
    const next = { ...event.sync, elapsed: event.elapsedMilliseconds ?? 0, missing: [] };
    setFar((was) => (was && was.inForce >= was.total && was.total > 0 ? was : next));
  }, [event, snapshot]);
  useEffect(() => {
    const abort = new AbortController();
    const look = async () => {
      for (let i = 0; i < rounds && !abort.signal.aborted; i++) {
        try {
          const s = await get(mesh, "sync", { snapshot, wait }, abort.signal);
          setFar({ inForce: s.inForce, total: s.total, elapsed: s.elapsedMilliseconds, missing: s.missing ?? [] });
          if (s.inForce >= s.total) {
            refresh(mesh);
            return;
          }
        } catch {
          if (abort.signal.aborted) return;
          setFar((was) => was ?? { inForce: 0, total: 0, elapsed: 0, missing: [], unknown: true });
          await new Promise((f) => window.setTimeout(f, 1000));
        }
      }
    };
    void look();
    return () => abort.abort();
  }, [mesh, snapshot]);
  return far;
}

/** "enforced on 12 of 12 sidecars in 31 ms". */
export function Progress({ mesh, snapshot }: { mesh: string; snapshot: string }) {
  const far = useFar(mesh, snapshot);
  const done = !!far && !far.unknown && far.inForce >= far.total;
  const text = !far
    ? "waiting for the sidecars…"
    : far.unknown
      ? "how many sidecars have it is not known"
      : `enforced on ${far.inForce} of ${far.total} ${far.total === 1 ? "sidecar" : "sidecars"}${done ? ` in ${duration(far.elapsed)}` : ""}`;
  useEffect(() => {
    if (done) announce(text);
  }, [done, text]);
  return (
    <div className={done ? "progress progress-done" : "progress"}>
      <p>
        <Icon name={done ? "check" : "refresh"} /> <b className="number">{text}</b>
      </p>
      <progress value={far?.inForce ?? 0} max={Math.max(1, far?.total ?? 1)} aria-label="sidecars that have the change" />
      {!done && far && far.missing.length > 0 && (
        <ul className="plain soft">
          {far.missing.slice(0, 8).map((m) => (
            <li key={m} className="mono">
              {m}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
