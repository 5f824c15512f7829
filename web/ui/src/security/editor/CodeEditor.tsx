// CodeMirror as a component: YAML, completion by path, problems at their lines, and the difference to what is saved.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { unifiedMergeView } from "@codemirror/merge";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorSelection, EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, hoverTooltip, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";
import type { Problem } from "../../api/types";
import { fieldAt, offers, placeAt } from "./complete";

const nonce = () => document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";

const theme = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--surface)", fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6", overscrollBehavior: "contain" },
  ".cm-content": { caretColor: "var(--accent)", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--text-faint)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--accent) 9%, transparent)" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": { backgroundColor: "color-mix(in srgb, var(--accent) 26%, transparent)" },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "var(--picked)", outline: "none" },
  ".cm-selectionMatch": { backgroundColor: "color-mix(in srgb, var(--warning) 22%, transparent)" },
  ".cm-tooltip": { border: "none", borderRadius: "var(--round)", backgroundColor: "var(--raised)", color: "var(--text)", boxShadow: "var(--shadow-float)", overflow: "hidden" },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12.5px" },
  ".cm-tooltip-autocomplete > ul > li": { padding: "3px 10px !important" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--picked)", color: "var(--text)" },
  ".cm-completionInfo": { padding: "8px 10px", maxWidth: "300px", fontFamily: "var(--font)", fontSize: "12.5px" },
  ".cm-completionIcon": { display: "none" },
  ".cm-field-doc": { padding: "6px 10px", maxWidth: "360px", fontFamily: "var(--font)", fontSize: "12.5px" },
  ".cm-diagnostic": { padding: "6px 10px", fontSize: "12.5px", borderLeftWidth: "3px" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--error)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--warning)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--error) 1px", textUnderlineOffset: "4px" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--warning) 1px", textUnderlineOffset: "4px" },
  ".cm-lint-marker": { width: "0.8em", height: "0.8em" },
  ".cm-panels": { backgroundColor: "var(--raised)", color: "var(--text)" },
  ".cm-panels-bottom": { borderTop: "1px solid var(--line)" },
  ".cm-textfield": { border: "1px solid var(--line-strong)", borderRadius: "4px", backgroundColor: "var(--surface)" },
  ".cm-button": { border: "1px solid var(--line)", borderRadius: "4px", backgroundImage: "none", backgroundColor: "var(--surface)", color: "var(--text)" },
  ".cm-searchMatch": { backgroundColor: "color-mix(in srgb, var(--warning) 30%, transparent)" },
  "&.cm-merge-b .cm-changedLine, .cm-inlineChangedLine": { backgroundColor: "var(--good-ground)" },
  "&.cm-merge-b .cm-changedText": { background: "color-mix(in srgb, var(--good) 20%, transparent)" },
  ".cm-deletedChunk": { backgroundColor: "var(--error-ground)", paddingLeft: "6px" },
  ".cm-deletedChunk .cm-deletedText": { background: "color-mix(in srgb, var(--error) 20%, transparent)" },
  "&.cm-merge-b .cm-changedLineGutter": { background: "var(--good)" },
});

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: [tags.string, tags.special(tags.string), tags.content], color: "var(--text)" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--lock-mixed)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--text-faint)", fontStyle: "italic" },
  { tag: [tags.meta, tags.separator, tags.punctuation, tags.squareBracket, tags.brace], color: "var(--text-soft)" },
  { tag: tags.labelName, color: "var(--lock-broken)" },
]);

