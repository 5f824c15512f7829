// The mode of the mesh, and the way to change it.
import { useState } from "react";
import type { Coverage, Rule } from "../api/types";
import { ChangeDialog, type Wish } from "../security/ChangeDialog";
import { ModeIcon } from "../security/Mode";
import { modeMeans, modeOf, type Verb } from "../security/words";
import { Link } from "../shell/Link";
import { place } from "../ui/format";

interface Props {
  mesh: string;
  dialect: string;
  rule: Rule;
  sync: Coverage;
  readOnly: boolean;
}

const verbs: readonly Verb[] = ["require", "allow", "disable"];

export function ModeCard({ mesh, dialect, rule, sync, readOnly }: Props) {
  const [wish, setWish] = useState<Wish | null>(null);
  return (
    <section className="card overview-card">
      <h2>
        Mode of the mesh
        <span className="overview-aside number">
          in force on {sync.inForce} of {sync.total}
        </span>
      </h2>
      <div className="overview-figure">
        <b className="overview-mode">
          <ModeIcon mode={rule.mtlsMode} size={24} /> {rule.mtlsMode}
        </b>
      </div>
      <p className="soft">{modeMeans(rule.mtlsMode)}</p>
      <p className="faint">
        {rule.policy === "-" ? "no policy of the mesh: this is the default" : `policy ${rule.policy} `}
        {rule.place?.file && <Link to={{ view: "security", query: { file: rule.place.file, line: String(rule.place.line ?? 1) } }}>{place(rule.place)}</Link>}
      </p>
      {!readOnly && (
        <div className="overview-verbs" role="group" aria-label="Change the mode of the mesh">
          {verbs
            .map((verb) => ({ verb, mode: modeOf(verb, dialect) }))
            .filter(({ mode }) => mode !== rule.mtlsMode)
            .map(({ verb, mode }) => (
              <button key={verb} className="button button-small" onClick={() => setWish({ kind: "mtls", verb, resource: "mesh" })}>
                <ModeIcon mode={mode} size={14} /> {mode}…
              </button>
            ))}
        </div>
      )}
      {wish && <ChangeDialog mesh={mesh} wish={wish} onClose={() => setWish(null)} />}
    </section>
  );
}
