// The three witnesses of an edge: what is declared, what was observed, what was proven.
import { useState } from "react";
import { ApiError, post } from "../api/client";
import type { Declared, EdgeDetails, Observed, Proven } from "../api/types";
import { DrawerSection, Facts } from "../shell/Drawer";
import { announce } from "../ui/announce";
import { ago, bytes, clock, duration, percent, rate } from "../ui/format";
import { Icon } from "../ui/Icon";
import { named } from "../ui/names";
import { Notice } from "../ui/States";
import { useNow } from "../ui/time";
import { attempts, declaredWords, lostOf, observedWords, probeClient, probeTarget, provenWords, reporterWords, shortPrincipal, type Testimony } from "./facts";
import { PlaceLink } from "./PlaceLink";

/** All three in a row, each in a word. */
export function Witnesses({ details: { edge } }: { details: EdgeDetails }) {
  const now = useNow(5000);
  return (
    <div className="witnesses">
      <Witness name="Declared" says={declaredWords(edge.declared)} />
      <Witness name="Observed" says={observedWords(edge.observed, edge.lock)} />
      <Witness name="Proven" says={provenWords(edge.proven, now)} />
    </div>
  );
}

function Witness({ name, says }: { name: string; says: Testimony }) {
  return (
    <div className={`witness witness-${says.tone}`}>
      <h3>{name}</h3>
      <b className={`lock-${says.tone}`}>{says.word}</b>
      <small>{says.sub}</small>
    </div>
  );
}

export function DeclaredSection({ mesh, declared: d }: { mesh: string; declared: Declared | null }) {
  if (!d) {
    return (
      <DrawerSection title="Declared">
        <p className="soft">There is no verdict: it ends outside of the mesh, or nobody declares it.</p>
      </DrawerSection>
    );
  }
  return (
    <DrawerSection title="Declared" aside="by the manifests">
      <Facts
        rows={[
          ["Status", <span className={/CONFLICT/.test(d.status) ? "tag tag-error" : "tag"}>{d.status}</span>],
          ["Server", <Mono text={d.server} />],
          ["Client", <Mono text={d.clientMode} />],
          ["On the wire", <Mono text={d.wire} />],
          ["Policy", d.policy ? <PlaceLink mesh={mesh} place={d.policy} /> : <span className="faint">none: the default of the dialect</span>],
          ["Rule", d.destinationRule ? <PlaceLink mesh={mesh} place={d.destinationRule} /> : <span className="faint">no DestinationRule applies</span>],
        ]}
      />
    </DrawerSection>
  );
}

function Mono({ text }: { text: string }) {
  return <span className="mono">{text}</span>;
}

export function ObservedSection({ observed: o }: { observed: Observed | null }) {
  const now = useNow(1000);
  if (!o) {
    return (
      <DrawerSection title="Observed">
        <p className="soft">No traffic was seen. Nothing is known of what it would be.</p>
      </DrawerSection>
    );
  }
  const all = o.requests + o.connections;
  const lost = lostOf(o);
  return (
    <DrawerSection title="Observed" aside={o.newest ? `newest ${ago(Date.parse(o.newest), now)}` : "no sample yet"}>
      <Facts
        rows={[
          o.requests > 0 && ["Requests", <Rate n={o.requests} />],
          o.connections > 0 && ["Connections", <Rate n={o.connections} />],
          all > 0 && ["Errors", <span className={o.errors > 0 ? "number bad" : "number"}>{o.errors > 0 ? `${rate(o.errors)} (${percent(o.errors / all)})` : "none"}</span>],
          o.failures > 0 && ["Handshakes", <span className="number bad">{rate(o.failures)} fail ({percent(o.failures / attempts(o))} of attempts)</span>],
          lost > 0 && ["Lost", <span className="number bad">{rate(lost)} never reached the server’s sidecar</span>],
          o.p50 !== undefined && ["Latency", <Latency o={o} />],
          o.received + o.sent > 0 && ["Bytes", <span className="number">{bytes(o.received)} in, {bytes(o.sent)} out</span>],
          ["Security", <span>{o.known === 0 ? "not known" : `${percent(o.mtls)} mutual TLS`}{o.known > 0 && o.known < 1 ? ` of the ${percent(o.known)} that is known` : ""}</span>],
          ["Reported", <span>{reporterWords(o.reporters)}</span>],
          !!o.policies?.length && ["Policy", <List of={o.policies} />],
          !!o.sourcePrincipals?.length && ["Client is", <List of={o.sourcePrincipals.map(shortPrincipal)} />],
          !!o.destinationPrincipals?.length && ["Server is", <List of={o.destinationPrincipals.map(shortPrincipal)} />],
        ]}
      />
    </DrawerSection>
  );
}

function Rate({ n }: { n: number }) {
  return <span className="number">{rate(n)}</span>;
}

function Latency({ o }: { o: Observed }) {
  return (
    <span className="latency number">
      {([["p50", o.p50], ["p90", o.p90], ["p99", o.p99]] as const).map(([name, v]) => (
        <span key={name}>
          <small>{name}</small> {v === undefined ? "–" : duration(v)}
        </span>
      ))}
    </span>
  );
}

function List({ of }: { of: readonly string[] }) {
  return (
    <ul className="plain">
      {of.map((x) => (
        <li key={x} className="mono">
          {x}
        </li>
      ))}
    </ul>
  );
}

/** What came of trying, and trying again. */
export function ProvenSection({ mesh, details, refetch }: { mesh: string; details: EdgeDetails; refetch: () => void }) {
  const to = probeTarget(details.server, details.edge.port);
  const client = probeClient(details.client);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const [own, setOwn] = useState<Proven>();
  const p = own && (!details.edge.proven || own.at > details.edge.proven.at) ? own : details.edge.proven;
  const now = useNow(1000);
  const probe = async (from?: string) => {
    if (!to) return;
    setBusy(true);
    setError("");
    try {
      const answer = await post(mesh, "probe", { to, ...(from ? { from } : {}) });
      setOwn(answer.proven);
      announce(answer.proven.mode ? `proven: ${answer.proven.mode}` : (answer.proven.problem ?? "tried"));
      refetch();
    } catch (e) {
      setError(e instanceof ApiError ? e.message : String(e));
    } finally {
      setBusy(false);
    }
  };
  return (
    <DrawerSection title="Proven" aside={p ? <time title={clock(new Date(p.at))}>{ago(Date.parse(p.at), now)}</time> : "not tried yet"}>
      {p && (
        <>
          <Facts
            rows={[
              !!p.mode && ["The server is", <span className="mono">{p.mode}</span>],
              ["Tried from", p.from ? named(p.from).name : "outside: a caller without a sidecar"],
              !!p.problem && ["Problem", p.problem],
            ]}
          />
          {!!p.proof?.length && (
            <ol className="proof mono">
              {p.proof.map((line, i) => (
                <li key={i}>{line}</li>
              ))}
            </ol>
          )}
        </>
      )}
      {error && <Notice tone="error">{error}</Notice>}
      {to ? (
        <div className="section-actions">
          <button type="button" className="button button-small" disabled={busy} onClick={() => void probe(client)}>
            <Icon name="near" size={13} /> {busy ? "Probing…" : "Probe now"}
          </button>
          {client && (
            <button type="button" className="button button-small" disabled={busy} onClick={() => void probe()}>
              as a caller without a sidecar
            </button>
          )}
        </div>
      ) : (
        <p className="faint">Only ports of the mesh’s own services are probed.</p>
      )}
    </DrawerSection>
  );
}