function complete(c: CompletionContext): CompletionResult | null {
  const place = placeAt(c.state.doc.toString(), c.pos);
  if (!place) return null;
  if (!c.explicit && c.pos === place.from && place.key === null) return null; // not on every empty line
  const list = offers(place);
  if (list.length === 0) return null;
  return {
    from: place.from,
    options: list.map((o, i) => ({ label: o.label, apply: o.insert, info: o.doc, type: o.kind === "key" ? "property" : "constant", boost: -i })),
    validFor: /^[\w."*/]*$/,
  };
}

/** A new line as deep as the one before, and deeper after a key without a value. */
function newline(view: EditorView): boolean {
  const { from, to } = view.state.selection.main;
  if (view.state.readOnly) return false;
  const line = view.state.doc.lineAt(from);
  const before = line.text.slice(0, from - line.from);
  const lead = /^\s*(?:-\s+)*/.exec(before)?.[0].replaceAll("-", " ") ?? "";
  const insert = "\n" + lead + (/:\s*$/.test(before) && !/^\s*#/.test(before) ? "  " : "");
  view.dispatch({ changes: { from, to, insert }, selection: EditorSelection.cursor(from + insert.length), scrollIntoView: true, userEvent: "input" });
  return true;
}

/** What the key at the pointer does. */
const docs = hoverTooltip((view, pos) => {
  const line = view.state.doc.lineAt(pos);
  const m = /^(\s*(?:-\s+)*)([\w.]+)\s*:/.exec(line.text);
  if (!m?.[2]) return null;
  const from = line.from + (m[1]?.length ?? 0);
  const to = from + m[2].length;
  if (pos < from || pos > to) return null;
  const place = placeAt(view.state.doc.toString(), from);
  const field = place && fieldAt(place.kind, [...place.path, m[2]]);
  if (!field) return null;
  return {
    pos: from,
    end: to,
    create: () => {
      const dom = document.createElement("div");
      dom.className = "cm-field-doc";
      dom.textContent = field.doc;
      return { dom };
    },
  };
});

interface Props {
  /** The text at first; later changes are taken over, and the cursor stays. */
  text: string;
  /** What is saved: the difference to it shows while compare is on. */
  saved: string;
  compare: boolean;
  /** A line to go to, from 1, when it or jump changes. */
  line: number;
  jump: number;
  readOnly: boolean;
  problems: readonly Problem[];
  label: string;
  onChange: (text: string) => void;
  onSave: () => void;
}

export function CodeEditor({ text, saved, compare, line, jump, readOnly, problems, label, onChange, onSave }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const parts = useRef({ readOnly: new Compartment(), diff: new Compartment() });
  const hooks = useRef({ onChange, onSave });
  hooks.current = { onChange, onSave };
  const first = useRef({ text, label });

  useEffect(() => {
    if (!box.current) return;
    const v = new EditorView({
      parent: box.current,
      state: EditorState.create({
        doc: first.current.text,
        extensions: [
          EditorView.cspNonce.of(nonce()),
          lineNumbers(),
          highlightActiveLine(),
          highlightActiveLineGutter(),
          drawSelection(),
          history(),
          indentOnInput(),
          indentUnit.of("  "),
          bracketMatching(),
          closeBrackets(),
          highlightSelectionMatches(),
          yaml(),
          syntaxHighlighting(colours),
          autocompletion({ override: [complete] }),
          docs,
          lintGutter(),
          theme,
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": first.current.label, spellcheck: "false", tabindex: "0" }),
          parts.current.readOnly.of([]),
          parts.current.diff.of([]),
          keymap.of([
            { key: "Mod-s", preventDefault: true, run: () => (hooks.current.onSave(), true) },
            { key: "Enter", run: newline },
            ...closeBracketsKeymap,
            ...defaultKeymap,
            ...searchKeymap,
            ...historyKeymap,
            ...completionKeymap,
            ...lintKeymap,
            indentWithTab, // Escape, then Tab leaves the editor
          ]),
          EditorView.updateListener.of((u) => {
            if (u.docChanged) hooks.current.onChange(u.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = v;
    return () => {
      v.destroy();
      view.current = undefined;
    };
  }, []);

  useEffect(() => {
    const v = view.current;
    if (!v || v.state.doc.toString() === text) return;
    v.dispatch({ changes: { from: 0, to: v.state.doc.length, insert: text }, selection: EditorSelection.cursor(Math.min(v.state.selection.main.head, text.length)) });
  }, [text]);

  useEffect(() => {
    view.current?.dispatch({ effects: parts.current.readOnly.reconfigure(readOnly ? [EditorState.readOnly.of(true)] : []) });
  }, [readOnly]);

  useEffect(() => {
    const diff = compare ? unifiedMergeView({ original: saved, mergeControls: false, gutter: true }) : [];
    view.current?.dispatch({ effects: parts.current.diff.reconfigure(diff) });
  }, [compare, saved]);

  useEffect(() => {
    const v = view.current;
    if (!v) return;
    const at = v.state.doc.line(Math.max(1, Math.min(line, v.state.doc.lines)));
    v.dispatch({ selection: EditorSelection.cursor(at.from), effects: EditorView.scrollIntoView(at.from, { y: "center" }) });
  }, [line, jump]);

  useEffect(() => {
    const v = view.current;
    if (v) v.dispatch(setDiagnostics(v.state, problems.map((p) => diagnostic(v.state, p))));
  }, [problems]);

  return <div className="editor-code" ref={box} />;
}

/** A problem at its place: to the end of the word there, or of the line. */
function diagnostic(state: EditorState, p: Problem): Diagnostic {
  const line = state.doc.line(Math.max(1, Math.min(p.origin?.line ?? 1, state.doc.lines)));
  const from = Math.min(line.to, line.from + Math.max(0, (p.origin?.col ?? 1) - 1));
  const word = /^[^\s:,]+/.exec(line.text.slice(from - line.from))?.[0].length ?? 0;
  return { from, to: Math.min(line.to, from + word), severity: p.severity === "error" ? "error" : "warning", message: p.hint ? `${p.message} — ${p.hint}` : p.message };
}
