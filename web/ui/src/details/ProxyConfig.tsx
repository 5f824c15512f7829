// What a sidecar has in force, as its own configuration dump. It is asked for when somebody opens it.
import { useState } from "react";
import { useAnswer } from "../api/resource";
import { meshPath } from "../api/client";
import { DrawerSection } from "../shell/Drawer";
import { Icon } from "../ui/Icon";
import { Await } from "../ui/States";
import { JsonTree } from "./JsonTree";

export function ProxyConfig({ mesh, pods }: { mesh: string; pods: readonly string[] }) {
  const [open, setOpen] = useState(false);
  const [picked, setPicked] = useState("");
  if (pods.length === 0) return null;
  const pod = pods.includes(picked) ? picked : (pods[0] ?? "");
  return (
    <DrawerSection
      title="Proxy configuration"
      aside={
        <button type="button" className="button button-small" aria-expanded={open} onClick={() => setOpen(!open)}>
          <Icon name={open ? "up" : "down"} size={12} /> {open ? "hide" : "show"}
        </button>
      }
    >
      {pods.length > 1 && (
        <span className="select">
          <select aria-label="Pod whose configuration is shown" value={pod} onChange={(e) => setPicked(e.target.value)}>
            {pods.map((p) => (
              <option key={p}>{p}</option>
            ))}
          </select>
          <Icon name="down" size={12} />
        </span>
      )}
      {pods.length === 1 && <p className="mono soft">{pod}</p>}
      {open && <Dump mesh={mesh} pod={pod} />}
    </DrawerSection>
  );
}

function Dump({ mesh, pod }: { mesh: string; pod: string }) {
  const dump = useAnswer<unknown>(meshPath(mesh, "proxy", { pod }));
  return (
    <Await of={dump} what="its configuration">
      {(data) => <JsonTree value={data} label={`configuration of ${pod}`} />}
    </Await>
  );
}
