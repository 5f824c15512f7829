// The mode of the mesh, and the way to change it.
import { useState } from "react";
import type { Coverage, Rule } from "../api/types";
import { Link } from "../shell/Link";
import { place } from "../ui/format";
import { Icon } from "../ui/Icon";

interface Props {
  mesh: string;
  rule: Rule;
  sync: Coverage;
  readOnly: boolean;
}

/** What each mode means for callers. */
const MEANS: Record<string, string> = {
  STRICT: "Servers take mutual TLS alone.",
  PERMISSIVE: "Servers take mutual TLS and plaintext.",
  DISABLE: "Servers take plaintext alone.",
  DISABLED: "Servers take plaintext alone.",
};

export function ModeCard({ mesh, rule, sync, readOnly }: Props) {
  const [verb, setVerb] = useState<string | null>(null);
  void setVerb;
  void verb;
  void mesh;
  return (
    <section className="card overview-card">
      <h2>
        Mode of the mesh
        <span className="overview-aside number">
          in force on {sync.inForce} of {sync.total}
        </span>
      </h2>
      <div className="overview-figure">
        <b>{rule.mtlsMode}</b>
      </div>
      <p className="soft">{MEANS[rule.mtlsMode] ?? ""}</p>
      <p className="faint">
        {rule.policy === "-" ? "no policy of the mesh; this is the default" : `policy ${rule.policy} `}
        {rule.place?.file && <Link to={{ view: "security", query: { file: rule.place.file, line: String(rule.place.line ?? 1) } }}>{place(rule.place)}</Link>}
      </p>
      {!readOnly && (
        <p>
          <Link className="button button-small" to={{ view: "security" }}>
            <Icon name="security" /> Change
          </Link>
        </p>
      )}
    </section>
  );
}
