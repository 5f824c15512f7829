// Sets the mode of a resource with a click: the dialog with what that does comes first.
import { useState } from "react";
import { useMeshes } from "../api/resource";
import { ChangeDialog, type Wish } from "./ChangeDialog";
import { ModeIcon } from "./Mode";
import { modeMeans, modeOf, resourceWords, verbOf, VERBS, type Verb } from "./words";
import "./control.css";

interface Props {
  mesh: string;
  /** mesh, NS, NS/SERVICE or NS/SERVICE:PORT */
  resource: string;
  /** In force. */
  mode: string;
  /** The mode is of this very resource; else it is inherited, and there is nothing to unset. */
  own: boolean;
}

/** The dialect of a mesh, "" until it is known. */
export function useDialect(mesh: string): string {
  return useMeshes().data?.meshes.find((m) => m.name === mesh)?.status?.dialect ?? "";
}

export function ModeControl({ mesh, resource, mode, own }: Props) {
  const [wish, setWish] = useState<Wish | null>(null);
  const dialect = useDialect(mesh);
  const now = verbOf(mode);
  const pressed = (v: Verb) => (v === "unset" ? !own : own && v === now);
  return (
    <>
      <div className="mode-control" role="group" aria-label={`Mode of ${resourceWords(resource)}`}>
        {VERBS.map((v) => {
          const word = modeOf(v, dialect);
          const on = pressed(v);
          const inherited = !own && v === now && v !== "unset";
          return (
            <button
              key={v}
              type="button"
              data-verb={v}
              aria-pressed={on}
              className={inherited ? "mode-inherited" : undefined}
              title={`${word}: ${modeMeans(word)}${inherited ? " (inherited)" : ""}`}
              onClick={() => {
                // A mode that is set already may have left clients in conflict: the dialog offers to mend them.
                if (!on || v !== "unset") setWish({ kind: "mtls", verb: v, resource });
              }}
            >
              <ModeIcon mode={word} size={13} />
              <span>{word}</span>
            </button>
          );
        })}
      </div>
      {wish && <ChangeDialog mesh={mesh} wish={wish} onClose={() => setWish(null)} />}
    </>
  );
}
