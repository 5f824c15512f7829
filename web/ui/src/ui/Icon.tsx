// Small icons of one weight, in a square of 16.
const paths = {
  overview: "M2 9.5h4.5V14H2zM9.5 2H14v4.5H9.5zM2 2h4.5v4.5H2zM9.5 9.5H14V14H9.5z",
  graph: "M4 6.25a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM12 13.75a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM12 6.25a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM6 4.25h4M5.4 5.7l5.2 4.6M12 6.25v3.5",
  table: "M2 3h12v10H2zM2 6.3h12M2 9.6h12M6.2 6.3V13",
  security: "M8 1.75l5 1.75v4.25c0 3-2 5.25-5 6.5-3-1.25-5-3.5-5-6.5V3.5zM5.75 8l1.6 1.6 3-3.2",
  changes: "M8 14A6 6 0 1 0 2.3 6.2M2 2.75V6.3h3.5M8 4.75V8l2.25 1.5",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.7 10.7L14 14",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  down: "M4 6.25L8 10l4-3.75",
  right: "M6.25 4L10 8l-3.75 4",
  up: "M4 10l4-3.75L12 10",
  check: "M3 8.5l3.25 3.25L13 4.75",
  warning: "M8 2.25L14.5 13.5h-13zM8 6.5v3.25M8 11.6v.01",
  error: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.75v4M8 11v.01",
  note: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 7.25v4M8 4.9v.01",
  sun: "M8 10.75a2.75 2.75 0 1 0 0-5.5 2.75 2.75 0 0 0 0 5.5zM8 1.5v1.25M8 13.25v1.25M1.5 8h1.25M13.25 8h1.25M3.4 3.4l.9.900M11.7 11.7l.9.900M3.4 12.6l.9-.9M11.7 4.3l.9-.9",
  moon: "M13.5 9.7A6 6 0 0 1 6.3 2.5 6 6 0 1 0 13.5 9.7z",
  auto: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 2.5v11M10 3.2v9.6M12 4.5v7",
  docs: "M3 2.25h6.5L13 5.75v8H3zM9.25 2.5V6H13M5.5 8.75h5M5.5 11.25h5",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2.5 5.5v-3h3M10.5 2.5h3v3M13.5 10.5v3h-3M5.5 13.5h-3v-3",
  download: "M8 2v8M4.75 7L8 10.25 11.25 7M2.5 13.5h11",
  help: "M8 14.25a6.25 6.25 0 1 0 0-12.5 6.25 6.25 0 0 0 0 12.5zM6.2 6.2a1.85 1.85 0 1 1 2.7 1.65c-.65.350-.9.700-.9 1.4M8 11.4v.01",
  legend: "M2.5 4h2M2.5 8h2M2.5 12h2M7 4h6.5M7 8h6.5M7 12h6.5",
  filter: "M2 3h12l-4.7 5.5v4L6.7 14V8.5z",
  near: "M8 9.75a1.75 1.75 0 1 0 0-3.5 1.75 1.75 0 0 0 0 3.5zM8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12z",
  more: "M3.25 8h.01M8 8h.01M12.75 8h.01",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  undo: "M5.5 2.5L2.5 5.5l3 3M2.75 5.5H10a3.75 3.75 0 0 1 0 7.5H6.5",
  refresh: "M13.5 3v3.5H10M2.5 13V9.5H6M3.3 6.2A5.25 5.25 0 0 1 12.8 6M12.7 9.8A5.25 5.25 0 0 1 3.2 10",
  list: "M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.01M2.5 8h.01M2.5 12h.01",
} as const;

export type IconName = keyof typeof paths;

/** An icon for those who see; its control has a label. */
export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg className="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
