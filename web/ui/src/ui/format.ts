// Numbers and times for people. Pure.

const formats = [0, 1, 2, 3].map((max) => new Intl.NumberFormat("en", { maximumFractionDigits: max, useGrouping: true }));

/** Made once: making a format takes longer than a thousand uses. */
const digits = (n: number, max: 0 | 1 | 2 | 3) => (formats[max] as Intl.NumberFormat).format(n);

/** 0.034 → "0.03", 12.3 → "12.3", 1234 → "1.23k". */
export function number(n: number): string {
  const a = Math.abs(n);
  if (a >= 999_500) return digits(n / 1e6, a >= 9.95e6 ? 1 : 2) + "M";
  if (a >= 9_995) return digits(n / 1000, 1) + "k";
  if (a >= 100) return digits(n, 0);
  if (a >= 10) return digits(n, 1);
  return digits(n, a >= 0.1 || a === 0 ? 2 : 3);
}

/** Requests or connections a second. */
export function rate(n: number): string {
  return number(n) + "/s";
}

/** A share from 0 to 1 in per cent. What is neither all nor nothing never looks like either: 99.99 % is not 100 %. */
export function percent(share: number): string {
  const p = share * 100;
  if (p > 0 && p < 0.1) return "<0.1 %";
  if (p > 99.9 && p < 100) return ">99.9 %";
  return digits(p, p < 10 || p > 99 ? 1 : 0) + " %";
}

/** Milliseconds: 0.42 → "0.42 ms", 1250 → "1.25 s". */
export function duration(ms: number): string {
  if (ms < 1) return digits(ms, 2) + " ms";
  if (ms < 10) return digits(ms, 1) + " ms";
  if (ms < 1000) return digits(ms, 0) + " ms";
  if (ms < 60_000) return digits(ms / 1000, 2) + " s";
  return span(ms);
}

/** A span of time in one or two units: "8 s", "3 min", "2 h 5 min", "12 d", "10 y". */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  const min = Math.round(s / 60);
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 48) return min % 60 ? `${h} h ${min % 60} min` : `${h} h`;
  const d = Math.round(h / 24);
  return d < 730 ? `${d} d` : `${Math.round(d / 365)} y`;
}

/** "3 min ago", "in 2 h". */
export function ago(then: number, now: number): string {
  const d = now - then;
  if (Math.abs(d) < 1500) return "now";
  return d > 0 ? span(d) + " ago" : "in " + span(-d);
}

/** Bytes a second: "1.2 MB/s". */
export function bytes(n: number): string {
  if (n < 1000) return `${Math.round(n)} B/s`;
  if (n < 1e6) return digits(n / 1e3, 1) + " kB/s";
  if (n < 1e9) return digits(n / 1e6, 1) + " MB/s";
  return digits(n / 1e9, 2) + " GB/s";
}

/** 1 edge, 2 edges. */
export function count(n: number, one: string, many = one + "s"): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

/** The clock, "14:03:07", with the day where it is another one. */
export function clock(at: Date, now = new Date()): string {
  const time = at.toLocaleTimeString("en-GB");
  return at.toDateString() === now.toDateString() ? time : at.toLocaleDateString("en-GB", { day: "numeric", month: "short" }) + " " + time;
}

/** Where an object was read: "productpage.yaml:12". */
export function place(p: { file?: string; line?: number }): string {
  if (!p.file) return "";
  const name = p.file.split("/").pop() ?? p.file;
  return p.line ? `${name}:${p.line}` : name;
}

/** An object as commands print it: "DestinationRule bookinfo/productpage". */
export function object(r: { kind: string; namespace?: string; name: string }): string {
  return `${r.kind} ${r.namespace ? r.namespace + "/" : ""}${r.name}`;
}
