import type { AnchorHTMLAttributes, MouseEvent } from "react";
import { href, navigate, useRoute, type Change } from "./router";

interface Props extends Omit<AnchorHTMLAttributes<HTMLAnchorElement>, "href"> {
  to: Change;
}

/** A link within the dashboard: a real one, so that it opens in a tab of its own, without loading the page otherwise. */
export function Link({ to, onClick, ...rest }: Props) {
  const here = useRoute();
  const click = (e: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(e);
    if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    e.preventDefault();
    navigate(to);
  };
  return <a {...rest} href={href(here, to)} onClick={click} />;
}
