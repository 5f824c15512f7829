// What changed, who did it, and what the traffic made of it.
import { useState } from "react";
import { useEach, useMesh, type Shown } from "../api/resource";
import type { Change, Changes as Answer, GetAnswer } from "../api/types";
import { ChangeDialog, type Wish } from "../security/ChangeDialog";
import { DiffView } from "../security/DiffView";
import { ImpactView } from "../security/ImpactView";
import { Link } from "../shell/Link";
import { useParam } from "../shell/router";
import type { ViewProps } from "../shell/views";
import { Chart, type Mark } from "../ui/Chart";
import { ago, clock, count, object, rate, span } from "../ui/format";
import { Icon } from "../ui/Icon";
import { Await, Empty, Failure, Loading, Notice } from "../ui/States";
import { useNow } from "../ui/time";
import "./changes.css";

type TrendAnswer = GetAnswer<"trend">;

export default function Changes({ mesh, meshes, window, readOnly }: ViewProps) {
  if (mesh === null) return <AllChanges names={meshes.filter((m) => !m.problem).map((m) => m.name)} />;
  return <OneMesh mesh={mesh} window={window} readOnly={readOnly} />;
}

function OneMesh({ mesh, window, readOnly }: { mesh: string; window: string; readOnly: boolean }) {
  const changes = useMesh(mesh, "changes", {}, 5000) as Shown<Answer>;
  const trend = useMesh(mesh, "trend", { window, points: 120 }, 2000) as Shown<TrendAnswer>;
  const [picked, pick] = useParam("change");
  const [undo, setUndo] = useState<Wish | null>(null);
  return (
    <div className="changes">
      <h1>Changes</h1>
      <section className="card">
        <Await of={trend} what="the traffic">
          {(t) => <Timeline trend={t} window={window} changes={changes.data?.changes ?? []} picked={picked} pick={pick} />}
        </Await>
      </section>
      <Await of={changes} what="the changes">
        {(c) =>
          c.changes.length === 0 ? (
            <Empty title="Nobody has changed a policy yet" icon="changes">
              <p>Whatever changes the policies of this mesh is listed here: by the dashboard, by a command, or in the files themselves.</p>
              <Link className="button" to={{ view: "security" }}>
                Security
              </Link>
            </Empty>
          ) : (
            <>
              <ol className="changes-list plain">
                {c.changes.map((x) => (
                  <Entry key={x.name + x.at} of={x} open={picked === x.name} toggle={() => pick(picked === x.name ? "" : x.name)} undo={readOnly ? undefined : () => setUndo({ kind: "undo", name: x.name })} />
                ))}
              </ol>
              {c.more && <p className="faint">Older ones are in the audit log of the mesh.</p>}
            </>
          )
        }
      </Await>
      {undo && <ChangeDialog mesh={mesh} wish={undo} onClose={() => setUndo(null)} />}
    </div>
  );
}

interface TimelineProps {
  trend: TrendAnswer;
  window: string;
  changes: readonly Change[];
  picked: string;
  pick: (name: string) => void;
}

function Timeline({ trend, window, changes, picked, pick }: TimelineProps) {
  if (trend.trouble) return <Notice tone="warning">Nothing is known of traffic: {trend.trouble}</Notice>;
  if (trend.times.length === 0) return <p className="faint">No traffic was seen in the last {window}.</p>;
  const first = Date.parse(trend.times[0] ?? "");
  const inside = changes.filter((c) => Date.parse(c.at) >= first);
  const marks: Mark[] = inside.map((c) => ({ at: Date.parse(c.at), label: `${c.what}, ${clock(new Date(c.at))}`, picked: c.name === picked }));
  return (
    <Chart
      label={`errors and failed handshakes over the last ${window}, with ${count(marks.length, "change")}`}
      times={trend.times}
      write={rate}
      height={150}
      marks={marks}
      onMark={(i) => pick(inside[i]?.name ?? "")}
      lines={[
        { name: "errors", values: trend.errors, colour: "--chart-2", area: true },
        { name: "failed handshakes", values: trend.failures, colour: "--lock-broken", dashed: true },
      ]}
    />
  );
}

