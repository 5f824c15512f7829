import type { MeshEntry } from "../api/types";
import type { Selection, Window } from "./router";

/** What every view gets. Each is the default export of its module. */
export interface ViewProps {
  /** The mesh to show; null for all of meshes. */
  mesh: string | null;
  /** All that the dashboard serves, by name; one with a problem does not answer. */
  meshes: readonly MeshEntry[];
  window: Window;
  /** Nothing may be changed: controls for that are left out or disabled, with the reason. */
  readOnly: boolean;
}

/** What the details in the drawer get. */
export interface DetailsProps {
  mesh: string;
  selection: Selection;
  window: Window;
  readOnly: boolean;
}
