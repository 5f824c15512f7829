import { useState } from "react";
import { useMesh } from "../api/resource";
import { LOCKS, type Edge, type GraphNode, type Locks, type NodeDetails, type ObjectEntry, type Pod, type PortRow, type Problem, type Rule } from "../api/types";
import { ModeTag } from "../security/Mode";
import { ModeControl } from "../security/ModeControl";
import { resourceWords } from "../security/words";
import { DrawerHead, DrawerSection, Facts } from "../shell/Drawer";
import { Link } from "../shell/Link";
import type { DetailsProps } from "../shell/views";
import { count, percent, rate, span } from "../ui/format";
import { Icon } from "../ui/Icon";
import { LockIcon } from "../ui/LockIcon";
import { endNames, named } from "../ui/names";
import { Await, Notice } from "../ui/States";
import { useNow } from "../ui/time";
import { Certificates } from "./Certificates";
import { Findings } from "./EdgeView";
import { attempts, portNote } from "./facts";
import { Log } from "./Log";
import { PlaceLink } from "./PlaceLink";
import { ProxyConfig } from "./ProxyConfig";
import { Trends } from "./Trends";

export function NodeView({ mesh, selection, window, readOnly }: DetailsProps) {
  const answer = useMesh(mesh, "node", { id: selection.id, window }, 2000);
  return (
    <Await of={answer} what={named(selection.id).name || "this"}>
      {(d) => <Shown mesh={mesh} details={d} readOnly={readOnly} />}
    </Await>
  );
}

function Shown({ mesh, details: d, readOnly }: { mesh: string; details: NodeDetails; readOnly: boolean }) {
  const n = d.node;
  const pods = d.pods.filter((p) => p.sidecar).map((p) => `${p.namespace}/${p.name}`);
  const inside = n.kind !== "outside" && n.kind !== "egress";
  return (
    <>
      <DrawerHead
        title={n.name}
        sub={
          <>
            {kindWords(n)}
            {n.namespace && n.kind !== "namespace" && (
              <>
                {" in "}
                <Link to={{ selection: { mesh, kind: "node", id: `namespace/${n.namespace}` } }}>{n.namespace}</Link>
              </>
            )}
            {n.ref && (
              <>
                {" · "}
                <PlaceLink mesh={mesh} place={n.ref}>
                  {""}
                </PlaceLink>
              </>
            )}
          </>
        }
      >
        <p className="reason">
          {inside && n.mode && <ModeTag mode={n.mode} />}
          {n.version && <span className="tag">{n.version}</span>}
          {n.kind === "workload" && <span className={n.capture === "sidecar" ? "tag tag-good" : "tag tag-warning"}>{n.capture === "sidecar" ? "sidecar" : "no sidecar"}</span>}
          {n.traffic && n.traffic.known > 0 && <span className="tag number">{percent(n.traffic.mtls)} mTLS</span>}
        </p>
      </DrawerHead>
      <div className="drawer-notices">
        <Findings findings={n.findings} names={[n.name]} />
        {d.problems.map((p, i) => (
          <ProblemNotice key={i} mesh={mesh} problem={p} />
        ))}
      </div>
      {inside && <Modes mesh={mesh} rules={d.rules} node={n} readOnly={readOnly} />}
      <Ports mesh={mesh} ports={d.ports} readOnly={readOnly} />
      <Endpoints mesh={mesh} node={n} />
      <Traffic node={n} />
      <Edges mesh={mesh} title="Called by" edges={d.in} end="from" also={n.kind === "workload"} />
      <Edges mesh={mesh} title="Calls" edges={d.out} end="to" />
      <Trends trend={d.trend} title={n.kind === "outside" ? "Traffic" : `Traffic to ${n.name}`} />
      <Pods pods={d.pods} />
      {inside && n.kind !== "namespace" && <Certificates certificates={d.certificates} />}
      <Objects mesh={mesh} objects={d.objects} />
      {inside && n.kind !== "namespace" && <Log mesh={mesh} of={{ node: n.id }} lines={d.log} note={d.logNote} />}
      <ProxyConfig mesh={mesh} pods={pods} />
    </>
  );
}

function kindWords(n: GraphNode): string {
  if (n.gateway) return "gateway";
  switch (n.kind) {
    case "egress":
      return "outside of the mesh, called from it";
    case "outside":
      return "callers outside of the mesh, or that nobody can name";
    case "ingress":
      return "ingress gateway";
  }
  return n.kind;
}

