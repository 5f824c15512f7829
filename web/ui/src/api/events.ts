// The event stream of a mesh. It is open while the page is visible: a browser allows six connections to one server, for
// all its tabs together.
import { useEffect } from "react";
import { request } from "./client";
import { connection } from "./connection";
import { refresh } from "./resource";
import { Signal } from "./signal";
import type { Event } from "./types";

/** The types of events. */
const types = ["snapshot", "sync", "change", "held", "store", "picture", "reset"] as const satisfies readonly Event["type"][];

/** The newest event of each mesh and type, such as latest("jaunty-ferret", "sync"). */
const newest = new Map<string, Signal<Event | undefined>>();

export function latest(mesh: string, type: Event["type"]): Signal<Event | undefined> {
  const key = mesh + " " + type;
  let s = newest.get(key);
  if (!s) newest.set(key, (s = new Signal<Event | undefined>(undefined)));
  return s;
}

/** Longest pause before the next attempt, in milliseconds. */
const longest = 10_000;

/**
 * Follows the events of a mesh, and asks again for what is shown of it when one comes. EventSource resumes by itself
 * (Last-Event-ID) while the server answers; else the stream is opened anew, after a growing pause, and all is looked at again.
 */
export function follow(mesh: string): () => void {
  let source: EventSource | undefined;
  let timer = 0;
  let pause = 500;
  let lost = false;

  const heard = (type: Event["type"]) => (m: MessageEvent<string>) => {
    try {
      latest(mesh, type).set(JSON.parse(m.data) as Event);
    } catch {
      return; // not an event of ours
    }
    refresh(mesh);
    if (type !== "sync") return;
    // What traffic shows of it comes with the next samples, two of them at most.
    for (const after of [1100, 1700, 2100, 2500, 2900]) window.setTimeout(() => refresh(mesh), after);
  };
  const open = () => {
    close();
    if (document.hidden) return;
    source = new EventSource(`/api/v1/meshes/${encodeURIComponent(mesh)}/events`);
    for (const t of types) source.addEventListener(t, heard(t));
    source.onopen = () => {
      connection.streaming(true);
      pause = 500;
      if (lost) refresh(mesh);
      lost = false;
    };
    source.onerror = () => {
      lost = true;
      connection.streaming(false);
      if (source?.readyState === EventSource.CLOSED) again();
    };
  };
  const again = () => {
    close();
    timer = window.setTimeout(open, pause * (0.75 + Math.random() / 2));
    pause = Math.min(longest, pause * 2);
  };
  const close = () => {
    window.clearTimeout(timer);
    source?.close();
    source = undefined;
  };
  const shown = () => {
    if (document.hidden) {
      close();
      lost = true;
    } else open();
  };
  document.addEventListener("visibilitychange", shown);
  const end = connection.returns.subscribe(open);
  open();
  return () => {
    document.removeEventListener("visibilitychange", shown);
    end();
    close();
    connection.streaming(true);
  };
}

/** Follows the events of a mesh while the component is there; null follows none. */
export function useEvents(mesh: string | null): void {
  useEffect(() => (mesh === null ? undefined : follow(mesh)), [mesh]);
}

/** While offline, asks for the smallest thing after growing pauses, until there is an answer. */
export function watchConnection(): () => void {
  let timer = 0;
  let pause = 1000;
  const ping = () => {
    window.clearTimeout(timer);
    if (connection.state.value.state !== "offline") {
      pause = 1000;
      return;
    }
    timer = window.setTimeout(() => {
      pause = Math.min(longest, pause * 1.6);
      request("/api/v1/meshes").then(ping, ping);
    }, pause);
  };
  const off = () => void request("/api/v1/meshes").catch(() => {}); // loopback answers without any network
  const on = () => {
    pause = 200;
    ping();
  };
  const end = connection.state.subscribe(ping);
  window.addEventListener("offline", off);
  window.addEventListener("online", on);
  return () => {
    end();
    window.clearTimeout(timer);
    window.removeEventListener("offline", off);
    window.removeEventListener("online", on);
  };
}
