import { useSyncExternalStore } from "react";

/** A value that components follow. Values are compared by identity: set a new object where something changed. */
export class Signal<T> {
  private readonly listeners = new Set<() => void>();

  constructor(private current: T) {}

  get value(): T {
    return this.current;
  }

  set(value: T): void {
    if (Object.is(value, this.current)) return;
    this.current = value;
    for (const f of [...this.listeners]) f();
  }

  /** Calls f after each change; the result ends that. */
  readonly subscribe = (f: () => void): (() => void) => {
    this.listeners.add(f);
    return () => this.listeners.delete(f);
  };
}

export function useSignal<T>(s: Signal<T>): T {
  return useSyncExternalStore(s.subscribe, () => s.value);
}
