import { Signal } from "../api/signal";

/** What is said to those who do not see: one short sentence about a change. The shell has the live region. */
export const said = new Signal("");

export function announce(text: string): void {
  // The same sentence twice is said twice: a trailing space makes it another one.
  said.set(said.value === text ? text + " " : text);
}
