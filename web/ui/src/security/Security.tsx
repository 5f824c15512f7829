// Who decides about mutual TLS, and how to change it: modes, policies, and the editor of their files.
import { lazy, Suspense } from "react";
import { useSignal } from "../api/signal";
import type { MeshEntry } from "../api/types";
import { LockCounts } from "../details/NodeView";
import { Link } from "../shell/Link";
import { useParam, useRoute } from "../shell/router";
import type { ViewProps } from "../shell/views";
import { Choice } from "../ui/Menu";
import { Icon } from "../ui/Icon";
import { Loading, Notice } from "../ui/States";
import "../details/details.css";
import { drafts } from "./drafts";
import { shortPath } from "./DiffView";
import { ModeTag } from "./Mode";
import { Modes } from "./Modes";
import { Policies } from "./Policies";
import "./change.css";
import "./security.css";

const Editor = lazy(() => import("./editor/Editor"));

type Tab = "modes" | "policies";

export default function Security({ mesh, meshes, window, readOnly }: ViewProps) {
  const [tab, setTab] = useParam("tab");
  const { query } = useRoute();
  if (mesh === null) return <AllMeshes meshes={meshes} readOnly={readOnly} />;
  // Said, and no more: what is open stays open, such as a dialog or a text that is not saved.
  const away = meshes.find((m) => m.name === mesh)?.problem;
  const file = query.get("file");
  const line = Number(query.get("line") ?? 1) || 1;
  if (file) {
    return (
      <div className="security security-edit">
        <h1 className="hidden">Edit {shortPath(file)}</h1>
        <Suspense fallback={<Loading what="the editor" lines={12} />}>
          <Editor key={mesh + file} mesh={mesh} file={file} line={line} template={query.get("new") ?? ""} namespace={query.get("ns") ?? ""} readOnly={readOnly} />
        </Suspense>
      </div>
    );
  }
  const shown: Tab = tab === "policies" ? "policies" : "modes";
  return (
    <div className="security">
      <header className="security-head">
        <h1>Security</h1>
        <Choice
          label="What is shown"
          value={shown}
          options={[
            { value: "modes", text: "Modes" },
            { value: "policies", text: "Policies and files" },
          ]}
          onChange={(v) => setTab(v === "modes" ? "" : v)}
        />
        <Unsaved mesh={mesh} />
      </header>
      {away && <Notice tone="warning">{mesh} does not answer now: {away}</Notice>}
      {readOnly && <ReadOnly />}
      {shown === "modes" ? <Modes mesh={mesh} window={window} readOnly={readOnly} /> : <Policies mesh={mesh} readOnly={readOnly} />}
    </div>
  );
}

function ReadOnly() {
  return <Notice>This dashboard is read-only: all is shown, and nothing can be set here. The command line may.</Notice>;
}

/** Files that were edited and not saved, to go back to. */
function Unsaved({ mesh }: { mesh: string }) {
  const list = useSignal(drafts).filter((d) => d.mesh === mesh);
  if (list.length === 0) return null;
  return (
    <p className="unsaved">
      <Icon name="warning" size={13} /> not saved:{" "}
      {list.map((d) => (
        <Link key={d.name} className="mono" to={{ query: { file: d.name, line: "1", ...(d.fresh ? { new: "draft" } : {}) } }}>
          {shortPath(d.name)}
        </Link>
      ))}
    </p>
  );
}

/** The meshes with their modes, each to go to. */
function AllMeshes({ meshes, readOnly }: { meshes: readonly MeshEntry[]; readOnly: boolean }) {
  return (
    <div className="security">
      <header className="security-head">
        <h1>Security</h1>
      </header>
      {readOnly && <ReadOnly />}
      <ul className="security-meshes plain">
        {meshes.map((m) => (
          <li key={m.name}>
            <Link to={{ mesh: m.name, view: "security", selection: null }}>
              <b className="mono">{m.name}</b>
              {m.problem ? (
                <span className="soft">does not answer: {m.problem}</span>
              ) : (
                <>
                  <ModeTag mode={m.mode ?? ""} />
                  {m.locks && <LockCounts locks={m.locks} />}
                  <span className="faint">{m.status?.dialect === "current" ? "current Istio" : `Istio ${m.status?.dialect ?? "?"}`}</span>
                </>
              )}
              <Icon name="right" size={13} />
            </Link>
          </li>
        ))}
      </ul>
    </div>
  );
}
