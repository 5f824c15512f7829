// The editor of one file of manifests: nothing is written before its diff and blast radius were seen.
import { useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { ApiError, post } from "../../api/client";
import { useMesh } from "../../api/resource";
import type { ManifestFile, Problem } from "../../api/types";
import { Link } from "../../shell/Link";
import { navigate } from "../../shell/router";
import { object } from "../../ui/format";
import { Icon } from "../../ui/Icon";
import { Empty, Failure, Loading, Notice } from "../../ui/States";
import { ChangeDialog, type Wish } from "../ChangeDialog";
import { shortPath } from "../DiffView";
import { draftOf, dropDraft, keepDraft } from "../drafts";
import { templateText } from "../templates";
import { CodeEditor } from "./CodeEditor";

interface Props {
  mesh: string;
  file: string;
  line: number;
  /** Of a new file; "" for one that is there. */
  template: string;
  namespace: string;
  readOnly: boolean;
}

export default function Editor(props: Props) {
  const { mesh, file, template, readOnly } = props;
  // A file that is to be written is not asked for: there is none.
  const answer = useMesh(template ? null : mesh, "file", { name: file }, 5000);
  const missing = answer.error?.status === 404;
  if (readOnly && template) {
    return (
      <Empty title="Nothing can be written here" icon="docs">
        <p>This dashboard is read-only: it shows files, and writes none.</p>
        <Back />
      </Empty>
    );
  }
  if (template || (missing && draftOf(mesh, file))) return <Sheet key="new" {...props} found={null} refetch={answer.refetch} />;
  if (answer.data && !missing) return <Sheet key="there" {...props} found={answer.data} refetch={answer.refetch} />;
  if (missing) {
    return (
      <Empty title="There is no such file" icon="docs">
        <p className="mono">{file}</p>
        <p>It was removed, or is none of this mesh’s manifests.</p>
        <Back />
      </Empty>
    );
  }
  if (answer.error) return <Failure what="the file" error={answer.error} retry={answer.refetch} />;
  return <Loading what="the file" lines={12} />;
}

function Back() {
  return (
    <Link className="button" to={{ query: { file: null, line: null, new: null, ns: null, tab: "policies" } }}>
      <Icon name="list" size={13} /> All files
    </Link>
  );
}

/** What was read, and what it has become. */
interface Text {
  text: string;
  /** What the text was made from. */
  base: string;
  hash: string;
}

function Sheet({ mesh, file, line: wanted, template, namespace, readOnly, found, refetch }: Props & { found: ManifestFile | null; refetch: () => void }) {
  const [now, setNow] = useState<Text>(() => draftOf(mesh, file) ?? { text: found?.text ?? templateText(template, namespace), base: found?.text ?? "", hash: found?.hash ?? "" });
  const [jump, setJump] = useState({ line: wanted, n: 0 });
  const [compare, setCompare] = useState(false);
  const [wish, setWish] = useState<Wish | null>(null);
  const [restored] = useState(() => draftOf(mesh, file) !== undefined);
  const dirty = now.text !== now.base;
  const theirs = found?.hash ?? "";
  const stale = theirs !== now.hash;
  const locked = readOnly || !!found?.secret;
  const check = useCheck(mesh, file, now, found, !locked);

  // What is saved elsewhere comes in by itself while nothing was written here.
  useEffect(() => {
    if (stale && !dirty && found) setNow({ text: found.text, base: found.text, hash: found.hash });
  }, [stale, dirty, found]);
  useEffect(() => {
    if (dirty) keepDraft({ mesh, name: file, fresh: !found, ...now });
    else dropDraft(mesh, file);
  }, [mesh, file, now, dirty, found]);
  useEffect(() => setJump((j) => ({ line: wanted, n: j.n + 1 })), [wanted]);

  const go = (line: number) => {
    setJump((j) => ({ line, n: j.n + 1 }));
    navigate({ query: { line: String(line) } }, { replace: true });
  };
  const preview = useCallback(() => {
    if (locked || (!dirty && found)) return;
    setWish({ kind: "edit", title: `${found ? "Change" : "Write"} ${shortPath(file)}`, files: [{ name: file, text: now.text, ...(now.hash ? { hash: now.hash } : {}) }] });
  }, [locked, dirty, found, file, now]);
  const applied = useCallback(() => {
    dropDraft(mesh, file);
    setNow((t) => ({ ...t, base: t.text }));
    setCompare(false);
    if (found) refetch();
  }, [mesh, file, found, refetch]);

  const close = () => {
    setWish(null);
    if (template && !dirty) navigate({ query: { new: null, ns: null } }, { replace: true }); // it is there now
  };

  if (found?.secret) {
    return (
      <>
        <Bar file={file} />
        <Empty title="Its text is not shown" icon="security">
          <p>The file holds a Secret. It never leaves the control plane, and is edited on the disk alone.</p>
          <Outline file={found} go={go} />
        </Empty>
      </>
    );
  }
  const errors = check.problems.filter((p) => p.severity === "error").length;
  return (
    <>
      <Bar file={file} note={!found ? "new" : dirty ? "changed" : readOnly ? "read-only" : ""}>
        {!locked && (
          <>
            <button type="button" className="button" aria-pressed={compare} disabled={!dirty} onClick={() => setCompare(!compare)}>
              Compare
            </button>
            <button type="button" className="button" disabled={!dirty || !found} onClick={() => setNow({ text: found?.text ?? "", base: found?.text ?? "", hash: theirs })}>
              <Icon name="undo" size={13} /> Discard
            </button>
            <button type="button" className="button button-main" disabled={(!dirty && !!found) || stale} title="Shows the diff and the blast radius first (Ctrl+S)" onClick={preview}>
              Preview
            </button>
          </>
        )}
      </Bar>
      <div className="editor-notices">
        {readOnly && <Notice>This dashboard is read-only: the file is shown, and cannot be changed here.</Notice>}
        {restored && dirty && !stale && <Notice>What you wrote here before is still there. It is not saved yet.</Notice>}
        {stale && dirty && (
          <Notice tone="warning">
            {found ? "The file was changed by somebody else since you opened it." : "The file was removed since you opened it."}
            <div className="editor-choice">
              {found && (
                <button type="button" className="button button-small" onClick={() => (setNow({ ...now, base: found.text, hash: found.hash }), setCompare(true))}>
                  Keep mine, and compare with theirs
                </button>
              )}
              {found && (
                <button type="button" className="button button-small" onClick={() => setNow({ text: found.text, base: found.text, hash: found.hash })}>
                  Take theirs
                </button>
              )}
              {!found && (
                <button type="button" className="button button-small" onClick={() => setNow({ ...now, base: "", hash: "" })}>
                  Write it again
                </button>
              )}
            </div>
          </Notice>
        )}
        {check.error && <Notice tone="warning">It could not be checked: {check.error}</Notice>}
      </div>
      <div className="editor-split">
        <CodeEditor text={now.text} saved={now.base} compare={compare && dirty} line={jump.line} jump={jump.n} readOnly={locked} problems={check.problems} label={`text of ${shortPath(file)}`} onChange={(text) => setNow((t) => ({ ...t, text }))} onSave={preview} />
        <aside className="editor-side" aria-label="objects and problems">
          <h2>{check.problems.length === 0 ? "No problems" : errors > 0 ? `Problems (${errors} ${errors === 1 ? "error" : "errors"})` : "Warnings"}</h2>
          <Problems problems={check.problems} go={go} />
          {found && <Outline file={found} go={go} />}
          {!locked && (
            <p className="faint editor-keys">
              <kbd>Ctrl</kbd>+<kbd>Space</kbd> completes, <kbd>Ctrl</kbd>+<kbd>S</kbd> previews; <kbd>Esc</kbd> then <kbd>Tab</kbd> leaves the text.
            </p>
          )}
        </aside>
      </div>
      {wish && <ChangeDialog mesh={mesh} wish={wish} onClose={close} onApplied={applied} />}
    </>
  );
}

function Bar({ file, note, children }: { file: string; note?: string; children?: ReactNode }) {
  return (
    <header className="editor-bar">
      <Link className="button-plain" aria-label="All policies and files" title="All policies and files" to={{ query: { file: null, line: null, new: null, ns: null, tab: "policies" } }}>
        <Icon name="list" />
      </Link>
      <span className="editor-file mono" title={file}>
        {shortPath(file)}
      </span>
      {note && <span className={note === "changed" || note === "new" ? "tag tag-warning" : "tag"}>{note}</span>}
      <span className="editor-actions">{children}</span>
    </header>
  );
}

function Problems({ problems, go }: { problems: readonly Problem[]; go: (line: number) => void }) {
  return (
    <ul className="plain editor-problems">
      {problems.map((p, i) => (
        <li key={i}>
          <button type="button" className={p.severity === "error" ? "problem-error" : undefined} onClick={() => go(p.origin?.line ?? 1)}>
            <Icon name={p.severity === "error" ? "error" : "warning"} size={14} />
            <span>
              {p.message}
              {p.hint && <span className="soft"> {p.hint}</span>}
            </span>
            <span className="faint number">{p.origin?.line}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

/** The objects of the file, to jump to. */
function Outline({ file, go }: { file: ManifestFile; go: (line: number) => void }) {
  if (file.objects.length === 0) return null;
  return (
    <>
      <h2>Objects</h2>
      <ul className="plain editor-outline">
        {file.objects.map((o, i) => (
          <li key={i}>
            <button type="button" disabled={!!file.secret} onClick={() => go(o.line ?? 1)}>
              <span>
                {object(o)}
                {o.summary && <span className="soft"> {o.summary}</span>}
              </span>
              <span className="faint number">{o.line}</span>
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

/** How long nobody types before the text is checked, in milliseconds. */
const pause = 350;

/** Asks what is wrong with the text, a moment after it was written. What is saved has its problems already. */
function useCheck(mesh: string, file: string, now: Text, found: ManifestFile | null, on: boolean): { problems: readonly Problem[]; error: string } {
  const [state, setState] = useState<{ text: string; problems: readonly Problem[]; error: string }>();
  const asked = useRef(0);
  useEffect(() => {
    if (!on || now.text === found?.text) return;
    const abort = new AbortController();
    const mine = ++asked.current;
    const timer = window.setTimeout(() => {
      post(mesh, "check", { files: [{ name: file, text: now.text, ...(now.hash ? { hash: now.hash } : {}) }] }, abort.signal).then(
        (c) => mine === asked.current && setState({ text: now.text, problems: c.problems, error: "" }),
        (e: unknown) => {
          if (!abort.signal.aborted) setState((s) => ({ text: now.text, problems: s?.problems ?? [], error: e instanceof ApiError ? e.message : String(e) }));
        },
      );
    }, pause);
    return () => {
      window.clearTimeout(timer);
      abort.abort();
    };
  }, [mesh, file, now.text, now.hash, found?.text, on]);
  return useMemo(() => {
    if (found && now.text === found.text) return { problems: found.problems, error: "" };
    return { problems: (state?.problems ?? found?.problems ?? []).filter((p) => !p.origin?.file || p.origin.file === file), error: state?.error ?? "" };
  }, [found, now.text, state, file]);
}
