// All policies and rules, and new ones from a template.
import { useMemo, useState } from "react";
import { useMesh } from "../api/resource";
import type { ObjectEntry } from "../api/types";
import { Link } from "../shell/Link";
import { navigate, useParam } from "../shell/router";
import { count, place } from "../ui/format";
import { Icon } from "../ui/Icon";
import { Menu } from "../ui/Menu";
import { Await, Empty } from "../ui/States";
import { useDialect } from "./ModeControl";
import { fileName, folderOf, templates } from "./templates";

/** What decides about mutual TLS; the rest is shown when somebody asks. */
const deciding = ["PeerAuthentication", "MeshPolicy", "Policy", "DestinationRule"];

export function Policies({ mesh, readOnly }: { mesh: string; readOnly: boolean }) {
  const objects = useMesh(mesh, "objects");
  return <Await of={objects} what="the objects">{(o) => <List mesh={mesh} objects={o.objects} readOnly={readOnly} />}</Await>;
}

function List({ mesh, objects, readOnly }: { mesh: string; objects: readonly ObjectEntry[]; readOnly: boolean }) {
  const [filter, setFilter] = useParam("q");
  const [kind, setKind] = useParam("kind");
  const kinds = useMemo(() => [...new Set(objects.map((o) => o.kind))].sort(), [objects]);
  const shown = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    return objects.filter(
      (o) =>
        (kind === "all" || (kind === "" ? deciding.includes(o.kind) : o.kind === kind)) &&
        words.every((w) => `${o.kind} ${o.namespace ?? ""}/${o.name} ${o.summary ?? ""} ${o.file ?? ""}`.toLowerCase().includes(w)),
    );
  }, [objects, filter, kind]);
  return (
    <>
      <div className="security-bar">
        <input className="field" type="search" placeholder="Filter: name, kind, STRICT…" aria-label="Filter objects" value={filter} onChange={(e) => setFilter(e.target.value)} />
        <span className="select">
          <select aria-label="Kinds of objects" value={kind} onChange={(e) => setKind(e.target.value)}>
            <option value="">policies and rules</option>
            <option value="all">every object</option>
            {kinds.map((k) => (
              <option key={k}>{k}</option>
            ))}
          </select>
          <Icon name="down" size={12} />
        </span>
        {!readOnly && <NewFile mesh={mesh} objects={objects} />}
        <span className="faint security-count number">{count(shown.length, "object")}</span>
      </div>
      {shown.length === 0 ? (
        <Empty title={filter || kind ? "Nothing matches" : "There is no policy and no rule"} icon="docs">
          <p>{filter || kind ? "Another filter may." : "Servers and clients follow the defaults of the dialect."}</p>
        </Empty>
      ) : (
        <ul className="objects-list plain">
          {shown.map((o, i) => (
            <li key={i}>
              <Link to={{ query: { file: o.file ?? "", line: String(o.line ?? 1), q: null, kind: null } }}>
                <span className="objects-kind">{o.kind}</span>
                <span className="objects-name">
                  {o.namespace && <span className="faint">{o.namespace}/</span>}
                  {o.name}
                </span>
                <span className="objects-summary soft">{o.summary}</span>
                <span className="objects-place mono faint">{place(o)}</span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

/** A file to begin with: what it shall be, of which namespace, and its name. */
function NewFile({ mesh, objects }: { mesh: string; objects: readonly ObjectEntry[] }) {
  const list = templates(useDialect(mesh));
  const spaces = useMemo(() => [...new Set(objects.map((o) => (o.kind === "Namespace" ? o.name : (o.namespace ?? ""))))].filter(Boolean).sort(), [objects]);
  const folder = folderOf(objects.find((o) => o.file)?.file ?? "");
  const [picked, setPicked] = useState("");
  const [space, setSpace] = useState("");
  const [typed, setTyped] = useState("");
  const t = list.find((x) => x.id === picked) ?? list[0];
  if (!t) return null;
  const namespace = t.namespaced ? space || (spaces.find((s) => s !== "istio-system") ?? spaces[0] ?? "default") : "";
  const name = typed || fileName(folder, t.id, namespace);
  const exists = objects.some((o) => o.file === name);
  return (
    <Menu
      align="start"
      button={
        <>
          <Icon name="plus" size={13} /> New
        </>
      }
    >
      {(close) => (
        <form
          className="menu-text new-file"
          onSubmit={(e) => {
            e.preventDefault();
            close();
            navigate({ query: { file: name, line: "1", new: exists ? null : t.id, ns: exists ? null : namespace, q: null, kind: null } });
          }}
        >
          <label>
            What
            <select className="field" value={t.id} onChange={(e) => setPicked(e.target.value)}>
              {list.map((x) => (
                <option key={x.id} value={x.id}>
                  {x.title}
                </option>
              ))}
            </select>
          </label>
          {t.namespaced && (
            <label>
              Namespace
              <select className="field" value={namespace} onChange={(e) => setSpace(e.target.value)}>
                {spaces.map((s) => (
                  <option key={s}>{s}</option>
                ))}
              </select>
            </label>
          )}
          <label>
            File
            <input className="field mono" value={name} spellCheck={false} aria-invalid={exists} onChange={(e) => setTyped(e.target.value)} />
          </label>
          {exists && <p className="faint">There is such a file already: it would be opened.</p>}
          <button className="button button-main">{exists ? "Open" : "Write it"}</button>
        </form>
      )}
    </Menu>
  );
}
