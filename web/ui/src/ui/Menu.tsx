import { useEffect, useId, useLayoutEffect, useRef, useState, type ReactNode } from "react";

interface Props {
  /** What the button shows. */
  button: ReactNode;
  /** What it is, where the button shows an icon alone. */
  label?: string;
  title?: string;
  className?: string;
  align?: "start" | "end";
  /** What opens; close closes it, and the button has the focus again. */
  children: (close: () => void) => ReactNode;
}

/** A button with something that opens below it: closed by Escape, by a click elsewhere, and when the focus leaves. */
export function Menu({ button, label, title, className = "button", align = "start", children }: Props) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const id = useId();
  // What would leave the screen is moved back into it.
  useLayoutEffect(() => {
    const b = body.current;
    if (!open || !b) return;
    const { left, right } = b.getBoundingClientRect();
    const by = left < 8 ? 8 - left : Math.min(0, document.documentElement.clientWidth - 8 - right);
    if (by !== 0) b.style.transform = `translateX(${by}px)`;
  }, [open]);
  const close = () => {
    setOpen(false);
    box.current?.querySelector<HTMLElement>("button")?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const away = (e: Event) => !box.current?.contains(e.target as Node) && setOpen(false);
    document.addEventListener("pointerdown", away);
    document.addEventListener("focusin", away);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("focusin", away);
    };
  }, [open]);
  return (
    <div
      className="menu"
      ref={box}
      onKeyDown={(e) => {
        if (e.key === "Escape" && open) {
          e.stopPropagation();
          close();
        }
      }}
    >
      <button className={className} aria-label={label} title={title ?? label} aria-expanded={open} aria-controls={open ? id : undefined} onClick={() => setOpen(!open)}>
        {button}
      </button>
      {open && (
        <div id={id} ref={body} className={`menu-body menu-${align}`}>
          {children(close)}
        </div>
      )}
    </div>
  );
}

interface Option<T extends string> {
  value: T;
  text: ReactNode;
}

/** One of a few, side by side. */
export function Choice<T extends string>({ label, value, options, onChange }: { label: string; value: T; options: readonly Option<T>[]; onChange: (v: T) => void }) {
  const name = useId();
  return (
    <fieldset className="choice">
      <legend className="hidden">{label}</legend>
      {options.map((o) => (
        <label key={o.value} className={o.value === value ? "choice-on" : undefined}>
          <input type="radio" name={name} value={o.value} checked={o.value === value} onChange={() => onChange(o.value)} />
          <span>{o.text}</span>
        </label>
      ))}
    </fieldset>
  );
}
