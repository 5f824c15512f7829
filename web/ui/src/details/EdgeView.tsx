import { useMesh } from "../api/resource";
import type { Edge, EdgeDetails, Finding } from "../api/types";
import { Mend } from "../security/Mend";
import { ModeControl } from "../security/ModeControl";
import { DrawerHead, DrawerSection } from "../shell/Drawer";
import { Link } from "../shell/Link";
import type { DetailsProps } from "../shell/views";
import { ago, clock, percent, rate } from "../ui/format";
import { Icon } from "../ui/Icon";
import { LockIcon, LockTag } from "../ui/LockIcon";
import { edgeName, named } from "../ui/names";
import { Await, Notice } from "../ui/States";
import { useNow } from "../ui/time";
import { Certificates } from "./Certificates";
import { Chain } from "./Chain";
import { attempts, causeWords, probeClient, probeTarget } from "./facts";
import { Log } from "./Log";
import { PlaceLink } from "./PlaceLink";
import { ProxyConfig } from "./ProxyConfig";
import { Trends } from "./Trends";
import { DeclaredSection, ObservedSection, ProvenSection, Witnesses } from "./Witnesses";

export function EdgeView({ mesh, selection, window, readOnly }: DetailsProps) {
  const answer = useMesh(mesh, "edge", { id: selection.id, window }, 2000);
  return (
    <Await of={answer} what="this connection">
      {(d) => <Shown mesh={mesh} details={d} readOnly={readOnly} refetch={answer.refetch} />}
    </Await>
  );
}

function Shown({ mesh, details: d, readOnly, refetch }: { mesh: string; details: EdgeDetails; readOnly: boolean; refetch: () => void }) {
  const e = d.edge;
  return (
    <>
      <DrawerHead icon={<LockIcon lock={e.lock} size={19} />} title={edgeName(e)} sub={<Ends mesh={mesh} details={d} />}>
        <p className="reason">
          <LockTag lock={e.lock} />
          {e.observed && e.lock !== "broken" && e.observed.known > 0 && attempts(e.observed) > 0 && <span className="tag number">{percent(e.observed.mtls)} mTLS</span>}
          {e.weak && <span className="tag" title="only a wide declaration, such as a Sidecar's egress, says that this is called">not sure to be called</span>}
        </p>
        {e.reason && <p className="reason-text">{capital(e.reason, [d.client.name, d.server.name])}</p>}
        {!readOnly && probeClient(d.client) && (
          <p className="reason">
            <Mend mesh={mesh} edge={e} />
          </p>
        )}
      </DrawerHead>
      <div className="drawer-notices">
        <ChangedNotice changed={e.changed} />
        <Findings findings={e.findings} reason={e.reason} names={[d.client.name, d.server.name]} />
      </div>
      <Witnesses details={d} />
      <ModeOfPort mesh={mesh} details={d} readOnly={readOnly} />
      <DeclaredSection mesh={mesh} declared={e.declared} />
      <ObservedSection observed={e.observed} />
      <Causes edge={e} />
      <ProvenSection mesh={mesh} details={d} refetch={refetch} />
      {d.explanation && <Chain mesh={mesh} explanation={d.explanation} />}
      <Shares mesh={mesh} shares={e.shares} />
      <Trends trend={d.trend} title={`From ${d.client.name} to ${d.server.name}, on all ports`} />
      <Log mesh={mesh} of={{ edge: e.id }} lines={d.log} note={d.logNote} />
      <Certificates certificates={d.certificates} />
      <Sources mesh={mesh} edge={e} />
      <ProxyConfig mesh={mesh} pods={d.certificates.map((c) => `${c.namespace}/${c.pod}`)} />
    </>
  );
}

/** Both ends, to go to. */
function Ends({ mesh, details: { client, server } }: { mesh: string; details: EdgeDetails }) {
  return (
    <>
      {[client, server].map((n, i) => (
        <span key={n.id}>
          {i > 0 && " → "}
          <Link to={{ selection: { mesh, kind: "node", id: n.id } }}>
            {n.name}
          </Link>
          {n.namespace && <span className="faint"> in {n.namespace}</span>}
        </span>
      ))}
    </>
  );
}

/** A text as a sentence. A name at its beginning stays as it is. */
function capital(text: string, names: readonly string[]): string {
  const name = /^[a-z][A-Z]/.test(text) || names.some((n) => text.startsWith(n));
  return (name ? text : text.charAt(0).toUpperCase() + text.slice(1)) + (/[.!?)]$/.test(text) ? "" : ".");
}

