import type { Picture } from "./picture";

/** What became of the locks, as one sentence; "" where all are as they were. Pure. */
export function changesBetween(before: Picture, after: Picture): string {
  const was = new Map(before.edges.map((e) => [e.id, e.lock]));
  const name = new Map(after.nodes.map((n) => [n.id, n.node.name]));
  const changed = after.edges.filter((e) => was.has(e.id) && was.get(e.id) !== e.lock);
  const first = changed[0];
  if (!first) return "";
  const one = `${name.get(first.from) ?? ""} to ${name.get(first.to) ?? ""} is ${first.lock}, was ${was.get(first.id) ?? "unknown"}`;
  return changed.length === 1 ? one : `${changed.length} connections changed: ${one}, and ${changed.length - 1} more`;
}
