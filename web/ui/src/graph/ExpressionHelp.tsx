import { FIELDS } from "./expression";

const EXAMPLES: readonly [string, string][] = [
  ["lock=open", "edges whose traffic is plaintext"],
  ["lock!=locked and not weak", "all that is not locked, without what a Sidecar merely allows"],
  ["ns=shop rate>10", "busy edges that touch namespace shop"],
  ["name~book", "nodes and edges with “book” in a name; “book” alone is the same"],
  ["errors>1% or p99>500ms", "edges that fail or are slow"],
  ["to=ratings and plaintext", "plaintext to ratings"],
  ["findings", "whatever somebody should look at"],
];

/** How expressions are written, with examples that can be tried. */
export function ExpressionHelp({ use }: { use: (expression: string) => void }) {
  return (
    <div className="menu-text expression-help">
      <p>
        A field, one of <code>= != ~ !~ &gt; &gt;= &lt; &lt;=</code>, and a value; joined by <code>and</code>, <code>or</code>, <code>not</code> and parentheses. <b>Find</b> dims what does not match, <b>Only</b>{" "}
        leaves it out, <b>Hide</b> leaves out what matches.
      </p>
      <ul className="plain">
        {EXAMPLES.map(([e, means]) => (
          <li key={e}>
            <button className="button-plain mono" onClick={() => use(e)}>
              {e}
            </button>
            <span>{means}</span>
          </li>
        ))}
      </ul>
      <dl className="expression-fields">
        {Object.entries(FIELDS).map(([f, means]) => (
          <div key={f}>
            <dt className="mono">{f}</dt>
            <dd>{means}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
