import type { Certificate } from "../api/types";
import { DrawerSection } from "../shell/Drawer";
import { ago, clock } from "../ui/format";
import { useNow } from "../ui/time";
import { shortPrincipal } from "./facts";

const tones: Record<Certificate["state"], string> = { ok: "tag tag-good", due: "tag tag-warning", expired: "tag tag-error", unknown: "tag" };

/** Whose certificates they are, and how long they last. */
export function Certificates({ certificates }: { certificates: readonly Certificate[] }) {
  const now = useNow(30_000);
  return (
    <DrawerSection title="Certificates">
      {certificates.length === 0 && <p className="soft">None is known: no sidecar runs here, or none answered.</p>}
      <ul className="certificates plain">
        {certificates.map((c) => (
          <li key={c.namespace + "/" + c.pod}>
            <div className="certificate-head">
              <b>{c.pod}</b>
              <span className={tones[c.state]}>{c.state}</span>
            </div>
            <div className="mono soft">{shortPrincipal(c.id)}</div>
            <div className="soft">
              expires <time title={clock(new Date(c.notAfter))}>{ago(Date.parse(c.notAfter), now)}</time>
              <span className="faint"> · serial {c.serial.slice(0, 12)}</span>
            </div>
            {c.problem && <div className="bad">{c.problem}</div>}
          </li>
        ))}
      </ul>
    </DrawerSection>
  );
}
