import { useEffect, useState } from "react";
import { ApiError, login } from "../api/client";
import { Mark } from "./Mark";

/** Reads a token from what people paste: the token, or the link that has it. */
export function tokenOf(text: string): string {
  const m = /#token=([^&\s]+)/.exec(text);
  return decodeURIComponent(m?.[1] ?? text.trim());
}

/** For those without a session: what to do, and a place for the link. */
export function Login({ problem }: { problem?: string }) {
  const [text, setText] = useState("");
  const [error, setError] = useState(problem ?? "");
  const [busy, setBusy] = useState(false);
  useEffect(() => setError(problem ?? ""), [problem]);
  const submit = async () => {
    setBusy(true);
    try {
      await login(tokenOf(text));
    } catch (e) {
      setError(e instanceof ApiError ? e.message : String(e));
    }
    setBusy(false);
  };
  return (
    <main className="login">
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void submit();
        }}
      >
        <Mark size={44} />
        <h1>Oarlock</h1>
        <p>
          This dashboard can change how services talk to each other, so it wants to know that you may. On the machine where the mesh runs, this prints a link that lets you
          in:
        </p>
        <pre className="command">oarlock dashboard</pre>
        <label htmlFor="token">Or paste the link, or the token that is in it</label>
        <div className="login-row">
          <input id="token" type="password" autoComplete="off" spellCheck={false} value={text} onChange={(e) => setText(e.target.value)} aria-describedby={error ? "login-error" : undefined} />
          <button className="button button-main" disabled={busy || !text.trim()}>
            Log in
          </button>
        </div>
        {error && (
          <p id="login-error" className="login-error" role="alert">
            {error}
          </p>
        )}
      </form>
    </main>
  );
}