function Entry({ of: c, open, toggle, undo }: { of: Change; open: boolean; toggle: () => void; undo?: () => void }) {
  const now = useNow(5000);
  const at = Date.parse(c.at);
  const i = c.impact;
  const effects = [
    [i.breaks, "breaks", "tag-error"],
    [i.opens, "opens", "tag-error"],
    [i.mends, "mends", "tag-good"],
    [i.locks, "locks", "tag-good"],
  ] as const;
  return (
    <li className="card changes-entry">
      <div className="changes-head">
        <button className="changes-toggle" aria-expanded={open} onClick={toggle}>
          <Icon name={open ? "down" : "right"} />
          <b>{c.what}</b>
        </button>
        <span className="changes-effects">
          {effects.map(([n, word, tag]) => n > 0 && <span key={word} className={`tag ${tag}`}>{`${word} ${n}`}</span>)}
        </span>
        {undo &&
          (c.undo ? (
            <button className="button button-small" onClick={undo}>
              <Icon name="undo" size={14} /> Undo
            </button>
          ) : (
            <button className="button button-small" disabled title={c.undoProblem}>
              <Icon name="undo" size={14} /> Undo
            </button>
          ))}
      </div>
      <p className="soft changes-who">
        <span className="mono">{c.name}</span> · {c.user ? `${c.user}, ` : ""}
        {c.who} · <time title={new Date(at).toLocaleString("en-GB")}>{ago(at, now)}</time> ·{" "}
        {c.inForce ? `in force on ${count(c.sidecars, "sidecar")} after ${span2(Date.parse(c.inForce) - at)}` : `in force on ${count(c.sidecars, "sidecar")} so far`}
        {c.undoes && (
          <>
            {" "}
            · takes back <span className="mono">{c.undoes}</span>
          </>
        )}
      </p>
      {open && <Whole of={c} />}
    </li>
  );
}

/** Short spans in milliseconds, longer ones as elsewhere. */
const span2 = (ms: number) => (ms < 10_000 ? `${Math.max(0, Math.round(ms))} ms` : span(ms));

function Whole({ of: c }: { of: Change }) {
  return (
    <div className="changes-whole">
      <p className="soft">{c.objects.map(object).join(", ")}</p>
      {!c.undo && c.undoProblem && <p className="faint">It cannot be undone: {c.undoProblem}</p>}
      {c.diffs.map((d) => (
        <DiffView key={d.name} diff={d} />
      ))}
      <ImpactView impact={c.impact} />
    </div>
  );
}

function AllChanges({ names }: { names: readonly string[] }) {
  const answers = useEach(names, "changes", { limit: 20 }, 5000);
  const now = useNow(5000);
  const failed = answers.find((a) => a.error && !a.data);
  if (failed?.error) return <Failure what="the changes" error={failed.error} />;
  if (answers.some((a) => !a.data)) return <Loading what="the changes" />;
  const all = answers
    .flatMap((a, i) => (a.data?.changes ?? []).map((c) => ({ c, mesh: names[i] ?? "" })))
    .sort((a, b) => Date.parse(b.c.at) - Date.parse(a.c.at));
  if (all.length === 0) return <Empty title="Nobody has changed a policy yet" icon="changes" />;
  return (
    <div className="changes">
      <h1>Changes</h1>
      <ol className="changes-list plain">
        {all.map(({ c, mesh }) => (
          <li className="card changes-entry" key={mesh + c.name + c.at}>
            <Link to={{ mesh, view: "changes", query: { change: c.name } }}>
              <b>{c.what}</b>
            </Link>
            <p className="soft">
              <span className="mono">{mesh}</span> · {c.user ? `${c.user}, ` : ""}
              {c.who} · {ago(Date.parse(c.at), now)}
            </p>
          </li>
        ))}
      </ol>
    </div>
  );
}
