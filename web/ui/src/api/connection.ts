// Whether the dashboard's server answers, whether it knows us, and whether the event stream is open.
import { Signal } from "./signal";

export interface ConnectionState {
  /** live: everything answers. reconnecting: requests are answered and the event stream is away. offline: nothing answers. */
  state: "live" | "reconnecting" | "offline";
  /** Since when it is not live, in milliseconds since 1970; 0 while it is. */
  since: number;
}

/** Follows what requests and the event stream report. */
class Connection {
  readonly state = new Signal<ConnectionState>({ state: "live", since: 0 });
  /** Whether there is a session: undefined until the first answer. */
  readonly session = new Signal<boolean | undefined>(undefined);
  /** Counts returns from offline: whoever shows something asks again. */
  readonly returns = new Signal(0);

  private answers = true;
  private stream = true;

  /** A request was answered, whatever the answer. */
  answered(): void {
    const was = this.answers;
    this.answers = true;
    this.tell();
    if (!was) this.returns.set(this.returns.value + 1);
  }

  /** A request was not answered. */
  failed(): void {
    this.answers = false;
    this.tell();
  }

  /** The event stream opened or went away; a view without a stream says true. */
  streaming(open: boolean): void {
    this.stream = open;
    this.tell();
  }

  known(): void {
    this.session.set(true);
  }

  stranger(): void {
    this.session.set(false);
  }

  private tell(): void {
    const state = !this.answers ? "offline" : this.stream ? "live" : "reconnecting";
    const was = this.state.value;
    if (state !== was.state) this.state.set({ state, since: state === "live" ? 0 : was.since || Date.now() });
  }
}

export const connection = new Connection();
