import type { ReactNode } from "react";
import type { Place } from "../api/types";
import { Link } from "../shell/Link";
import { object, place as short } from "../ui/format";

/** The way back from what is seen to the object that says so: the editor at its line. */
export function PlaceLink({ mesh, place, children }: { mesh: string; place: Partial<Place> & { file?: string; line?: number }; children?: ReactNode }) {
  const where = short(place);
  const name = children ?? (place.kind && place.name ? object({ kind: place.kind, namespace: place.namespace, name: place.name }) : "");
  if (!place.file) return <span>{name}</span>;
  return (
    <span className="place">
      {name && <span>{name} </span>}
      <Link className="place-link mono" title={`${place.file}:${place.line ?? 1}`} to={{ view: "security", mesh, selection: null, query: { file: place.file, line: String(place.line ?? 1) } }}>
        {where}
      </Link>
    </span>
  );
}
