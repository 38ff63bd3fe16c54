// Puts what has changed into the page, every second, for as long as something runs. Without it, the page is
// loaded again every few seconds.
"use strict";

const EVERY = 1000;

async function look() {
  if (document.hidden) return setTimeout(look, EVERY);
  let fresh;
  try {
    const answer = await fetch(location.href, { cache: "no-store", redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 404) return location.reload();
    if (!answer.ok) return setTimeout(look, 5 * EVERY);
    fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return setTimeout(look, 5 * EVERY);
  }
  const goesOn = fresh.querySelector("[data-live]") !== null;
  for (const part of document.querySelectorAll("main > [id]")) {
    const other = fresh.getElementById(part.id);
    if (!other) return location.reload();
    if (part.outerHTML === other.outerHTML) continue;
    const link = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
    part.replaceWith(document.adoptNode(other));
    if (link) other.querySelector(`a[href="${CSS.escape(link)}"]`)?.focus();
  }
  document.title = fresh.title;
  if (goesOn) setTimeout(look, EVERY);
  else location.reload();
}

setTimeout(look, EVERY);
