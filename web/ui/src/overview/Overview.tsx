// A mesh at a glance, what is broken first; or all meshes, a row each.
import type { ReactNode } from "react";
import { useMesh, type Shown } from "../api/resource";
import { LOCKS, type Edge, type Lock, type Locks, type MeshEntry, type Overview as Answer, type Trend } from "../api/types";
import { Link } from "../shell/Link";
import type { ViewProps } from "../shell/views";
import { Chart, Spark, type Line } from "../ui/Chart";
import { ago, count, object, percent, place, rate, span } from "../ui/format";
import { Icon } from "../ui/Icon";
import { LOCK_MEANS, LockIcon } from "../ui/LockIcon";
import { edgeName, endNames, named } from "../ui/names";
import { Await, Notice } from "../ui/States";
import { useNow } from "../ui/time";
import { Mend } from "../security/Mend";
import { causes, decided } from "./causes";
import { ModeCard } from "./ModeCard";
import "./overview.css";

export default function Overview({ mesh, meshes, window, readOnly }: ViewProps) {
  const answer = useMesh(mesh, "overview", { window }, 2000);
  if (mesh === null) return <AllMeshes meshes={meshes} />;
  return (
    <div className="overview">
      <h1 className="hidden">Overview of {mesh}</h1>
      <Await of={answer as Shown<Answer>} what="the overview">
        {(o) => <OneMesh of={o} mesh={mesh} dialect={meshes.find((m) => m.name === mesh)?.status?.dialect ?? ""} window={window} readOnly={readOnly} />}
      </Await>
    </div>
  );
}

interface OneProps {
  of: Answer;
  mesh: string;
  dialect: string;
  window: string;
  readOnly: boolean;
}

function OneMesh({ of, mesh, dialect, window, readOnly }: OneProps) {
  return (
    <>
      {of.held && <Notice tone="error">The manifests as they are now are not in force: {of.held}</Notice>}
      {of.trouble && <Notice tone="warning">Nothing is known of traffic: {of.trouble}</Notice>}
      <div className="overview-top">
        <ModeCard mesh={mesh} dialect={dialect} rule={of.rule} sync={of.sync} readOnly={readOnly} />
        <CoverageCard of={of} window={window} />
        <LocksCard locks={of.locks} />
      </div>
      <div className="overview-columns">
        <div className="overview-column">
          <Broken mesh={mesh} edges={of.broken} findings={of.findings} readOnly={readOnly} />
          <Traffic trend={of.trend} window={window} />
          <Problems of={of} />
        </div>
        <div className="overview-column">
          <Certificates of={of} />
          <Recent of={of} />
          <StoreCard of={of} />
        </div>
      </div>
    </>
  );
}

function Card({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section className="card overview-card">
      <h2>
        {title}
        {aside && <span className="overview-aside">{aside}</span>}
      </h2>
      {children}
    </section>
  );
}

const mtlsLine = (t?: Trend): Line[] => [{ name: "mutual TLS", values: t?.mtls ?? [], colour: "--lock-locked", area: true }];

function CoverageCard({ of, window }: { of: Answer; window: string }) {
  const share = of.mtls ?? null;
  return (
    <Card title="Encrypted traffic" aside={`last ${window}`}>
      <div className="overview-figure">
        <b className="number">{share === null ? "–" : percent(share)}</b>
        <Spark lines={mtlsLine(of.trend)} top={1} label={`share of mutual TLS over the last ${window}`} width={150} height={36} />
      </div>
      <p className="soft">
        {share === null ? nothingKnown(of.trend) : "of the traffic whose security is known is mutual TLS"}
        {of.known !== undefined && of.known < 0.995 && <>; nothing is known of {percent(1 - of.known)} of all</>}
      </p>
      <p className="faint">
        {of.meshed} of {count(of.workloads, "workload")} have a sidecar · {count(of.services, "service")}
      </p>
    </Card>
  );
}

/** Why there is no share of mutual TLS. */
function nothingKnown(t?: Trend): string {
  const failures = t?.failures?.at(-1) ?? 0;
  return failures > 0 ? `Nothing gets through: ${rate(failures)} are refused.` : "No traffic was seen whose security is known.";
}

function LocksCard({ locks }: { locks: Locks }) {
  const all = LOCKS.reduce((n, l) => n + locks[l], 0);
  return (
    <Card title="Connections" aside={count(all, "edge")}>
      <ul className="overview-locks plain">
        {LOCKS.map((l) => (
          <li key={l}>
            <Link to={{ view: "table", query: { lock: l } }} className={locks[l] ? "" : "faint"} title={LOCK_MEANS[l]}>
              <LockIcon lock={l} size={16} label="" />
              <b className="number">{locks[l]}</b>
              <span>{l}</span>
            </Link>
          </li>
        ))}
      </ul>
      <LockBar locks={locks} />
    </Card>
  );
}

