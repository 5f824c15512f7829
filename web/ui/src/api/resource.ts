// Answers that are shown: shared by all who show them, kept while they are asked for again, and asked for again when
// something happens, at most twice a second.
import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { ApiError, meshPath, request } from "./client";
import { connection } from "./connection";
import { noteEvidence } from "./evidence";
import type { GetAnswer, GetName, Meshes, Query } from "./types";

/** Shortest time between two requests for one path, in milliseconds: a lock that turns is waited for. */
const gap = 500;

/** How many answers that nobody shows are kept. */
const kept = 40;

/** What is known of one path at one moment. */
export interface Answer<T> {
  data?: T;
  /** Why the newest request failed; data is then of an older one, if there is any. */
  error?: ApiError;
  /** When data came, by performance.now(). */
  at: number;
  loading: boolean;
}

class Resource {
  answer: Answer<unknown> = { at: 0, loading: false };
  readonly watchers = new Map<() => void, number>();
  private text = "";
  private started = -gap;
  private took = 0;
  private timer = 0;
  private abort?: AbortController;

  constructor(readonly path: string) {}

  watch(f: () => void, poll: number): () => void {
    this.watchers.set(f, poll);
    // What was kept while nobody looked may have changed since.
    if (!this.answer.loading && !(this.answer.data !== undefined && performance.now() - this.answer.at < gap)) this.ask();
    else this.schedule();
    return () => {
      this.watchers.delete(f);
      if (this.watchers.size > 0) return;
      window.clearTimeout(this.timer);
      this.abort?.abort();
      forget();
    };
  }

  /** Asks again as soon as it may. */
  ask = (): void => {
    if (this.watchers.size === 0 || this.answer.loading) return;
    window.clearTimeout(this.timer);
    const wait = this.started + gap - performance.now();
    if (wait > 0) this.timer = window.setTimeout(this.fetch, wait);
    else void this.fetch();
  };

  private fetch = async (): Promise<void> => {
    if (this.answer.loading) return;
    const abort = (this.abort = new AbortController());
    this.started = performance.now();
    this.put({ ...this.answer, loading: true });
    try {
      const text = await request(this.path, { signal: abort.signal });
      const at = performance.now();
      this.took = at - this.started;
      const same = text === this.text && this.answer.data !== undefined;
      const data: unknown = same ? this.answer.data : JSON.parse(text); // the same object: nothing is drawn again
      this.text = text;
      noteEvidence(this.path, data, at);
      this.put({ data, at, loading: false });
    } catch (e) {
      if (abort.signal.aborted) {
        this.put({ ...this.answer, loading: false });
        return;
      }
      const error = e instanceof ApiError ? e : new ApiError(0, "the answer cannot be read: " + String(e));
      this.put({ ...this.answer, error, loading: false });
    }
    this.schedule();
  };

  /** Plans the next look: as often as the keenest watcher wants, and never more than a quarter of the time. */
  private schedule(): void {
    window.clearTimeout(this.timer);
    const poll = Math.min(...[...this.watchers.values()].filter((p) => p > 0));
    if (!Number.isFinite(poll) || document.hidden || connection.session.value === false) return;
    const pause = this.answer.error ? Math.max(poll, 3000) : Math.max(poll, this.took * 3);
    this.timer = window.setTimeout(this.ask, pause);
  }

  private put(a: Answer<unknown>): void {
    this.answer = a;
    for (const f of [...this.watchers.keys()]) f();
  }
}

const resources = new Map<string, Resource>();

function resource(path: string): Resource {
  let r = resources.get(path);
  if (r) resources.delete(path); // and to the end: the oldest are forgotten first
  else r = new Resource(path);
  resources.set(path, r);
  return r;
}

function forget(): void {
  const idle = [...resources.values()].filter((r) => r.watchers.size === 0);
  for (const r of idle.slice(0, Math.max(0, idle.length - kept))) resources.delete(r.path);
}

/** Asks again for all that is shown of a mesh, or for all that is shown. */
export function refresh(mesh?: string): void {
  const prefix = mesh === undefined ? "" : `/api/v1/meshes/${encodeURIComponent(mesh)}/`;
  for (const r of resources.values()) if (r.path.startsWith(prefix)) r.ask();
}

connection.returns.subscribe(() => refresh());
connection.session.subscribe(() => connection.session.value && refresh());
if (typeof document !== "undefined") document.addEventListener("visibilitychange", () => !document.hidden && refresh());

const nothing: Answer<unknown> = { at: 0, loading: false };

/** What a component gets: an answer, and whether it is of an older query than the one that was asked last. */
export interface Shown<T> extends Answer<T> {
  stale: boolean;
  refetch: () => void;
}

/**
 * Follows a path; null asks nothing. Data stays while it is asked for again, and while another query of the same path is
 * under way (stale). poll is in milliseconds, 0 for never; events of the mesh make it ask again by themselves.
 */
export function useAnswer<T>(path: string | null, poll = 0): Shown<T> {
  const r = useMemo(() => (path === null ? null : resource(path)), [path]);
  const subscribe = useCallback((f: () => void) => (r ? r.watch(f, poll) : () => {}), [r, poll]);
  const now = useSyncExternalStore(subscribe, () => (r ? r.answer : nothing)) as Answer<T>;
  const last = useRef<{ path: string; answer: Answer<T> }>(undefined);
  const place = path?.split("?")[0];
  useEffect(() => {
    if (path !== null && now.data !== undefined) last.current = { path, answer: now };
  }, [path, now]);
  const before = last.current;
  const stale = now.data === undefined && !now.error && before !== undefined && before.path.split("?")[0] === place;
  const refetch = useCallback(() => r?.ask(), [r]);
  return stale ? { ...before.answer, loading: true, stale, refetch } : { ...now, stale: false, refetch };
}

/** Follows what a mesh answers: `useMesh(mesh, "graph", { window })`. A mesh of null asks nothing. */
export function useMesh<N extends GetName>(mesh: string | null, name: N, query: Query = {}, poll = 0): Shown<GetAnswer<N>> {
  return useAnswer<GetAnswer<N>>(mesh === null ? null : meshPath(mesh, name, query), poll);
}

/** Follows the list of meshes. */
export function useMeshes(): Shown<Meshes> {
  return useAnswer<Meshes>("/api/v1/meshes", 5000);
}

/** Follows the same question to several meshes, in their order. */
export function useEach<N extends GetName>(meshes: readonly string[], name: N, query: Query = {}, poll = 0): readonly Answer<GetAnswer<N>>[] {
  const key = meshes.map((m) => meshPath(m, name, query)).join("\n");
  const all = useMemo(() => (key ? key.split("\n").map(resource) : []), [key]);
  const seen = useRef<readonly Answer<unknown>[]>([]);
  const subscribe = useCallback(
    (f: () => void) => {
      const ends = all.map((r) => r.watch(f, poll));
      return () => ends.forEach((end) => end());
    },
    [all, poll],
  );
  return useSyncExternalStore(subscribe, () => {
    const now = all.map((r) => r.answer);
    if (now.length !== seen.current.length || now.some((a, i) => a !== seen.current[i])) seen.current = now;
    return seen.current;
  }) as readonly Answer<GetAnswer<N>>[];
}
