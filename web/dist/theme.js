// Before the first paint, so that a remembered theme does not flash.
try {
  const theme = localStorage.getItem("oarlock-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // no storage: the theme of the system
}
