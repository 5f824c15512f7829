// Values over time as lines: small beside a number, or wide with an axis.
import { useId, useState, type PointerEvent } from "react";
import { clock } from "./format";

/** One line of a chart: a value for each time, null where nothing is known. A gap stays a gap. */
export interface Line {
  name: string;
  values: readonly (number | null)[];
  /** A colour of tokens.css. */
  colour: string;
  /** Fills the ground below the line. */
  area?: boolean;
  /** Dashes, so that colour alone does not tell lines apart. */
  dashed?: boolean;
}

/** The path of a line in a box, with a move wherever values begin again. */
export function linePath(values: readonly (number | null)[], width: number, height: number, top: number): string {
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  let pen = false;
  let out = "";
  values.forEach((v, i) => {
    if (v === null || !Number.isFinite(v)) {
      pen = false;
      return;
    }
    const x = (i * step).toFixed(1);
    const y = (height - (Math.min(v, top) / top) * height).toFixed(1);
    out += pen ? `L${x} ${y}` : `M${x} ${y}`;
    if (!pen && (values[i + 1] ?? null) === null) out += "h0.1"; // a single value is a dot
    pen = true;
  });
  return out;
}

/** The area below a line, closed at the ground for each stretch that is known. */
export function areaPath(values: readonly (number | null)[], width: number, height: number, top: number): string {
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  let out = "";
  let begin = -1;
  for (let i = 0; i <= values.length; i++) {
    const known = i < values.length && (values[i] ?? null) !== null;
    if (known && begin < 0) begin = i;
    if (known || begin < 0) continue;
    out += `M${(begin * step).toFixed(1)} ${height}`;
    for (let k = begin; k < i; k++) out += `L${(k * step).toFixed(1)} ${(height - (Math.min(values[k] ?? 0, top) / top) * height).toFixed(1)}`;
    out += `L${((i - 1) * step).toFixed(1)} ${height}Z`;
    begin = -1;
  }
  return out;
}

/** The highest value, rounded up to 1, 2 or 5 of its power of ten; least where all is less. */
export function topOf(lines: readonly Line[], least = 0): number {
  const max = Math.max(least, ...lines.flatMap((l) => l.values.map((v) => v ?? 0)));
  if (max <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  return ([1, 2, 5, 10].find((f) => f * power >= max * 0.999) ?? 10) * power;
}

/** A small line beside a number. label says it to those who do not see it. */
export function Spark({ lines, label, top, width = 120, height = 28 }: { lines: readonly Line[]; label: string; top?: number; width?: number; height?: number }) {
  const t = top ?? topOf(lines);
  return (
    <svg className="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={label}>
      {lines.map((l) => (
        <g key={l.name} stroke={`var(${l.colour})`} fill={`var(${l.colour})`}>
          {l.area && <path className="chart-area" d={areaPath(l.values, width, height - 2, t)} />}
          <path className="chart-line" d={linePath(l.values, width, height - 2, t)} strokeDasharray={l.dashed ? "4 3" : undefined} />
        </g>
      ))}
    </svg>
  );
}

/** Something that happened at a time. */
export interface Mark {
  at: number;
  label: string;
  picked?: boolean;
}

interface ChartProps {
  times: readonly string[];
  lines: readonly Line[];
  label: string;
  /** Writes a value. */
  write: (v: number) => string;
  top?: number;
  height?: number;
  marks?: readonly Mark[];
  onMark?: (i: number) => void;
}

/** Lines with an axis, what they are at the pointer, and marks of what happened. */
export function Chart({ times, lines, label, write, top, height = 120, marks = [], onMark }: ChartProps) {
  const [at, setAt] = useState<number | null>(null);
  const id = useId();
  const width = 600;
  const t = top ?? topOf(lines);
  const first = Date.parse(times[0] ?? "");
  const last = Date.parse(times.at(-1) ?? "");
  const x = (time: number) => ((time - first) / (last - first || 1)) * width;
  const move = (e: PointerEvent<SVGSVGElement>) => {
    const box = e.currentTarget.getBoundingClientRect();
    const i = Math.round(((e.clientX - box.left) / box.width) * (times.length - 1));
    setAt(Math.max(0, Math.min(times.length - 1, i)));
  };
  const shown = at ?? times.length - 1;
  return (
    <figure className="chart" aria-labelledby={id}>
      <figcaption id={id} className="hidden">
        {label}
      </figcaption>
      <div className="chart-legend">
        {lines.map((l) => {
          const v = l.values[shown];
          return (
            <span key={l.name}>
              <svg width="16" height="8" aria-hidden="true" stroke={`var(${l.colour})`}>
                <path className="chart-line" d="M0 4h16" strokeDasharray={l.dashed ? "4 3" : undefined} />
              </svg>
              {l.name} <b className="number">{v === null || v === undefined ? "–" : write(v)}</b>
            </span>
          );
        })}
        <time className="faint number">{times[shown] ? clock(new Date(times[shown])) : ""}</time>
      </div>
      <div className="chart-box">
        <span className="chart-top faint number">{write(t)}</span>
        <svg width="100%" height={height} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" onPointerMove={move} onPointerLeave={() => setAt(null)} aria-hidden="true">
          <path className="chart-grid" d={`M0 .5h${width}M0 ${height / 2}h${width}M0 ${height - 0.5}h${width}`} />
          {lines.map((l) => (
            <g key={l.name} stroke={`var(${l.colour})`} fill={`var(${l.colour})`}>
              {l.area && <path className="chart-area" d={areaPath(l.values, width, height, t)} />}
              <path className="chart-line" d={linePath(l.values, width, height, t)} strokeDasharray={l.dashed ? "4 3" : undefined} />
            </g>
          ))}
          {marks.map((m, i) => (
            <path key={i} className={m.picked ? "chart-mark chart-mark-on" : "chart-mark"} d={`M${x(m.at).toFixed(1)} 0v${height}`} />
          ))}
          {at !== null && <path className="chart-cursor" d={`M${((at / Math.max(1, times.length - 1)) * width).toFixed(1)} 0v${height}`} />}
        </svg>
        {onMark && marks.length > 0 && (
          <div className="chart-marks">
            {marks.map((m, i) => (
              <button
                key={i}
                ref={(e) => {
                  if (e) e.style.left = `${(x(m.at) / width) * 100}%`;
                }}
                aria-label={m.label}
                aria-pressed={!!m.picked}
                title={m.label}
                onClick={() => onMark(i)}
              />
            ))}
          </div>
        )}
      </div>
      <div className="chart-axis faint number">
        <time>{times[0] ? clock(new Date(times[0])) : ""}</time>
        <time>{times.at(-1) ? clock(new Date(times.at(-1) ?? "")) : ""}</time>
      </div>
    </figure>
  );
}
