// The language that finds and hides: `lock=open`, `ns=shop and rate>10`, `errors>1%`, `not weak`. Pure.
//
//   const match = compile("lock!=locked and not weak");
//   match(factsOfEdge(edge, from, to)) // true, false, or undefined where the words do not apply
//
// A word that does not apply to something (the lock of a node) makes neither the comparison nor its negation true.

/** What is known of one node or edge: lists where several values count. A missing field does not apply. */
export type Facts = Partial<Record<Field, Value>>;
export type Value = string | number | boolean | readonly string[] | undefined;

/** The fields, with what they are. */
export const FIELDS = {
  lock: "locked, mixed, open, broken or unknown",
  ns: "namespace; of an edge, that of either end",
  name: "name; of an edge, that of either end",
  from: "name of the client of an edge",
  to: "name of the server of an edge",
  kind: "workload, service, namespace, ingress, egress or outside",
  version: "label version of a workload",
  mode: "declared mode: STRICT, PERMISSIVE, DISABLE or MIXED",
  port: "port of an edge",
  rate: "requests and connections a second",
  errors: "share of requests that failed, such as 1%",
  failures: "failed handshakes a second",
  mtls: "share of traffic with mutual TLS, such as 50%",
  p50: "median duration, such as 100ms",
  p90: "90th percentile of durations",
  p99: "99th percentile of durations",
  protocol: "http, grpc or tcp",
  status: "verdict in the dialect's word, such as CONFLICT",
  policy: "policy that decides",
  rule: "DestinationRule that decides",
  principal: "identity that a certificate proved",
  reason: "the sentence about the lock",
  findings: "how many findings there are",
  weak: "nothing but a Sidecar declares the edge",
  sidecar: "the workload has a sidecar",
  gateway: "the workload is a gateway",
  problem: "broken, open or mixed, or it has a finding of an error or a warning",
  plaintext: "some of the traffic was seen as plaintext",
} as const;

export type Field = keyof typeof FIELDS;

/** Other words for fields and for what is asked often. */
const ALIASES = new Map([["namespace", "ns"], ["client", "from"], ["server", "to"], ["error", "errors"], ["requests", "rate"], ["problems", "problem"]]);
const LOCK_WORDS = new Set(["locked", "mixed", "open", "broken", "unknown"]);
const FLAGS = new Set<Field>(["weak", "sidecar", "gateway", "problem", "plaintext", "findings"]);

/** true, false, or undefined where the words do not apply. */
export type Match = (f: Facts) => boolean | undefined;

/** An expression that cannot be read: what is wrong, and where (counted in characters from 0). */
export class ExpressionError extends Error {
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
    this.name = "ExpressionError";
  }
}

interface Token {
  kind: "word" | "text" | "op" | "(" | ")" | "and" | "or" | "not" | "end";
  text: string;
  at: number;
}

const operators = ["!=", ">=", "<=", "!~", "==", "=", "~", ">", "<", ":"];

