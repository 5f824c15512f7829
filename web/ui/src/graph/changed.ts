import { namer, type Picture } from "./picture";

/** What became of the locks, as one sentence; "" where all are as they were. Pure. */
export function changesBetween(before: Picture, after: Picture): string {
  const was = new Map(before.edges.map((e) => [e.id, e.lock]));
  const changed = after.edges.filter((e) => was.has(e.id) && was.get(e.id) !== e.lock);
  const first = changed[0];
  if (!first) return "";
  const [from, to] = namer(after)(first);
  const one = `${from} to ${to} is ${first.lock}, was ${was.get(first.id) ?? "unknown"}`;
  return changed.length === 1 ? one : `${changed.length} connections changed: ${one}, and ${changed.length - 1} more`;
}
