import { memo, useMemo } from "react";
import type { Diff } from "../api/types";
import { parseUnified, size, type Line } from "./diff";

const signs = { same: " ", added: "+", removed: "−", gap: "" };
const said = { same: "", added: "added: ", removed: "removed: ", gap: "" };

/** The last two parts of a path: files of one name in several folders stay apart. */
export function shortPath(name: string): string {
  return name.split("/").slice(-2).join("/");
}

/** One file before and after. */
export const DiffView = memo(function DiffView({ diff }: { diff: Diff }) {
  const lines = useMemo(() => parseUnified(diff.unified), [diff.unified]);
  const n = size(lines);
  const what = !diff.before ? "new file" : !diff.after ? "file removed" : "";
  return (
    <figure className="diff">
      <figcaption title={diff.name}>
        <span className="mono">{shortPath(diff.name)}</span>
        {what && <span className="tag">{what}</span>}
        <span className="diff-size number">
          <span className="diff-plus">+{n.added}</span> <span className="diff-minus">−{n.removed}</span>
        </span>
      </figcaption>
      <div className="diff-lines mono" tabIndex={0} role="group" aria-label={`difference in ${shortPath(diff.name)}`}>
        {lines.map((l, i) => (
          <div key={i} className={`diff-line diff-${l.kind}`}>
            {l.kind === "gap" ? (
              <span className="diff-gap-text">⋯ {l.text}</span>
            ) : (
              <>
                <span className="diff-number">{l.after ?? l.before}</span>
                <span className="diff-sign" aria-hidden="true">
                  {signs[l.kind]}
                </span>
                {said[l.kind] && <span className="hidden">{said[l.kind]}</span>}
                <Text line={l} />
              </>
            )}
          </div>
        ))}
      </div>
    </figure>
  );
});

function Text({ line }: { line: Line }) {
  if (!line.mark) return <span className="diff-text">{line.text || " "}</span>;
  const [from, to] = line.mark;
  return (
    <span className="diff-text">
      {line.text.slice(0, from)}
      <mark>{line.text.slice(from, to)}</mark>
      {line.text.slice(to)}
    </span>
  );
}
