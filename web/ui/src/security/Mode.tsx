// A mode as a shield with its word: what policies say, not what traffic did. Locks are for that.
import { modeMeans } from "./words";

const shield = "M8 1.75l5 1.75v4.25c0 3-2 5.25-5 6.5-3-1.25-5-3.5-5-6.5V3.5z";
const half = "M8 1.75v12.5c-3-1.25-5-3.5-5-6.5V3.5z";

const shapes: Record<string, { solid?: string; lines: string; tone: string }> = {
  STRICT: { solid: shield, lines: shield, tone: "strict" },
  PERMISSIVE: { solid: half, lines: shield, tone: "permissive" },
  DISABLE: { lines: shield + "M2.25 13.5l11-11", tone: "disable" },
  DISABLED: { lines: shield + "M2.25 13.5l11-11", tone: "disable" },
  MIXED: { lines: shield + "M5.5 6.25h5M5.5 9h5", tone: "mixed" },
};
const nothing: (typeof shapes)[string] = { lines: "M3 8h10", tone: "none" };

export function ModeIcon({ mode, size = 16 }: { mode: string; size?: number }) {
  const s = shapes[mode] ?? nothing;
  return (
    <svg className={`icon mode-icon mode-${s.tone}`} width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      {s.solid && <path className="lock-fill" d={s.solid} />}
      <path d={s.lines} />
    </svg>
  );
}

/** The mode with its icon; what it means shows at the pointer. */
export function ModeTag({ mode, size = 15 }: { mode: string; size?: number }) {
  const word = mode === "" ? "none" : mode;
  return (
    <span className="mode-tag" title={modeMeans(mode)}>
      <ModeIcon mode={mode} size={size} />
      {word}
    </span>
  );
}
