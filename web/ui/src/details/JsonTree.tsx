import { useState } from "react";

/** How many children show before somebody asks for more. */
const page = 50;

/** JSON to open and close, branch by branch. What is deep stays closed. */
export function JsonTree({ value, label }: { value: unknown; label: string }) {
  return (
    <div className="json mono" tabIndex={0} role="group" aria-label={label}>
      <Branch name="" value={value} depth={0} />
    </div>
  );
}

function Branch({ name, value, depth }: { name: string; value: unknown; depth: number }) {
  const [open, setOpen] = useState(depth < 2);
  const [shown, setShown] = useState(page);
  if (value === null || typeof value !== "object") {
    return (
      <div className="json-leaf">
        {name && <span className="json-name">{name}: </span>}
        <span className={`json-${value === null ? "null" : typeof value}`}>{JSON.stringify(value)}</span>
      </div>
    );
  }
  const list = Array.isArray(value);
  const entries = Object.entries(value);
  return (
    <div className="json-branch">
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span className="json-arrow" aria-hidden="true">
          {open ? "▾" : "▸"}
        </span>
        {name && <span className="json-name">{name}: </span>}
        <span className="faint">
          {list ? `[${entries.length}]` : `{${entries.length}}`} {!open && hint(value)}
        </span>
      </button>
      {open && (
        <div className="json-inner">
          {entries.slice(0, shown).map(([k, v]) => (
            <Branch key={k} name={list ? `${k}` : k} value={v} depth={depth + 1} />
          ))}
          {entries.length > shown && (
            <button type="button" className="json-more" onClick={() => setShown(shown + 200)}>
              … {entries.length - shown} more
            </button>
          )}
        </div>
      )}
    </div>
  );
}

/** What a closed branch is about: its name or type, where it has one. */
function hint(value: object): string {
  const v = value as Record<string, unknown>;
  const inner = Object.values(v).find((x): x is Record<string, unknown> => x !== null && typeof x === "object" && "name" in x);
  const name = v.name ?? inner?.name ?? (typeof v["@type"] === "string" ? v["@type"].split(".").pop() : undefined);
  return typeof name === "string" ? name : "";
}
