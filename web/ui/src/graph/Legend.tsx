import { LOCKS } from "../api/types";
import { LOCK_MEANS, LockIcon } from "../ui/LockIcon";
import { KIND_GLYPHS } from "./glyphs";
import { DASHES, WEAK_DASHES } from "./style";

const KINDS: readonly [string, string][] = [
  ["workload", "workload"],
  ["service", "service; thin lines lead to the workloads behind it"],
  ["gateway", "gateway, or where traffic comes in"],
  ["egress", "host outside of the mesh"],
  ["outside", "callers that nobody can name"],
  ["namespace", "namespace that is collapsed: double click opens it"],
];

const KEYS: readonly [string, string][] = [
  ["n", "around the selected node: 1 hop, 2 hops, all"],
  ["e", "open or close a group"],
  ["f", "fit"],
  ["l", "list of nodes and edges"],
  ["+ −", "zoom; arrows pan"],
];

export function Legend() {
  return (
    <div className="menu-text legend" role="region" aria-label="Legend" tabIndex={0}>
      <h3>Edges</h3>
      <ul className="plain">
        {LOCKS.map((l) => (
          <li key={l}>
            <svg width="44" height="12" aria-hidden="true">
              <path className={`lock-${l} legend-line`} d="M2 6h40" strokeDasharray={DASHES[l].join(" ")} />
            </svg>
            <LockIcon lock={l} size={15} label="" />
            <span>
              <b>{l}</b>: {LOCK_MEANS[l]}
            </span>
          </li>
        ))}
        <li>
          <svg width="44" height="12" aria-hidden="true">
            <path className="lock-unknown legend-line" d="M2 6h40" strokeDasharray={WEAK_DASHES.join(" ")} strokeLinecap="round" />
          </svg>
          <span>weak: only a Sidecar says that this may be called</span>
        </li>
      </ul>
      <p className="faint">Thicker lines are tried more often. A triangle or a diamond is a finding: the witnesses disagree, or something else needs a look.</p>
      <h3>Nodes</h3>
      <ul className="plain">
        {KINDS.map(([k, means]) => (
          <li key={k}>
            <svg className="icon" width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
              <path d={KIND_GLYPHS[k]} />
            </svg>
            <span>{means}</span>
          </li>
        ))}
      </ul>
      <p className="faint">The border is the health of what comes in: green, amber from 1 % of errors and refusals, red from 5 %, grey without traffic; dashed without a sidecar.</p>
      <h3>Keys</h3>
      <ul className="plain">
        {KEYS.map(([k, means]) => (
          <li key={k}>
            <kbd>{k}</kbd>
            <span>{means}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
