// The access log: the newest lines, and more as they are written.
import { memo, useEffect, useRef, useState } from "react";
import type { LogLine } from "../api/types";
import { DrawerSection } from "../shell/Drawer";
import { Icon } from "../ui/Icon";
import { logParts } from "./facts";

/** How many lines are kept. */
const most = 300;

interface Props {
  mesh: string;
  /** Whose lines: an edge's or a node's. */
  of: { edge: string } | { node: string };
  lines: readonly LogLine[];
  note?: string;
}

export function Log({ mesh, of, lines, note }: Props) {
  const [live, setLive] = useState(false);
  const tap = useTap(mesh, of, live, lines);
  const shown = live ? tap.lines : lines;
  const box = useRef<HTMLDivElement>(null);
  const [bottom, setBottom] = useState(true);
  useEffect(() => {
    if (bottom && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown, bottom]);
  return (
    <DrawerSection
      title="Access log"
      aside={
        <button type="button" className="button button-small" aria-pressed={live} disabled={!!note && lines.length === 0} onClick={() => setLive(!live)}>
          <span className={live && tap.open ? "dot dot-on" : "dot"} /> {live ? (tap.open ? "live" : "connecting…") : "live tail"}
        </button>
      }
    >
      {note && <p className="soft">{note}</p>}
      {!note && shown.length === 0 && <p className="soft">{live ? "No line yet. They show as they are written." : "No line in the log is about it."}</p>}
      {shown.length > 0 && (
        <div
          className="log mono"
          ref={box}
          tabIndex={0}
          role="log"
          aria-label="access log"
          aria-live="off"
          onScroll={(e) => {
            const b = e.currentTarget;
            setBottom(b.scrollHeight - b.scrollTop - b.clientHeight < 24);
          }}
        >
          {shown.map((l, i) => (
            <LogRow key={(l.time ?? "") + i} line={l} />
          ))}
        </div>
      )}
      {tap.problem && (
        <p className="log-problem">
          <Icon name="warning" size={13} /> {tap.problem}
        </p>
      )}
    </DrawerSection>
  );
}

const LogRow = memo(function LogRow({ line }: { line: LogLine }) {
  const bad = (!!line.flags && line.flags !== "-") || (line.code ?? 0) >= 500;
  return (
    <p className={bad ? "log-line log-line-bad" : "log-line"}>
      <span className="log-who">
        {line.pod}
        {line.direction && <span className="faint"> {line.direction}</span>}
      </span>
      {logParts(line).map((p, i) => (p.kind === "plain" ? p.text : <mark key={i} className={`log-${p.kind}`}>{p.text}</mark>))}
    </p>
  );
});

interface Tap {
  lines: readonly LogLine[];
  open: boolean;
  problem: string;
}

/** Follows the log while on. It begins with the lines that are there already. */
function useTap(mesh: string, of: Props["of"], on: boolean, before: readonly LogLine[]): Tap {
  const [tap, setTap] = useState<Tap>({ lines: [], open: false, problem: "" });
  const start = useRef(before);
  start.current = before;
  const query = new URLSearchParams(of as Record<string, string>).toString();
  useEffect(() => {
    if (!on) return;
    setTap({ lines: start.current, open: false, problem: "" });
    let waiting: LogLine[] = [];
    let frame = 0;
    const source = new EventSource(`/api/v1/meshes/${encodeURIComponent(mesh)}/tap?${query}`);
    const flush = () => {
      frame = 0;
      const fresh = waiting;
      waiting = [];
      setTap((t) => ({ ...t, lines: [...t.lines, ...fresh].slice(-most) }));
    };
    const heard = (m: MessageEvent<string>) => {
      try {
        waiting.push(JSON.parse(m.data) as LogLine);
      } catch {
        return; // not a line of ours
      }
      waiting = waiting.slice(-most);
      frame ||= window.setTimeout(flush, 150);
    };
    source.addEventListener("line", heard);
    source.addEventListener("dropped", heard);
    source.onopen = () => setTap((t) => ({ ...t, open: true, problem: "" }));
    source.onerror = () => {
      const closed = source.readyState === EventSource.CLOSED;
      setTap((t) => ({ ...t, open: false, problem: closed ? "The log cannot be followed now: it is off, its mesh is away, or too many follow logs already." : "The stream broke off; it is opened again." }));
    };
    return () => {
      window.clearTimeout(frame);
      source.close();
    };
  }, [mesh, query, on]);
  return tap;
}
