// Runs before the first paint, so that a dark page never flashes white. Not a module: those run later.
(() => {
  "use strict";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const wanted = () => {
    try {
      return localStorage.getItem("srwatchd.theme") ?? "auto";
    } catch {
      return "auto";
    }
  };
  const show = () => {
    const theme = wanted();
    root.dataset.theme = theme === "light" || theme === "dark" ? theme : dark.matches ? "dark" : "light";
    root.dataset.themeWanted = theme;
  };
  dark.addEventListener("change", show);
  addEventListener("storage", show);
  addEventListener("srwatchd:theme", show);
  show();
})();
