// Every view has a URL: /VIEW for all meshes, /meshes/NAME/VIEW for one, and a query with the rest of what is shown.
import { useCallback } from "react";
import { Signal, useSignal } from "../api/signal";

export const VIEWS = ["overview", "graph", "table", "security", "changes"] as const;
export type View = (typeof VIEWS)[number];

/** How far back observations go. */
export const WINDOWS = ["1m", "5m", "15m", "1h", "6h"] as const;
export type Window = (typeof WINDOWS)[number];

/** What the drawer shows: `sel=edge:ID` or `sel=node:ID`, with `of=MESH` where the URL is about all meshes. */
export interface Selection {
  mesh: string;
  kind: "node" | "edge";
  id: string;
}

/** What a URL says. */
export interface Route {
  view: View;
  /** null for all meshes */
  mesh: string | null;
  window: Window;
  selection: Selection | null;
  /** All of the query, the parameters of the view included. */
  query: URLSearchParams;
  /** false for a path that is no view: the overview is shown. */
  known: boolean;
}

export function parse(path: string, search: string): Route {
  const parts = path.split("/").filter(Boolean).map(decode);
  const query = new URLSearchParams(search);
  const mesh = parts[0] === "meshes" ? (parts[1] ?? null) : null;
  const name = parts[0] === "meshes" ? parts[2] : parts[0];
  const view = VIEWS.find((v) => v === name);
  const window = WINDOWS.find((w) => w === query.get("window")) ?? "1m";
  const extent = parts[0] === "meshes" ? 3 : 1;
  return { view: view ?? "overview", mesh, window, selection: selectionOf(query, mesh), query, known: view !== undefined && parts.length === extent };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function selectionOf(query: URLSearchParams, mesh: string | null): Selection | null {
  const m = /^(node|edge):(.+)$/s.exec(query.get("sel") ?? "");
  const of = mesh ?? query.get("of");
  return m?.[1] && m[2] && of ? { mesh: of, kind: m[1] as Selection["kind"], id: m[2] } : null;
}

/** What shall be different: of what is left out, view, mesh, window and selection stay. */
export interface Change {
  view?: View;
  mesh?: string | null;
  window?: Window;
  selection?: Selection | null;
  /** Parameters of the view: null removes one. They are dropped when the view changes. */
  query?: Record<string, string | null>;
}

/** The URL of a route with changes. */
export function href(from: Route, change: Change = {}): string {
  const view = change.view ?? from.view;
  const mesh = change.mesh === undefined ? from.mesh : change.mesh;
  const q = view === from.view ? new URLSearchParams(from.query) : new URLSearchParams();
  for (const name of ["window", "sel", "of"]) q.delete(name);
  const window = change.window ?? from.window;
  if (window !== "1m") q.set("window", window);
  const sel = change.selection === undefined ? from.selection : change.selection;
  if (sel && (mesh === null || mesh === sel.mesh)) {
    q.set("sel", `${sel.kind}:${sel.id}`);
    if (mesh === null) q.set("of", sel.mesh);
  }
  for (const [k, v] of Object.entries(change.query ?? {})) {
    if (v === null || v === "") q.delete(k);
    else q.set(k, v);
  }
  // Slashes and colons may stand in a query as they are: links stay readable.
  const tail = q.toString().replaceAll("%2F", "/").replaceAll("%3A", ":");
  const path = mesh === null ? `/${view}` : `/meshes/${encodeURIComponent(mesh)}/${view}`;
  return path + (tail ? "?" + tail : "");
}

const here = (): Route => parse(location.pathname, location.search);

/** Where we are. Tests of pure parts run without a window. */
export const route = new Signal<Route>(typeof location === "undefined" ? parse("/", "") : here());

if (typeof window !== "undefined") window.addEventListener("popstate", () => route.set(here()));

/** Goes somewhere. Small steps (a filter that is typed) replace the entry of the history. */
export function navigate(change: Change, how: { replace?: boolean } = {}): void {
  const url = href(route.value, change);
  if (url === location.pathname + location.search) return;
  if (how.replace) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  route.set(here());
}

export function useRoute(): Route {
  return useSignal(route);
}

/** A parameter of the view, in the URL: "" where it is not there. */
export function useParam(name: string): [string, (value: string) => void] {
  const r = useRoute();
  const set = useCallback((value: string) => navigate({ query: { [name]: value || null } }, { replace: true }), [name]);
  return [r.query.get(name) ?? "", set];
}