function scan(source: string): Token[] {
  const out: Token[] = [];
  let i = 0;
  const put = (kind: Token["kind"], text: string, length = text.length) => {
    out.push({ kind, text, at: i });
    i += length;
  };
  while (i < source.length) {
    const c = source.charAt(i);
    const rest = source.slice(i);
    const op = operators.find((o) => rest.startsWith(o));
    if (/\s|,/.test(c)) i++;
    else if (c === "(" || c === ")") put(c, c);
    else if (rest.startsWith("&&")) put("and", "&&");
    else if (rest.startsWith("||")) put("or", "||");
    else if (op) put("op", op === "==" || op === ":" ? "=" : op, op.length);
    else if (c === "!") put("not", "!");
    else if (c === '"' || c === "'") {
      const end = source.indexOf(c, i + 1);
      if (end < 0) throw new ExpressionError(`the text that begins with ${c} has no end`, i);
      put("text", source.slice(i + 1, end), end + 1 - i);
    } else {
      const word = /^[^\s,()"'=~<>!&|:]+/.exec(rest)?.[0];
      if (!word) throw new ExpressionError(`“${c}” means nothing here`, i);
      const low = word.toLowerCase();
      put(low === "and" || low === "or" || low === "not" ? low : "word", word);
    }
  }
  put("end", "");
  return out;
}

/** Reads an expression; "" matches everything. Throws an ExpressionError. */
export function compile(source: string): Match {
  if (source.trim() === "") return () => true;
  const p = new Parser(scan(source));
  return p.whole();
}

/** Reads an expression where a mistake shall not throw. */
export function tryCompile(source: string): { match?: Match; error?: ExpressionError } {
  try {
    return { match: compile(source) };
  } catch (e) {
    if (e instanceof ExpressionError) return { error: e };
    throw e;
  }
}

class Parser {
  private i = 0;

  constructor(private readonly tokens: Token[]) {}

  whole(): Match {
    const m = this.or();
    const t = this.peek();
    if (t.kind !== "end") throw new ExpressionError(t.kind === ")" ? "a “)” without its “(”" : `did not expect “${t.text}”`, t.at);
    return m;
  }

  private peek(): Token {
    return this.tokens[this.i] as Token; // "end" is the last, and is never taken
  }

  private take(kind: Token["kind"]): Token | undefined {
    const t = this.peek();
    if (t.kind !== kind) return undefined;
    if (kind !== "end") this.i++;
    return t;
  }

  private or(): Match {
    let left = this.and();
    while (this.take("or")) {
      const a = left;
      const b = this.and();
      left = (f) => {
        const x = a(f);
        if (x) return true;
        const y = b(f);
        return y ? true : x === undefined || y === undefined ? undefined : false;
      };
    }
    return left;
  }

  private and(): Match {
    let left = this.not();
    for (;;) {
      const word = this.take("and");
      const k = this.peek().kind;
      if (!word && (k === "end" || k === ")" || k === "or")) return left; // words beside each other: and
      const a = left;
      const b = this.not();
      left = (f) => {
        const x = a(f);
        if (x === false) return false;
        const y = b(f);
        return y === false ? false : x === undefined || y === undefined ? undefined : true;
      };
    }
  }

  private not(): Match {
    if (!this.take("not")) return this.term();
    const m = this.not();
    return (f) => {
      const x = m(f);
      return x === undefined ? undefined : !x;
    };
  }

  private term(): Match {
    const open = this.take("(");
    if (open) {
      const m = this.or();
      if (!this.take(")")) throw new ExpressionError("this “(” has no “)”", open.at);
      return m;
    }
    const t = this.take("word") ?? this.take("text");
    if (!t) {
      const at = this.peek();
      throw new ExpressionError(at.kind === "end" ? "something is missing at the end" : `did not expect “${at.text}”`, at.at);
    }
    const op = t.kind === "word" ? this.take("op") : undefined;
    if (!op) return bare(t);
    const value = this.take("word") ?? this.take("text");
    if (!value) throw new ExpressionError(`what shall ${t.text} be compared with?`, op.at + op.text.length);
    return compare(fieldOf(t), op, value);
  }
}

function fieldOf(t: Token): Field {
  const name = ALIASES.get(t.text.toLowerCase()) ?? t.text.toLowerCase();
  if (Object.hasOwn(FIELDS, name)) return name as Field;
  throw new ExpressionError(`there is no field “${t.text}”`, t.at);
}

/** A word alone: a lock, something that is or is not so, or a part of a name. */
function bare(t: Token): Match {
  const word = t.text.toLowerCase();
  if (t.kind === "word" && LOCK_WORDS.has(word)) return (f) => (f.lock === undefined ? undefined : f.lock === word);
  const name = (ALIASES.get(word) ?? word) as Field;
  if (t.kind === "word" && FLAGS.has(name)) return (f) => (f[name] === undefined ? undefined : Boolean(f[name]));
  return (f) => (f.name === undefined ? undefined : list(f.name).some((v) => v.toLowerCase().includes(word)));
}

function compare(field: Field, op: Token, value: Token): Match {
  switch (op.text) {
    case "=":
    case "!=": {
      const wanted = value.text.toLowerCase();
      const n = amount(value.text);
      return (f) => {
        const v = f[field];
        if (v === undefined) return undefined;
        const equal = typeof v === "number" ? v === n : list(v).some((x) => x.toLowerCase() === wanted);
        return equal === (op.text === "=");
      };
    }
    case "~":
    case "!~": {
      const part = value.text.toLowerCase();
      return (f) => {
        const v = f[field];
        if (v === undefined) return undefined;
        return list(v).some((x) => x.toLowerCase().includes(part)) === (op.text === "~");
      };
    }
    default: {
      const n = amount(value.text);
      if (Number.isNaN(n)) throw new ExpressionError(`“${value.text}” is no number`, value.at);
      return (f) => {
        const v = typeof f[field] === "boolean" ? Number(f[field]) : f[field];
        if (typeof v !== "number") return undefined;
        return op.text === ">" ? v > n : op.text === "<" ? v < n : op.text === ">=" ? v >= n : v <= n;
      };
    }
  }
}

function list(v: Exclude<Value, undefined>): readonly string[] {
  return typeof v === "object" ? v : [String(v)];
}

/** 12, 1%, 250ms, 1.5s, 2k: shares are from 0 to 1, durations in milliseconds. NaN for what is no number. */
export function amount(text: string): number {
  const m = /^(-?\d+(?:\.\d+)?)(%|ms|s|k|\/s)?$/i.exec(text);
  if (!m) return NaN;
  const n = Number(m[1]);
  const unit = m[2]?.toLowerCase();
  return unit === "%" ? n / 100 : unit === "s" || unit === "k" ? n * 1000 : n;
}

/** What to do with what matches. */
export type Mode = "find" | "only" | "hide";

/** Expressions that are asked for often. */
export const PRESETS: readonly { name: string; q: string; mode: Mode }[] = [
  { name: "Only problems", q: "problem", mode: "only" },
  { name: "Only plaintext", q: "plaintext", mode: "only" },
  { name: "Only unknown", q: "lock=unknown", mode: "only" },
  { name: "Hide weak", q: "weak", mode: "hide" },
  { name: "Hide locked", q: "lock=locked", mode: "hide" },
];