/** The locks as parts of a bar, worst first. */
export function LockBar({ locks }: { locks: Locks }) {
  const all = LOCKS.reduce((n, l) => n + locks[l], 0);
  let x = 0;
  return (
    <svg className="lock-bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
      {all === 0 && <rect width="100" height="4" className="lock-bar-none" />}
      {LOCKS.map((l: Lock) => {
        const w = all ? (locks[l] / all) * 100 : 0;
        const at = x;
        x += w;
        return w > 0 && <rect key={l} x={at} width={Math.max(0.5, w - 0.4)} height="4" className={`lock-${l}`} fill="currentColor" />;
      })}
    </svg>
  );
}

function Broken({ mesh, edges, findings, readOnly }: { mesh: string; edges: readonly Edge[]; findings: number; readOnly: boolean }) {
  return (
    <Card title="What is broken" aside={findings > 0 ? <Link to={{ view: "table" }}>{count(findings, "finding")}</Link> : undefined}>
      {edges.length === 0 ? (
        <p className="overview-good">
          <Icon name="check" /> Nothing that was seen contradicts what is declared.
        </p>
      ) : (
        <ul className="plain overview-list">
          {causes(edges).map((of) => (
            <Cause key={of[0]?.id} mesh={mesh} edges={of} readOnly={readOnly} />
          ))}
        </ul>
      )}
    </Card>
  );
}

/** What one cause breaks, with the way to mend it where there is one. */
function Cause({ mesh, edges, readOnly }: { mesh: string; edges: readonly Edge[]; readOnly: boolean }) {
  const [e] = edges;
  if (!e) return null;
  const to = (of: Edge) => ({ selection: { mesh, kind: "edge", id: of.id } as const });
  return (
    <li className="overview-cause">
      {edges.length === 1 ? (
        <Link to={to(e)}>
          <LockIcon lock={e.lock} />
          <span>
            <b>{edgeName(e)}</b> <span className="faint">{between(e)}</span>
            <small className="soft">{e.findings?.[0]?.text ?? e.reason}</small>
          </span>
        </Link>
      ) : (
        <div className="overview-problem">
          <LockIcon lock={e.lock} />
          <span>
            <b>
              {edges.length} callers → {named(e.to).name}:{e.port}
            </b>{" "}
            <span className="faint">{named(e.to).namespace}</span>
            <small className="soft">{e.declared && decided(e.declared)}</small>
            <small className="overview-callers">
              {edges.map((one) => (
                <Link key={one.id} to={to(one)}>
                  {endNames(named(one.from), named(one.to))[0]}
                  {one.observed && <span className="number faint"> {rate(one.observed.failures)}</span>}
                </Link>
              ))}
            </small>
          </span>
        </div>
      )}
      {!readOnly && <Mend mesh={mesh} edge={e} />}
    </li>
  );
}

/** The namespaces of an edge: one where both ends are in it. */
function between(e: Edge): string {
  const from = named(e.from).namespace;
  const to = named(e.to).namespace;
  return from === to || !from || !to ? from || to : `${from} → ${to}`;
}

function Traffic({ trend, window }: { trend?: Trend; window: string }) {
  if (!trend || trend.times.length === 0) return null;
  return (
    <Card title="Traffic" aside={`last ${window}`}>
      <Chart
        label={`requests, errors and failed handshakes over the last ${window}`}
        times={trend.times}
        write={rate}
        lines={[
          { name: "requests", values: trend.requests, colour: "--chart-1", area: true },
          { name: "errors", values: trend.errors, colour: "--chart-2", dashed: true },
          { name: "failed handshakes", values: trend.failures, colour: "--lock-broken" },
        ]}
      />
    </Card>
  );
}

