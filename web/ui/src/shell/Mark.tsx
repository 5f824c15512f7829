/** The mark: an oar in its lock. */
export function Mark({ size = 22 }: { size?: number }) {
  return (
    <svg className="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path className="mark-horn" d="M9 5.5v7a7 7 0 0 0 14 0v-7M16 19.5V27M11.5 27h9" />
      <circle className="mark-oar" cx="16" cy="11.5" r="3.2" />
    </svg>
  );
}
