import { useCallback, useEffect, useState } from "react";
import { ApiError } from "../api/client";
import type { ChangeAnswer } from "../api/types";
import { ask, type Wish } from "./wish";

interface Preview {
  /** What the change would do; of the question before while a newer one is under way. */
  answer?: ChangeAnswer;
  error?: ApiError;
  loading: boolean;
  /** Asks once more: things may have moved. */
  again: () => void;
}

/** Asks what a wish would do, without doing it. */
export function usePreview(mesh: string, wish: Wish, clients: boolean): Preview {
  const [round, setRound] = useState(0);
  const [state, setState] = useState<{ answer?: ChangeAnswer; error?: ApiError; loading: boolean }>({ loading: true });
  const key = JSON.stringify(wish);
  useEffect(() => {
    const abort = new AbortController();
    setState((s) => ({ ...s, loading: true }));
    ask(mesh, JSON.parse(key) as Wish, { dryRun: true, clients }, abort.signal).then(
      (answer) => setState({ answer, loading: false }),
      (e: unknown) => {
        if (abort.signal.aborted) return;
        setState({ error: e instanceof ApiError ? e : new ApiError(0, String(e)), loading: false });
      },
    );
    return () => abort.abort();
  }, [mesh, key, clients, round]);
  const again = useCallback(() => setRound((n) => n + 1), []);
  return { ...state, again };
}
