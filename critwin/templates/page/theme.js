"use strict";
// Dark or light as the system says, until the button says otherwise; the page remembers it where it may.
(() => {
  const root = document.documentElement, button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const kept = (value) => {
    try {
      if (value) localStorage.setItem("critwin-theme", value);
      return localStorage.getItem("critwin-theme");
    } catch { return null; } // storage is not there where the page is embedded
  };
  const paint = (theme) => {
    if (theme) root.dataset.theme = theme;
    const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
    button.textContent = now === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `${button.textContent} colours`);
    return now;
  };
  paint(kept());
  dark.addEventListener("change", () => paint());
  button.addEventListener("click", () => { const theme = paint() === "dark" ? "light" : "dark"; paint(theme); kept(theme); });
  button.hidden = false;
})();
