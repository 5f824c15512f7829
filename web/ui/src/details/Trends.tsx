import type { Trend } from "../api/types";
import { DrawerSection } from "../shell/Drawer";
import { Spark, type Line } from "../ui/Chart";
import { percent, rate } from "../ui/format";

/** Values over the window, small, each with what it is now. */
export function Trends({ trend, title }: { trend: Trend | undefined; title: string }) {
  if (!trend || trend.times.length === 0) return null;
  const rows = [
    { name: "Requests", values: trend.requests, write: rate, colour: "--chart-1" },
    { name: "Connections", values: trend.connections, write: rate, colour: "--chart-1" },
    { name: "Errors", values: trend.errors, write: rate, colour: "--chart-2" },
    { name: "Failed handshakes", values: trend.failures, write: rate, colour: "--lock-broken" },
    { name: "Mutual TLS", values: trend.mtls, write: percent, colour: "--chart-3", top: 1 },
  ].filter((r) => r.name === "Mutual TLS" || r.name === "Requests" || r.values.some((v) => (v ?? 0) > 0));
  return (
    <DrawerSection title={title}>
      <ul className="trends plain">
        {rows.map((r) => {
          const now = r.values.findLast((v) => v !== null) ?? null;
          const line: Line = { name: r.name, values: r.values, colour: r.colour, area: true };
          const text = now === null ? "–" : r.write(now);
          return (
            <li key={r.name}>
              <span>{r.name}</span>
              <Spark lines={[line]} label={`${r.name} over time, now ${text}`} top={r.top} width={180} height={24} />
              <b className="number">{text}</b>
            </li>
          );
        })}
      </ul>
    </DrawerSection>
  );
}
