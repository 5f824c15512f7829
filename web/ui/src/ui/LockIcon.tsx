import type { Lock } from "../api/types";

/** What each lock means, in a few words. */
export const LOCK_MEANS: Record<Lock, string> = {
  locked: "all traffic is mutual TLS",
  mixed: "some traffic is mutual TLS, some is plaintext",
  open: "traffic is plaintext",
  broken: "connections are refused",
  unknown: "nothing is known of the traffic",
};

const body = "M4 7.25h8a1 1 0 0 1 1 1v5a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1v-5a1 1 0 0 1 1-1z";

/** Outlines in a square of 16, drawn with strokes; solid ones are filled too. The graph and its exports use them as well. */
export const LOCK_SHAPES: Record<Lock, { solid?: string; half?: string; lines: string }> = {
  locked: { solid: body, lines: "M5.25 7V4.75a2.75 2.75 0 0 1 5.5 0V7" },
  mixed: { half: "M3 10.75h10v2.5a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1z", lines: body + "M5.25 7V4.75a2.75 2.75 0 0 1 5.5 0V7" },
  open: { lines: body + "M5.25 7V4.25a2.75 2.75 0 0 1 5.3-1" },
  broken: { lines: body + "M5.25 7V4.75a2.75 2.75 0 0 1 5.5 0V7M6.25 9l3.5 3.5M9.75 9l-3.5 3.5" },
  unknown: { lines: "M5.5 5.75A2.6 2.6 0 1 1 9.3 8C8.4 8.5 8 9 8 10.25M8 13.25v.01" },
};

interface Props {
  lock: Lock;
  size?: number;
  /** Text for those who do not see it; "" where the word stands beside it. */
  label?: string;
}

/** The lock of an edge: each has a shape of its own, so that colour is never needed. */
export function LockIcon({ lock, size = 16, label = `${lock}: ${LOCK_MEANS[lock]}` }: Props) {
  const s = LOCK_SHAPES[lock];
  return (
    <svg
      className={`lock lock-${lock}`}
      width={size}
      height={size}
      viewBox="0 0 16 16"
      role={label ? "img" : undefined}
      aria-label={label || undefined}
      aria-hidden={label ? undefined : true}
    >
      {s.solid && <path className="lock-fill" d={s.solid} />}
      {s.half && <path className="lock-fill" d={s.half} />}
      <path className="lock-line" d={s.lines} />
    </svg>
  );
}

/** The lock with its word, as text stands in lists. */
export function LockTag({ lock, share }: { lock: Lock; share?: number }) {
  return (
    <span className={`lock-tag lock-${lock}`} title={LOCK_MEANS[lock]}>
      <LockIcon lock={lock} size={14} label="" />
      {lock}
      {share !== undefined && lock === "mixed" && <small> {Math.round(share * 100)} %</small>}
    </span>
  );
}
