// From a connection that is refused to the change that mends it, with a click.
import { useState } from "react";
import { useMesh } from "../api/resource";
import type { Edge } from "../api/types";
import { ChangeDialog, type Wish } from "./ChangeDialog";
import { mendable, mendOf } from "./mendable";

/** A button that shows what would mend the clients of an edge; nothing where that is not for the manifests to do. */
export function Mend({ mesh, edge }: { mesh: string; edge: Edge }) {
  const [wish, setWish] = useState<Wish>();
  const resource = mendable(edge);
  const rule = useMesh(resource ? mesh : null, "mtls", { resource }).data?.rules[0];
  const would = rule && mendOf(rule);
  if (!would && !wish) return null;
  return (
    <>
      <button type="button" className="button button-main button-small" title="Shows what would be changed, and what that does, before anything is" onClick={() => setWish(would)}>
        Mend clients…
      </button>
      {wish && <ChangeDialog mesh={mesh} wish={wish} onClose={() => setWish(undefined)} />}
    </>
  );
}
