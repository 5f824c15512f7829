// Why the verdict is what it is: each policy and rule that was considered, and what became of it.
import type { Explanation } from "../api/types";
import { DrawerSection } from "../shell/Drawer";
import { Icon } from "../ui/Icon";
import { steps } from "./facts";
import { PlaceLink } from "./PlaceLink";

export function Chain({ mesh, explanation: x }: { mesh: string; explanation: Explanation }) {
  const list = steps(x.reasons ?? []);
  return (
    <DrawerSection title="Why" aside={x.sync && x.sync.inForce < x.sync.total ? `not yet on ${x.sync.total - x.sync.inForce} of ${x.sync.total}` : undefined}>
      <p>{sentence(x.reason)}</p>
      {list.length > 0 && (
        <ol className="chain plain">
          {list.map((s, i) => (
            <li key={i}>
              <h4>{s.title}</h4>
              <ul className="plain">
                {s.reasons.map((r, k) => (
                  <li key={k} className={`chain-${r.outcome ?? "fact"}`}>
                    <span className="chain-mark">
                      <Icon name={r.outcome === "wins" ? "check" : r.outcome === "loses" ? "close" : "right"} size={13} />
                      <span className="hidden">{r.outcome ?? ""}</span>
                    </span>
                    <span>
                      {r.object && (
                        <>
                          <PlaceLink mesh={mesh} place={r.object} />{" "}
                        </>
                      )}
                      <span className={r.outcome === "loses" ? "soft" : undefined}>{r.text}</span>
                      {r.tieBreak && <span className="tag">{r.tieBreak}</span>}
                    </span>
                  </li>
                ))}
              </ul>
            </li>
          ))}
        </ol>
      )}
    </DrawerSection>
  );
}

function sentence(text: string): string {
  const begin = /^[a-z][A-Z]/.test(text) ? text.charAt(0) : text.charAt(0).toUpperCase(); // mTLS stays
  return text ? begin + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".") : "";
}
