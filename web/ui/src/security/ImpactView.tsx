import { useState } from "react";
import type { Effect, Impact } from "../api/types";
import { count, rate, span } from "../ui/format";
import { Icon, type IconName } from "../ui/Icon";
import { clientName, groups, hostName, KIND_WORDS, live, traffic, turn, type Group, type Kind } from "./impact";

const icons: Record<Kind, IconName> = { breaks: "error", opens: "warning", mends: "check", locks: "security", other: "minus" };

/** How many effects of a kind show before somebody asks for all. */
const few = 6;

/** What a change does to every connection: counts, and what is behind each. */
export function ImpactView({ impact }: { impact: Impact }) {
  const all = groups(impact);
  return (
    <div className="impact">
      <ul className="impact-counts plain">
        {(["breaks", "opens", "mends", "locks"] as const).map((k) => (
          <li key={k} className={impact[k] > 0 ? `impact-count impact-${k}` : "impact-count"} title={KIND_WORDS[k].means}>
            <b className="number">{impact[k]}</b>
            <span>
              <Icon name={icons[k]} size={13} /> {KIND_WORDS[k].title.toLowerCase()}
            </span>
          </li>
        ))}
        <li className="impact-count" title="verdicts that stay as they are">
          <b className="number">{impact.same}</b>
          <span>unchanged</span>
        </li>
      </ul>
      {all.length === 0 && <p className="soft">No verdict on any connection changes.</p>}
      {all.map((g) => (
        <Effects key={g.kind} group={g} />
      ))}
      <p className="faint impact-seen">{seen(impact)}</p>
    </div>
  );
}

function seen(impact: Impact): string {
  if (impact.trouble) return `Traffic is not known: ${impact.trouble}`;
  if (!impact.observed) return "Traffic was not looked at: rates are not known.";
  const w = impact.observed;
  return `Rates are of the last ${span(Date.parse(w.end) - Date.parse(w.start))} of traffic.`;
}

function Effects({ group }: { group: Group }) {
  const quiet = group.kind === "other";
  const [all, setAll] = useState(false);
  const shown = all ? group.effects : group.effects.slice(0, quiet ? 0 : few);
  const rest = group.effects.length - shown.length;
  const w = KIND_WORDS[group.kind];
  return (
    <section className={`impact-group impact-${group.kind}`}>
      <h4>
        <Icon name={icons[group.kind]} size={14} /> {w.title} <span className="faint">{w.means}</span>
      </h4>
      <ul className="plain">
        {shown.map((e, i) => (
          <Row key={i} effect={e} />
        ))}
      </ul>
      {(rest > 0 || (all && group.effects.length > few)) && (
        <button type="button" className="button-plain button-small" aria-expanded={all} onClick={() => setAll(!all)}>
          <Icon name={all ? "up" : "down"} size={12} /> {all ? "show fewer" : quiet ? `show ${count(rest, "connection")}` : `show all ${group.effects.length}`}
        </button>
      )}
    </section>
  );
}

function Row({ effect: e }: { effect: Effect }) {
  const [before, after] = turn(e);
  const t = traffic(e);
  return (
    <li className="effect">
      <div className="effect-head">
        <span className="effect-name">
          {clientName(e.client)}
          {e.alike > 1 && <span className="tag" title={`${e.alike} clients get the same answers`}>×{e.alike}</span>}
          <span className="faint"> → </span>
          {hostName(e.host)}:{e.port}
        </span>
        <span className="effect-turn">
          {before || "–"} <span aria-hidden="true">→</span>
          <span className="hidden"> becomes </span> <b>{after || "–"}</b>
        </span>
        <span className={t > 0 ? "effect-rate number" : "effect-rate faint"} title={t > 0 ? "observed" : live(e) ? "the manifests declare such a call" : "no such call is known"}>
          {t > 0 ? rate(t) : live(e) ? "declared" : "not seen"}
        </span>
      </div>
      <p className="soft">{e.text}</p>
    </li>
  );
}
