import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { login } from "./api/client";
import { App } from "./app";
import "./styles/tokens.css";
import "./styles/page.css";
import "./styles/parts.css";
import "./styles/shell.css";
import "./styles/chart.css";

/** A link has the token in its fragment, which no server and no log sees. It is exchanged for a cookie, and gone from the address. */
async function enter(): Promise<string> {
  const m = /[#&]token=([^&]+)/.exec(location.hash);
  if (!m?.[1]) return "";
  history.replaceState(null, "", location.pathname + location.search);
  try {
    await login(decodeURIComponent(m[1]));
    return "";
  } catch (e) {
    return e instanceof Error ? e.message : String(e);
  }
}

const root = document.getElementById("root");
if (root) {
  const page = createRoot(root);
  const show = async () => {
    const problem = await enter();
    page.render(
      <StrictMode>
        <App problem={problem} />
      </StrictMode>,
    );
  };
  // A link that is pasted into a tab that is open already loads nothing anew: its fragment alone changes.
  window.addEventListener("hashchange", () => location.hash.includes("token=") && void show());
  void show();
}
