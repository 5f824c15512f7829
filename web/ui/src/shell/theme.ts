import { Signal } from "../api/signal";

export type Theme = "auto" | "light" | "dark";

const key = "oarlock-theme";

function remembered(): Theme {
  try {
    const t = localStorage.getItem(key);
    return t === "light" || t === "dark" ? t : "auto";
  } catch {
    return "auto";
  }
}

export const theme = new Signal<Theme>(remembered());

export function setTheme(t: Theme): void {
  if (t === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = t;
  try {
    if (t === "auto") localStorage.removeItem(key);
    else localStorage.setItem(key, t);
  } catch {
    // no storage: it holds for this page
  }
  theme.set(t);
}

/** Calls f when colours change: by choice, or because the system changed. */
export function onColours(f: () => void): () => void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", f);
  const end = theme.subscribe(f);
  return () => {
    dark.removeEventListener("change", f);
    end();
  };
}

/** Resolves custom properties such as "--lock-open" to colours that a canvas understands. */
export function coloursOf<N extends string>(names: readonly N[]): Record<N, string> {
  const probe = document.createElement("span");
  probe.style.setProperty("transition", "none", "important");
  document.body.append(probe);
  const out = Object.fromEntries(
    names.map((n) => {
      probe.style.color = `var(${n})`;
      return [n, getComputedStyle(probe).color];
    }),
  ) as Record<N, string>;
  probe.remove();
  return out;
}
