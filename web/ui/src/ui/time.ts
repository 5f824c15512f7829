import { useEffect, useState } from "react";

/** The time, again and again: so that ages grow. */
export function useNow(every = 1000): number {
  const [now, set] = useState(() => Date.now());
  useEffect(() => {
    const t = window.setInterval(() => set(Date.now()), every);
    return () => window.clearInterval(t);
  }, [every]);
  return now;
}