function Problems({ of }: { of: Answer }) {
  if (of.problems.length + of.unenforced.length === 0) return null;
  return (
    <Card title="Manifests" aside={count(of.problems.length, "problem")}>
      <ul className="plain overview-list">
        {of.problems.map((p, i) => (
          <li key={i} className="overview-problem">
            <span className={`tag tag-${p.severity === "error" ? "error" : "warning"}`}>{p.severity}</span>
            <span>
              {p.message}
              <small className="soft">
                {p.object && object(p.object) + " "}
                {p.origin?.file && <Link to={{ view: "security", query: { file: p.origin.file, line: String(p.origin.line ?? 1) } }}>{place(p.origin)}</Link>}
                {p.hint && <> · {p.hint}</>}
              </small>
            </span>
          </li>
        ))}
        {of.unenforced.map((u, i) => (
          <li key={"u" + i} className="overview-problem">
            <span className="tag">not enforced here</span>
            <span>
              {object(u.object)}
              <small className="soft">{u.why}</small>
            </span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Certificates({ of }: { of: Answer }) {
  const now = useNow(5000);
  const active = of.ca.authorities.find((a) => a.slot === "active");
  const bad = of.certificates.filter((c) => c.state !== "ok");
  const first = Math.min(...of.certificates.map((c) => Date.parse(c.notAfter)));
  return (
    <Card title="Certificates" aside={of.ca.trustDomain}>
      {of.certificates.length === 0 ? (
        <p className="faint">No sidecar has told of its certificate.</p>
      ) : bad.length === 0 ? (
        <p className="overview-good">
          <Icon name="check" /> {count(of.certificates.length, "certificate")} valid; the next one ends {ago(first, now)}
        </p>
      ) : (
        <table className="rows">
          <thead>
            <tr>
              <th>Pod</th>
              <th className="number">Ends in</th>
              <th>State</th>
            </tr>
          </thead>
          <tbody>
            {bad.slice(0, 6).map((c) => (
              <tr key={c.namespace + "/" + c.pod}>
                <td className="overview-name">
                  {c.pod} <span className="faint">{c.namespace}</span>
                </td>
                <td className="number">{span(Date.parse(c.notAfter) - now)}</td>
                <td>
                  <span className={`tag tag-${c.state === "expired" ? "error" : "warning"}`} title={c.problem}>
                    {c.state}
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {bad.length > 6 && <p className="faint">and {bad.length - 6} more</p>}
      {active && (
        <p className="soft">
          The root of <span className="mono">{of.ca.trustDomain}</span> ends {ago(Date.parse(active.notAfter), now)}
          {of.ca.rotating && "; a rotation is under way"}.
        </p>
      )}
    </Card>
  );
}

function Recent({ of }: { of: Answer }) {
  const now = useNow(5000);
  return (
    <Card title="Recent changes" aside={<Link to={{ view: "changes" }}>all</Link>}>
      {of.changes.length === 0 ? (
        <p className="faint">Nobody has changed a policy since this mesh came up.</p>
      ) : (
        <ul className="plain overview-list">
          {of.changes.map((c) => (
            <li key={c.name + c.at}>
              <Link to={{ view: "changes", query: { change: c.name } }}>
                <Icon name={c.undoes ? "undo" : "changes"} />
                <span>
                  <b>{c.what}</b>
                  <small className="soft">
                    <span className="mono">{c.name}</span> · {c.user ? c.user + ", " : ""}
                    {c.who} · {ago(Date.parse(c.at), now)}
                  </small>
                </span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function StoreCard({ of }: { of: Answer }) {
  const s = of.store;
  return (
    <Card title="Observations" aside={s.kind}>
      {s.problem ? (
        <Notice tone="warning">{s.problem}</Notice>
      ) : (
        <p className="soft">
          {s.kind === "none" ? "Nothing looks at the traffic of this mesh." : `${s.up} of ${count(s.targets, "sidecar")} answered the last time; they are asked every ${s.intervalSeconds} s.`}
          {s.retentionSeconds > 0 && ` Kept for ${span(s.retentionSeconds * 1000).replaceAll(" ", "\u00a0")}.`}
        </p>
      )}
      {s.address && <p className="faint mono overview-name">{s.address}</p>}
    </Card>
  );
}

function AllMeshes({ meshes }: { meshes: readonly MeshEntry[] }) {
  return (
    <div className="overview">
      <h1>Meshes</h1>
      <div className="overview-meshes">
        {meshes.map((m) => (
          <section className="card overview-mesh" key={m.name}>
            <h2>
              <Link to={{ mesh: m.name, view: "overview" }}>{m.name}</Link>
              {m.mode && <span className="tag">{m.mode}</span>}
              <span className="tag">{m.kind}</span>
            </h2>
            {m.problem ? <Notice tone="warning">{m.problem}</Notice> : m.status && <MeshFacts of={m} />}
          </section>
        ))}
      </div>
    </div>
  );
}

function MeshFacts({ of }: { of: MeshEntry }) {
  const s = of.status;
  const locks = of.locks;
  return (
    <>
      {locks && (
        <>
          <LockBar locks={locks} />
          <ul className="overview-locks plain">
            {LOCKS.map((l) => (
              <li key={l}>
                <Link to={{ mesh: of.name, view: "table", query: { lock: l } }} className={locks[l] ? "" : "faint"} title={LOCK_MEANS[l]}>
                  <LockIcon lock={l} size={14} label="" />
                  <b className="number">{locks[l]}</b>
                  <span>{l}</span>
                </Link>
              </li>
            ))}
          </ul>
        </>
      )}
      {s && (
        <p className="soft">
          {count(s.pods.length, "pod")}, {count(s.services, "service")} · in force on {s.sync.inForce} of {count(s.sync.total, "sidecar")} · dialect {s.dialect} · {s.capture} capture
        </p>
      )}
    </>
  );
}
