// Texts that were written and not saved: they outlive the editor, until the page is closed.
import { Signal } from "../api/signal";

export interface Draft {
  mesh: string;
  name: string;
  text: string;
  /** What it was made from: the file as it was read, "" for a new one. */
  base: string;
  hash: string;
  /** There is no such file yet. */
  fresh: boolean;
}

const all = new Signal<readonly Draft[]>([]);

export const drafts = all;

export function draftOf(mesh: string, name: string): Draft | undefined {
  return all.value.find((d) => d.mesh === mesh && d.name === name);
}

/** Keeps a draft in the place of the one before. */
export function keepDraft(d: Draft): void {
  all.set([...all.value.filter((x) => x.mesh !== d.mesh || x.name !== d.name), d]);
}

export function dropDraft(mesh: string, name: string): void {
  if (draftOf(mesh, name)) all.set(all.value.filter((x) => x.mesh !== mesh || x.name !== name));
}

if (typeof window !== "undefined") {
  window.addEventListener("beforeunload", (e) => {
    if (all.value.length > 0) e.preventDefault();
  });
}
