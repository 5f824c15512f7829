// The dialog before every change: what it does to files and connections, and then how far it is. Nothing is changed without it.
import { useCallback, useEffect, useId, useRef, useState, type ReactNode } from "react";
import { createPortal } from "react-dom";
import { ApiError } from "../api/client";
import { useMeshes } from "../api/resource";
import type { ChangeAnswer } from "../api/types";
import { announce } from "../ui/announce";
import { count, rate } from "../ui/format";
import { Icon } from "../ui/Icon";
import { Loading, Notice } from "../ui/States";
import "./change.css";
import { DiffView, shortPath } from "./DiffView";
import { ImpactView } from "./ImpactView";
import { agreement, type Agreement } from "./impact";
import { ModeTag } from "./Mode";
import { Progress } from "./Progress";
import { usePreview } from "./preview";
import { advice, ask, isStale, wishTitle, type Wish } from "./wish";

export type { Wish } from "./wish";

interface Props {
  mesh: string;
  /** What is wanted, such as `{ kind: "mtls", verb: "require", resource: "mesh" }`. */
  wish: Wish;
  /** The dialog is closed, whether or not something was changed. */
  onClose: () => void;
  /** The change is made; the dialog stays and shows how far it is. */
  onApplied?: (answer: ChangeAnswer) => void;
}

/**
 * Shows what a change would do (diff and blast radius), makes it when somebody agrees, follows it to the last sidecar, and
 * offers to undo it. Show it while there is a wish: `{wish && <ChangeDialog mesh={mesh} wish={wish} onClose={() => setWish(null)} />}`.
 */