/** That the verdict is a new one, and how far it is. */
function ChangedNotice({ changed: c }: { changed: Edge["changed"] }) {
  const now = useNow(1000);
  if (!c) return null;
  if (!c.since) {
    return (
      <Notice tone="warning">
        The verdict changed, and is not yet in force on <b className="number">{c.total - c.inForce} of {c.total}</b> sidecars.
      </Notice>
    );
  }
  return (
    <Notice>
      The verdict changed {ago(Date.parse(c.since), now)} (<time>{clock(new Date(c.since))}</time>): the lock judges the traffic since then.
    </Notice>
  );
}

/** Where the witnesses disagree, or something else is to be looked at. */
export function Findings({ findings, reason, names }: { findings: readonly Finding[] | undefined; reason?: string; names: readonly string[] }) {
  return findings
    ?.filter((f) => f.text !== reason)
    .map((f, i) => (
      <Notice key={i} tone={f.severity}>
        {capital(f.text, names)} <span className="tag mono">{f.code}</span>
      </Notice>
    ));
}

/** The mode of the server's port, to be changed here. */
function ModeOfPort({ mesh, details: d, readOnly }: { mesh: string; details: EdgeDetails; readOnly: boolean }) {
  const resource = probeTarget(d.server, d.edge.port);
  const rules = useMesh(readOnly || !resource ? null : mesh, "mtls", { resource });
  if (!resource || readOnly) return null;
  const rule = rules.data?.rules[0];
  return (
    <DrawerSection title={`Mode of ${d.server.name}:${d.edge.port}`} aside={rule ? (rule.own ? "its own" : `inherited from ${rule.policy === "-" ? "the default" : rule.policy}`) : " "}>
      <ModeControl mesh={mesh} resource={resource} mode={rule?.mtlsMode ?? d.edge.declared?.server ?? ""} own={!!rule?.own} />
    </DrawerSection>
  );
}

/** Handshakes that failed, by cause. */
function Causes({ edge }: { edge: Edge }) {
  const o = edge.observed;
  if (!o?.causes?.length) return null;
  const most = Math.max(...o.causes.map((c) => c.failures));
  return (
    <DrawerSection title="Failed handshakes by cause" aside={<span className="number">{rate(o.failures)}</span>}>
      <ul className="bars plain">
        {o.causes.map((c) => (
          <li key={c.cause} title={c.cause}>
            <span>{causeWords(c.cause)}</span>
            <b className="number">{rate(c.failures)}</b>
            <Bar share={most > 0 ? c.failures / most : 0} tone="broken" />
          </li>
        ))}
      </ul>
    </DrawerSection>
  );
}

function Bar({ share, tone }: { share: number; tone: string }) {
  return (
    <svg className="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
      <rect className="bar-ground" width="100" height="6" />
      <rect className={`bar-${tone}`} width={Math.max(1, share * 100)} height="6" />
    </svg>
  );
}

/** What each workload behind the service got. */
function Shares({ mesh, shares }: { mesh: string; shares: Edge["shares"] }) {
  if (!shares?.length) return null;
  const all = shares.reduce((n, s) => n + attempts(s.observed), 0);
  return (
    <DrawerSection title="By workload behind it">
      <ul className="bars plain">
        {shares.map((s) => {
          const part = all > 0 ? attempts(s.observed) / all : 0;
          return (
            <li key={s.workload}>
              <span>
                <LockIcon lock={s.lock} size={14} />{" "}
                <Link to={{ selection: { mesh, kind: "node", id: s.workload } }}>{named(s.workload).name}</Link>
              </span>
              <span className="number soft">
                {percent(part)} · {rate(attempts(s.observed))}
              </span>
              <Bar share={part} tone={s.lock} />
            </li>
          );
        })}
      </ul>
    </DrawerSection>
  );
}

const sourceWords: Record<string, string> = { call: "declared call", route: "route", "sidecar-egress": "Sidecar egress", traffic: "seen in traffic" };

/** Why the edge is there at all. */
function Sources({ mesh, edge }: { mesh: string; edge: Edge }) {
  if (edge.sources.length === 0) return null;
  return (
    <DrawerSection title="Why it is in the graph">
      <ul className="plain sources">
        {edge.sources.map((s, i) => (
          <li key={i}>
            <Icon name="right" size={12} /> {sourceWords[s.kind] ?? s.kind}
            {s.kind !== "traffic" && <span className="soft"> {s.text}</span>} {s.ref && <PlaceLink mesh={mesh} place={s.ref} />}
          </li>
        ))}
      </ul>
    </DrawerSection>
  );
}
