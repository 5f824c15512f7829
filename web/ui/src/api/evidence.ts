// How old the newest observation of each mesh is.
import { Signal } from "./signal";

/** What is known of the age of a mesh's observations. */
export interface Evidence {
  /** When the newest sample was taken, by performance.now(); NaN where nothing was observed. */
  newest: number;
  /** Why nothing, or not everything, could be observed; "" where it was. */
  trouble: string;
  /** Sidecars that gave no answer to the store. */
  down: readonly string[];
}

const byMesh = new Map<string, Signal<Evidence | undefined>>();

/** The evidence of a mesh: undefined until a graph was seen. */
export function evidenceOf(mesh: string): Signal<Evidence | undefined> {
  let s = byMesh.get(mesh);
  if (!s) byMesh.set(mesh, (s = new Signal<Evidence | undefined>(undefined)));
  return s;
}

interface Windowed {
  window?: { end: string; newest?: string };
  trouble?: string;
  down?: string[];
}

/** Reads the evidence from a graph that came. The clocks of server and browser may differ: only the server's is compared with itself. */
export function noteEvidence(path: string, data: unknown, at: number): void {
  const m = /^\/api\/v1\/meshes\/([^/]+)\/graph\b/.exec(path);
  if (!m?.[1]) return;
  const g = data as Windowed;
  const age = g.window?.newest ? Date.parse(g.window.end) - Date.parse(g.window.newest) : NaN;
  evidenceOf(decodeURIComponent(m[1])).set({ newest: at - age, trouble: g.trouble ?? "", down: g.down ?? [] });
}