export function ChangeDialog({ mesh, wish: first, onClose, onApplied }: Props) {
  const [wish, setWish] = useState(first);
  const box = useRef<HTMLDialogElement>(null);
  const title = useId();
  const dialect = useMeshes().data?.meshes.find((m) => m.name === mesh)?.status?.dialect ?? "";
  useEffect(() => {
    const before = document.activeElement;
    const dialog = box.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  useEffect(() => setWish(first), [first]);
  return createPortal(
    <dialog
      ref={box}
      className="change"
      aria-labelledby={title}
      onCancel={(e) => {
        e.preventDefault();
        onClose();
      }}
      onKeyDown={(e) => e.stopPropagation()}
    >
      <Body key={JSON.stringify(wish)} mesh={mesh} wish={wish} titleId={title} title={wishTitle(wish, dialect)} onClose={onClose} onApplied={onApplied} onUndo={(name) => setWish({ kind: "undo", name })} />
    </dialog>,
    document.body,
  );
}

interface BodyProps extends Props {
  title: string;
  titleId: string;
  onUndo: (name: string) => void;
}

function Body({ mesh, wish, title, titleId, onClose, onApplied, onUndo }: BodyProps) {
  const [clients, setClients] = useState(wish.kind === "mtls" && !!wish.clients);
  const preview = usePreview(mesh, wish, clients);
  const [agreed, setAgreed] = useState(false);
  const [made, setMade] = useState<ChangeAnswer>();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const a = preview.answer;
  const needs = a ? agreement(a.impact) : null;
  const nothing = !!a && a.diffs.length === 0 && !a.name;

  const apply = useCallback(async () => {
    setBusy(true);
    setError(undefined);
    try {
      const answer = await ask(mesh, wish, { clients, ...(agreed ? { yes: true } : {}) });
      setMade(answer);
      announce(answer.applied ? `${answer.name} is written` : "there was nothing to change");
      onApplied?.(answer);
    } catch (e) {
      setError(e instanceof ApiError ? e : new ApiError(0, String(e)));
      setAgreed(false);
      preview.again();
    } finally {
      setBusy(false);
    }
  }, [mesh, wish, clients, agreed, onApplied, preview]);

  return (
    <>
      <header className="change-head">
        <h2 id={titleId} tabIndex={-1} autoFocus>
          {made ? "Changed" : title}
        </h2>
        {(made ?? a)?.name && (
          <p className="soft">
            {made ? `${title}, as` : "as"} <b className="mono">{(made ?? a)?.name}</b> in mesh <span className="mono">{mesh}</span>
          </p>
        )}
        <button type="button" className="button-plain change-close" aria-label="Close" title="Close (Esc)" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      <div className="change-body" tabIndex={0} role="region" aria-label="what the change does" aria-busy={preview.loading}>
        {made ? (
          <Made mesh={mesh} answer={made} />
        ) : (
          <>
            {wish.kind === "mtls" && wish.verb !== "unset" && <Clients on={clients} set={setClients} busy={preview.loading || busy} />}
            {error && <Refusal error={error} />}
            {preview.error && !a && <Refusal error={preview.error} again={preview.again} />}
            {!a && !preview.error && <Loading what="what the change does" lines={9} />}
            {a && (nothing ? <Nothing answer={a} mend={clients ? undefined : () => setClients(true)} /> : <Draft answer={a} stale={preview.loading} mend={clients ? undefined : () => setClients(true)} />)}
          </>
        )}
      </div>
      <footer className="change-foot">
        {!made && a && !nothing && needs && <Agree agreement={needs} breaks={a.impact.breaks} on={agreed} set={setAgreed} />}
        <div className="change-actions">
          {made?.applied && made.name && (
            <button type="button" className="button" onClick={() => onUndo(made.name)}>
              <Icon name="undo" /> Undo
            </button>
          )}
          <button type="button" className={made || nothing ? "button button-main" : "button"} onClick={onClose}>
            {made || nothing ? "Close" : "Cancel"}
          </button>
          {!made && !nothing && (
            <button type="button" className="button button-main" disabled={!a || busy || preview.loading || (needs !== null && !agreed) || errors(a)} onClick={() => void apply()}>
              {busy ? "Applying…" : "Apply"}
            </button>
          )}
        </div>
      </footer>
    </>
  );
}

/** Whether the manifests would have errors that they have not now: the server refuses that. */
function errors(a: ChangeAnswer): boolean {
  return (a.problems ?? []).some((p) => p.severity === "error");
}

function Clients({ on, set, busy }: { on: boolean; set: (v: boolean) => void; busy: boolean }) {
  return (
    <label className="change-option">
      <input type="checkbox" checked={on} disabled={busy} onChange={(e) => set(e.target.checked)} />
      <span>
        Also mend clients
        <small className="soft">edits the rules of clients in the mesh, so that none is left in conflict</small>
      </span>
    </label>
  );
}

function Agree({ agreement: n, breaks, on, set }: { agreement: Agreement; breaks: number; on: boolean; set: (v: boolean) => void }) {
  const all = n.live + n.idle || breaks;
  const what = `${count(all, "connection")} ${all === 1 ? "breaks" : "break"}`;
  const who = n.live > 0 ? `${n.live} of them ${n.live === 1 ? "is" : "are"} in use${n.traffic > 0 ? `, with ${rate(n.traffic)}` : ""}` : "nobody is known to make them";
  return (
    <label className="change-agree">
      <input type="checkbox" checked={on} onChange={(e) => set(e.target.checked)} />
      <span>
        I know that <b>{what}</b>: {who}.
      </span>
    </label>
  );
}

/** What a change would do. */
function Draft({ answer, stale, mend }: { answer: ChangeAnswer; stale: boolean; mend?: () => void }) {
  return (
    <div className={stale ? "change-draft change-stale" : "change-draft"}>
      {answer.problems?.map((p, i) => (
        <Notice key={i} tone={p.severity === "error" ? "error" : "warning"}>
          {p.message}
          {p.origin?.file && (
            <span className="soft mono">
              {" "}
              {shortPath(p.origin.file)}:{p.origin.line}
            </span>
          )}
          {p.hint && <p className="soft">{p.hint}</p>}
        </Notice>
      ))}
      <Section title="Connections">
        <ImpactView impact={answer.impact} />
      </Section>
      <Notes answer={answer} mend={mend} />
      {answer.rules && answer.rules.length > 0 && (
        <Section title="In force then">
          <ul className="plain change-rules">
            {answer.rules.map((r, i) => (
              <li key={i}>
                <ModeTag mode={r.mtlsMode} /> <span className="soft">by</span> <span className="mono">{r.policy === "-" ? "no policy: the default" : r.policy}</span>
                {r.targets !== "[]" && <span className="mono soft"> {r.targets}</span>}
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Section title={count(answer.diffs.length, "file")}>
        {answer.diffs.map((d) => (
          <DiffView key={d.name} diff={d} />
        ))}
      </Section>
    </div>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="change-section">
      <h3>{title}</h3>
      {children}
    </section>
  );
}

/** What is to be said besides. The conflicts that --clients would mend are one note, with mend as the way to it. */
function Notes({ answer, mend }: { answer: ChangeAnswer; mend?: () => void }) {
  const left = (answer.notes ?? []).filter((n) => mend && n.try?.endsWith("--clients"));
  return (
    <>
      {left.length > 0 && (
        <Notice tone="warning">
          Clients and server do not agree:
          <ul className="change-conflicts">
            {left.map((n, i) => (
              <li key={i}>{n.text.replace(/^conflict: /, "").replace(" -> ", " → ")}</li>
            ))}
          </ul>
          <button type="button" className="button button-small" onClick={mend}>
            Mend clients
          </button>
        </Notice>
      )}
      {answer.notes?.map(
        (n, i) =>
          !left.includes(n) && (
            <Notice key={i}>
              {n.text}
              {n.try && (
                <p>
                  <code>oarlock {n.try}</code>
                </p>
              )}
            </Notice>
          ),
      )}
    </>
  );
}

function Nothing({ answer, mend }: { answer: ChangeAnswer; mend?: () => void }) {
  return (
    <div className="change-draft">
      <p className="change-nothing">
        <Icon name="check" /> There is nothing to change: the manifests say this already.
      </p>
      <Notes answer={answer} mend={mend} />
    </div>
  );
}

/** What was done, and how far it is. */
function Made({ mesh, answer }: { mesh: string; answer: ChangeAnswer }) {
  return (
    <div className="change-draft">
      {answer.snapshot && <Progress mesh={mesh} snapshot={answer.snapshot} />}
      <Notes answer={answer} />
      <Section title="Written">
        {answer.diffs.map((d) => (
          <DiffView key={d.name} diff={d} />
        ))}
      </Section>
    </div>
  );
}

/** Why a change was refused, and what to do. */
function Refusal({ error, again }: { error: ApiError; again?: () => void }) {
  const help = advice(error);
  return (
    <div role="alert">
      <Notice tone={isStale(error) ? "warning" : "error"}>
        <p>{error.message}</p>
        {help && <p className="soft">{help}</p>}
        {again && (
          <button type="button" className="button button-small" onClick={again}>
            <Icon name="refresh" size={13} /> Try again
          </button>
        )}
      </Notice>
    </div>
  );
}