function ProblemNotice({ mesh, problem: p }: { mesh: string; problem: Problem }) {
  return (
    <Notice tone={p.severity === "error" ? "error" : "warning"}>
      {p.message}
      {p.hint && <p className="soft">{p.hint}</p>}
      {p.origin?.file && (
        <p>
          <PlaceLink mesh={mesh} place={p.origin} />
        </p>
      )}
    </Notice>
  );
}

/** The modes from the widest scope to this one: the last is in force. */
function Modes({ mesh, rules, node, readOnly }: { mesh: string; rules: readonly Rule[]; node: GraphNode; readOnly: boolean }) {
  if (rules.length === 0) return null;
  const last = rules.at(-1);
  const resources = [...new Set(rules.map((r) => r.resource))];
  const mine = node.kind === "namespace" ? node.namespace : node.kind === "service" ? resources.at(-1) : undefined;
  const own = rules.find((r) => r.resource === mine);
  return (
    <DrawerSection title="Mode in force" aside={last && (last.own ? "its own policy" : "inherited")}>
      <ol className="modes plain">
        {rules.map((r, i) => (
          <li key={i} className={r === last ? "modes-last" : undefined}>
            <span className="modes-scope">{r.resource === "mesh" ? "mesh" : r.resource}</span>
            <ModeTag mode={r.mtlsMode} size={14} />
            <span className="modes-by">
              {r.own && r.place ? <PlaceLink mesh={mesh} place={r.place} /> : <span className="faint">{r.policy === "-" ? "default of the dialect" : `inherited: ${r.policy}`}</span>}
              {r.targets !== "[]" && <span className="mono faint"> {r.targets}</span>}
            </span>
          </li>
        ))}
      </ol>
      {!readOnly && own && mine && (
        <div className="section-actions">
          <ModeControl mesh={mesh} resource={mine} mode={own.mtlsMode} own={!!own.own} />
        </div>
      )}
    </DrawerSection>
  );
}

function Ports({ mesh, ports, readOnly }: { mesh: string; ports: readonly PortRow[]; readOnly: boolean }) {
  const [open, setOpen] = useState("");
  if (ports.length === 0) return null;
  return (
    <DrawerSection title={count(ports.length, "port")}>
      <ul className="ports plain">
        {ports.map((p) => (
          <li key={p.resource}>
            <div className="port-head">
              <b className="number">{p.port}</b>
              <span className="soft">
                {p.name} <span className="tag">{p.protocol}</span>
              </span>
              <ModeTag mode={p.server} size={14} />
              <LockCounts locks={p.locks} />
              {!readOnly && p.protocol !== "UDP" && (
                <button type="button" className="button-plain button-small" aria-expanded={open === p.resource} aria-label={`Set the mode of ${resourceWords(p.resource)}`} onClick={() => setOpen(open === p.resource ? "" : p.resource)}>
                  <Icon name={open === p.resource ? "up" : "down"} size={13} />
                </button>
              )}
            </div>
            <div className="port-by">
              {p.policy ? <PlaceLink mesh={mesh} place={p.policy} /> : <span className="faint">{portNote(p) || "no policy: the default of the dialect"}</span>}
            </div>
            {open === p.resource && <PortMode mesh={mesh} port={p} />}
          </li>
        ))}
      </ul>
    </DrawerSection>
  );
}

function PortMode({ mesh, port }: { mesh: string; port: PortRow }) {
  const rule = useMesh(mesh, "mtls", { resource: port.resource }).data?.rules[0];
  return <ModeControl mesh={mesh} resource={port.resource} mode={rule?.mtlsMode ?? port.server} own={!!rule?.own} />;
}

/** Counts of locks, worst first; what is not there is left out. */
export function LockCounts({ locks }: { locks: Locks }) {
  return (
    <span className="lock-counts number">
      {LOCKS.filter((l) => locks[l] > 0).map((l) => (
        <span key={l} title={`${locks[l]} ${l}`}>
          <LockIcon lock={l} size={13} label={l} />
          {locks[l]}
        </span>
      ))}
    </span>
  );
}

function Endpoints({ mesh, node }: { mesh: string; node: GraphNode }) {
  if (node.kind !== "service" || !node.endpoints?.length) return null;
  return (
    <DrawerSection title="Workloads behind it">
      <p className="links">
        {node.endpoints.map((id) => (
          <Link key={id} className="tag" to={{ selection: { mesh, kind: "node", id } }}>
            {named(id).name}
          </Link>
        ))}
      </p>
    </DrawerSection>
  );
}

function Traffic({ node: n }: { node: GraphNode }) {
  const t = n.traffic;
  if (!t || t.in + t.out + t.inFailures + t.outFailures === 0) return null;
  const side = (all: number, errors: number, failures: number) => (
    <span className="number">
      {rate(all)}
      {errors > 0 && <span className="bad"> · {rate(errors)} errors</span>}
      {failures > 0 && <span className="bad"> · {rate(failures)} handshakes fail</span>}
    </span>
  );
  return (
    <DrawerSection title="Observed">
      <Facts
        rows={[
          t.in + t.inFailures > 0 && ["Comes in", side(t.in, t.inErrors, t.inFailures)],
          t.out + t.outFailures > 0 && ["Goes out", side(t.out, t.outErrors, t.outFailures)],
          t.in > 0 && ["Security", t.known === 0 ? "not known" : `${percent(t.mtls)} of what comes in is mutual TLS`],
        ]}
      />
    </DrawerSection>
  );
}

/** Edges that begin or end here, worst first, each to go to. */
function Edges({ mesh, title, edges, end, also }: { mesh: string; title: string; edges: readonly Edge[]; end: "from" | "to"; also?: boolean }) {
  const [all, setAll] = useState(false);
  if (edges.length === 0) return null;
  const list = [...edges].sort((a, b) => LOCKS.indexOf(a.lock) - LOCKS.indexOf(b.lock) || (a.id < b.id ? -1 : 1));
  const shown = all ? list : list.slice(0, 12);
  return (
    <DrawerSection title={title} aside={count(edges.length, "connection")}>
      <ul className="edges plain">
        {shown.map((e) => (
          <li key={e.id}>
            <Link to={{ selection: { mesh, kind: "edge", id: e.id } }} title={e.reason}>
              <LockIcon lock={e.lock} size={15} />
              <span className="edges-name">
                {endNames(named(e.from), named(e.to))[end === "from" ? 0 : 1]}
                {end === "to" && e.port ? `:${e.port}` : ""}
                {end === "from" && (also || !!e.port) && (
                  <span className="faint">
                    {" → "}
                    {also ? named(e.to).name : ""}
                    {e.port ? `:${e.port}` : ""}
                  </span>
                )}
              </span>
              <span className="number soft">{e.observed && attempts(e.observed) > 0 ? rate(attempts(e.observed)) : "–"}</span>
            </Link>
          </li>
        ))}
      </ul>
      {list.length > 12 && (
        <button type="button" className="button-plain button-small" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "show fewer" : `show all ${list.length}`}
        </button>
      )}
    </DrawerSection>
  );
}

function Pods({ pods }: { pods: readonly Pod[] }) {
  const now = useNow(10_000);
  if (pods.length === 0) return null;
  return (
    <DrawerSection title={count(pods.length, "pod")}>
      <ul className="pods plain">
        {pods.map((p) => (
          <li key={p.namespace + "/" + p.name}>
            <div className="certificate-head">
              <b>{p.name}</b>
              <span className={p.ready ? "tag tag-good" : p.phase === "Failed" ? "tag tag-error" : "tag tag-warning"}>{p.ready ? "ready" : p.phase.toLowerCase()}</span>
            </div>
            <div className="soft">
              <span className="mono">{p.addresses.join(", ")}</span>
              {" · "}
              {p.sidecar ? "sidecar" : "no sidecar"} · account <span className="mono">{p.serviceAccount}</span>
            </div>
            <div className="faint">
              {p.started ? `runs for ${span(now - Date.parse(p.started))}` : "not started"}
              {p.restarts > 0 && <span className="bad"> · {count(p.restarts, "restart")}</span>}
              {p.reason && <span className="bad"> · {p.reason}</span>}
            </div>
          </li>
        ))}
      </ul>
    </DrawerSection>
  );
}

function Objects({ mesh, objects }: { mesh: string; objects: readonly ObjectEntry[] }) {
  if (objects.length === 0) return null;
  return (
    <DrawerSection title="Objects">
      <ul className="objects plain">
        {objects.map((o, i) => (
          <li key={i}>
            <PlaceLink mesh={mesh} place={o} />
            {o.summary && <div className="soft">{o.summary}</div>}
          </li>
        ))}
      </ul>
    </DrawerSection>
  );
}

